//! `kill -9`, and two nodes: each event is told once, by one id, and none is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aggregates::wallet::Balance;
use serde_json::json;
use sqlx::types::Json;

use crate::receiver::{Mood, until};
use crate::webhook_house::House;

const THRESHOLD: i64 = 50;
const KILLS: u64 = 8;
const KINDS: [&str; 2] = ["wallet.low_balance", "wallet.depleted"];

/// What the log says how often.
async fn in_the_log(house: &House) -> [usize; 2] {
    let pool = house.database.pool().await;
    let balances = "select payload -> event_type -> 'balance' from events
        where aggregate_type = 'wallet' and payload -> event_type -> 'balance' is not null
        order by position";
    let balances: Vec<Json<Balance>> =
        sqlx::query_scalar(balances).fetch_all(&pool).await.expect("the log answers");
    pool.close().await;
    let figures: Vec<_> = balances.iter().map(|balance| balance.available.get()).collect();
    let falls = |to: i64| figures.windows(2).filter(|pair| pair[0] >= to && pair[1] < to).count();
    [falls(THRESHOLD), falls(1)]
}

/// How many there are of each, by their ids; what came of one id must be the same each time.
fn received(house: &House) -> [usize; 2] {
    let mut bodies = BTreeMap::new();
    for received in house.receiver.received() {
        let body = bodies.entry(received.id().to_owned()).or_insert_with(|| received.body.clone());
        assert_eq!(*body, received.body, "one id, two webhooks");
    }
    KINDS.map(|kind| bodies.values().filter(|body| body.contains(kind)).count())
}

/// Empties the wallet in two steps and fills it again, until nobody answers.
async fn spend_until_gone(house: &House) {
    while refill(house).await.is_some() {
        for amount in [60, 40] {
            let body = json!({ "amount": amount, "reason": "test" });
            let spent = house.server.try_post(&house.ada, "/wallet/debits", "", &body).await;
            if spent.is_err() {
                return;
            }
        }
    }
}

/// Gives back all that was spent; none where nobody answers.
async fn refill(house: &House) -> Option<()> {
    let pool = house.database.pool().await;
    let spent = "select payload -> 'Debited' ->> 'debit' from events d
        where event_type = 'Debited' and not exists (
            select from events r where r.event_type = 'DebitReversed'
              and r.payload -> 'DebitReversed' ->> 'debit' = d.payload -> 'Debited' ->> 'debit')";
    let spent: Vec<String> = sqlx::query_scalar(spent).fetch_all(&pool).await.expect("debits");
    pool.close().await;
    for debit in spent {
        let path = format!("/wallet/debits/{debit}/reverse");
        let body = json!({ "reason": "back" });
        house.server.try_post(&house.ada, &path, "", &body).await.ok()?;
    }
    Some(())
}

#[tokio::test]
async fn what_happened_is_told_however_often_the_server_is_killed_and_by_one_id() {
    let mut house = House::open().await;
    let body = json!({
        "url": house.receiver.url, "events": KINDS, "low_balance_threshold": THRESHOLD,
    });
    house.listen_with(&body).await;
    house.receiver.is(Mood::Waits(Duration::from_millis(20)));
    let mut cut_short = 0;
    for kill in 0..KILLS {
        let killed = async {
            tokio::time::sleep(Duration::from_millis(900 + 137 * (kill % 5))).await;
            house.server.kill();
        };
        tokio::join!(spend_until_gone(&house), killed);
        cut_short += usize::from(received(&house) != in_the_log(&house).await);
        recover(&house).await;
        house.server = house.another();
        refill(&house).await.expect("the server answers");
    }
    assert!(cut_short > 0, "no kill came between an event and its webhook");
    house.until_told().await;
    until("all came", || async {
        house.hurry().await;
        received(&house) == in_the_log(&house).await
    })
    .await;
    let [low, depleted] = received(&house);
    assert!(low > 5 && depleted > 5, "{low} {depleted}");
    house.close().await;
}

/// What a node that died had taken is taken again, as after a minute of silence.
async fn recover(house: &House) {
    let pool = house.database.pool().await;
    let silent = "select graphile_worker.recover_dead_worker_jobs(
        array(select id from graphile_worker._private_workers))";
    sqlx::query(silent).execute(&pool).await.expect(silent);
    pool.close().await;
}

#[tokio::test]
async fn two_nodes_send_each_webhook_once() {
    let house = House::open().await;
    let others = [house.another(), house.another()];
    let body = json!({
        "url": house.receiver.url, "events": KINDS, "low_balance_threshold": THRESHOLD,
    });
    for _ in 0..3 {
        house.listen_with(&body).await;
    }
    for _ in 0..10 {
        let spent = [house.spend(60).await, house.spend(40).await];
        for debit in spent {
            house.give_back(&debit).await;
        }
    }
    house.receiver.until(KINDS[0], 30).await;
    house.receiver.until(KINDS[1], 30).await;
    house.until_sent().await;
    let all = house.receiver.received();
    let ids: BTreeSet<_> = all.iter().map(|received| received.id().to_owned()).collect();
    assert_eq!((all.len(), ids.len()), (60, 60));
    drop(others);
    house.close().await;
}
