//! Who is slow keeps nobody else waiting.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::receiver::{Mood, Receiver, until};
use crate::webhook_house::House;

#[tokio::test]
async fn one_endpoint_gets_a_few_at_once_and_all_in_the_end() {
    let house = House::open().await;
    house.receiver.is(Mood::Waits(Duration::from_millis(150)));
    let opened = house.listen(&["*"]).await;
    join_all((0..20).map(|_| house.test(&opened.id))).await;
    house.receiver.until("endpoint.test", 20).await;
    assert!((2..=3).contains(&house.receiver.most_at_once()), "{}", house.receiver.most_at_once());
    let mut ids: Vec<_> =
        house.receiver.received().iter().map(|received| received.id().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20);
    house.close().await;
}

/// More endpoints hang than a worker has hands for one of them; no connection to the database is held.
#[tokio::test]
async fn who_hangs_keeps_neither_others_nor_mail_nor_the_database_waiting() {
    let house = House::open().await;
    let hanging = Receiver::start().await;
    hanging.is(Mood::Hangs);
    for _ in 0..9 {
        let opened = house.listen_with(&json!({ "url": hanging.url })).await;
        for _ in 0..4 {
            house.test(&opened.id).await;
        }
    }
    until("all hang that may", || async { hanging.received().len() == 27 }).await;
    let pool = house.database.pool().await;
    let open = "select count(*) from pg_stat_activity
        where datname = current_database() and state like 'idle in transaction%'
          and state_change < clock_timestamp() - interval '1 second'";
    let open: i64 = sqlx::query_scalar(open).fetch_one(&pool).await.expect("a count");
    pool.close().await;
    assert_eq!(open, 0);
    let opened = house.listen(&["*"]).await;
    house.test(&opened.id).await;
    house.receiver.until("endpoint.test", 1).await;
    assert_eq!(hanging.received().len(), 27, "nobody has given up yet");
    house.close().await;
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_told_so() {
    let house = House::open().await;
    house.receiver.is(Mood::Hangs);
    let opened = house.listen(&["*"]).await;
    house.test(&opened.id).await;
    let delivery = house.tried(&opened.id, 1).await;
    let attempt = &delivery["attempts"][0];
    assert_eq!(attempt["error"], "the server did not answer within 15 seconds");
    assert_eq!((&attempt["status"], &attempt["response"]), (&Value::Null, &Value::Null));
    assert!(attempt["duration_ms"].as_i64().is_some_and(|took| (15_000..20_000).contains(&took)));
    assert_eq!(delivery["state"], "waiting");
    house.close().await;
}
