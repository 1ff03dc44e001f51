//! A projection that forgets a kind of event is found; and a wallet as of a time is the fold of
//! what the log had then.

use aggregates::event::Event;
use aggregates::wallet::{Wallet, WalletEvent};
use chrono::{DateTime, SecondsFormat, Utc};
use cqrs_es::Aggregate;
use projections::journal::{self, Recorded};
use projections::runner;
use saldo::keys::Keys;
use saldo::store::Codec;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::audit;
use crate::lives::{self, KINDS};
use crate::support::Database;

/// Makes the read models anew up to `position`, as a projection would that has no arm for `kind`.
async fn project_without(db: &mut PgConnection, recorded: &[Recorded], kind: &str, position: i64) {
    let left: Vec<Recorded> = recorded
        .iter()
        .filter(|event| event.position <= position && name(event) != kind)
        .cloned()
        .collect();
    for projection in runner::all() {
        if projection.name() == "users" {
            continue;
        }
        let mut tx = db.begin().await.expect("the database answers");
        // What does not fit the tables halts a projection, which nobody overlooks.
        if projection.project(&mut tx, &left).await.is_ok() {
            tx.commit().await.expect("the database answers");
        }
    }
    let mark =
        format!("update projections.checkpoints set position = {position} where name <> 'users'");
    sqlx::query(AssertSqlSafe(mark)).execute(db).await.expect("the database answers");
}

fn name(recorded: &Recorded) -> &'static str {
    match &recorded.event {
        Event::Wallet(event) => event.name(),
        Event::User(_) => "",
    }
}

#[tokio::test]
async fn a_projection_that_forgets_a_kind_of_event_is_found() {
    let (database, _) = audit::lively_log().await;
    let keys = Keys::in_folder(&database.data).expect("the server has made keys");
    let pool = database.pool().await;
    let codec = Codec::new(pool.clone(), keys.wrapping());
    let mut db = pool.acquire().await.expect("the database answers");
    let page = journal::read(&mut db, &codec, &["wallet"], 0, 10_000).await.expect("the log");
    drop(db);
    pool.close().await;
    for kind in ["", "no kind"].into_iter().chain(KINDS) {
        let last = page.recorded.iter().rev().find(|event| name(event) == kind);
        let position = last.map_or(page.last, |event| event.position);
        let copy = database.copy().await;
        let pool = copy.pool().await;
        let mut db = pool.acquire().await.expect("the database answers");
        sqlx::raw_sql("truncate balances.wallets, balances.grants, balances.holds, transactions")
            .execute(&mut *db)
            .await
            .expect("a superuser");
        project_without(&mut db, &page.recorded, kind, position).await;
        drop(db);
        pool.close().await;
        let report = audit::verify(&copy).await;
        let found = audit::kinds(&report).into_iter().collect::<Vec<_>>();
        let expected: &[&str] = if KINDS.contains(&kind) { &["ReadModel"] } else { &[] };
        assert_eq!(found, expected, "without {kind}: {report}");
        copy.discard().await;
    }
    database.remove().await;
}

#[tokio::test]
async fn a_wallet_as_of_any_time_is_the_fold_of_what_the_log_had() {
    let database = Database::in_memory().await;
    let server = database.server();
    let people =
        [server.register("ada@example.com").await, server.register("ben@example.com").await];
    let store = lives::store(&database).await;
    lives::live(&store, [&people[0], &people[1]]).await;
    let mut compared = 0;
    for person in &people {
        let events: Vec<(DateTime<Utc>, serde_json::Value)> = sqlx::query_as(
            "select recorded_at, payload from events
             where aggregate_type = 'wallet' and aggregate_id = $1 order by sequence",
        )
        .bind(person.id.to_string())
        .fetch_all(store.pool())
        .await
        .expect("the log answers");
        let mut wallet = Wallet::default();
        for (place, (recorded_at, payload)) in events.iter().enumerate() {
            let event: WalletEvent = serde_json::from_value(payload.clone()).expect("an event");
            wallet.apply(event);
            if events.get(place + 1).is_some_and(|(next, _)| next == recorded_at) {
                continue;
            }
            let at = recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true);
            let answer = server.get(person, &format!("/wallet?as_of={at}")).await;
            assert_eq!(answer.status, 200, "{:?}", answer.body);
            let fold = wallet.balance(*recorded_at);
            for (name, figure) in
                [("available", fold.available), ("held", fold.held), ("debt", fold.debt)]
            {
                assert_eq!(answer.body[name], figure.get(), "{name} at {at}: {:?}", answer.body);
            }
            assert_eq!(answer.body["version"], place + 1);
            let left: i64 = wallet
                .grants()
                .filter(|(_, grant)| !grant.is_over(*recorded_at))
                .map(|(_, grant)| grant.remaining.get())
                .sum();
            assert_eq!(fold.available.get(), left, "I9 at {at}");
            compared += 1;
        }
        let before = "2020-01-01T00:00:00Z";
        let answer = server.get(person, &format!("/wallet?as_of={before}")).await;
        assert_eq!(answer.status, 404, "there was no wallet then");
    }
    assert!(compared > 40, "{compared} moments were compared");
    store.pool().close().await;
    drop(server);
    database.remove().await;
}

#[tokio::test]
async fn a_statement_opens_where_the_last_one_closed_and_its_rows_add_up() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    for amount in [10, 20, 30] {
        server.debit(&ada, amount, "").await;
    }
    let body =
        serde_json::json!({ "amount": 5, "reason": "=HYPERLINK(\"http://evil\"), a \"quote\"" });
    assert_eq!(server.post(&ada, "/wallet/debits", "", &body).await.status, 201);
    let history = server.get(&ada, "/wallet/transactions?limit=200").await.body;
    let times: Vec<String> = history["items"]
        .as_array()
        .expect("items")
        .iter()
        .rev()
        .map(|row| row["recorded_at"].as_str().expect("a time").to_owned())
        .collect();
    let (start, end) = ("2020-01-01T00:00:00Z", "2120-01-01T00:00:00Z");
    let mut closing = serde_json::json!(0);
    for (from, to) in [(start, times[2].as_str()), (times[2].as_str(), end)] {
        let statement = server.get(&ada, &format!("/wallet/statement?from={from}&to={to}")).await;
        assert_eq!(statement.status, 200, "{:?}", statement.body);
        assert_eq!(statement.body["opening"], closing);
        let moved: i64 = statement.body["items"]
            .as_array()
            .expect("items")
            .iter()
            .filter_map(|row| row["amount"].as_i64())
            .sum();
        closing = statement.body["closing"].clone();
        assert_eq!(
            statement.body["opening"].as_i64().map(|opening| opening + moved),
            closing.as_i64()
        );
    }
    assert_eq!(closing, 35);
    let csv =
        server.get(&ada, &format!("/wallet/statement?from={start}&to={end}&format=csv")).await;
    let text = csv.body.as_str().expect("a text").to_owned();
    assert_eq!(text.lines().count(), 6, "a head and five rows: {text}");
    // A spreadsheet must not take a reason for a formula; quotes are doubled (RFC 4180).
    assert!(text.contains("\"'=HYPERLINK(\"\"http://evil\"\"), a \"\"quote\"\"\""), "{text}");
    for wrong in ["from=2026-01-01T00:00:00Z&to=2025-01-01T00:00:00Z", "from=yesterday&to=now"] {
        let refused = server.get(&ada, &format!("/wallet/statement?{wrong}")).await;
        assert_eq!(refused.status, 422, "{:?}", refused.body);
    }
    drop(server);
    database.remove().await;
}
