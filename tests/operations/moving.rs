//! What a node tells of its read models and of its writer moves with them: up while they wait, and back.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::scrape::{Scrape, until};
use crate::support::{Database, Person, Server};

const LAG: &str = "saldo_projection_lag_events";
const SECONDS: &str = "saldo_projection_lag_seconds";
const WAITING: &str = "saldo_append_waiting";
const EVENTS: &str = "saldo_append_batch_events_sum";
const BATCHES: &str = "saldo_append_batch_events_count";
/// People who spend at the same time.
const PEOPLE: usize = 10;

async fn debit(server: &Server, person: &Person) {
    let debited = server.debit(person, 1, "").await;
    assert_eq!(debited.status, StatusCode::CREATED, "{:?}", debited.body);
}

/// Has an administrator decide about a read model.
async fn decide(server: &Server, root: &Person, model: &str, what: &str) {
    let bearer = format!("Bearer {}", root.token);
    let headers = [("authorization", bearer.as_str())];
    let path = format!("/api/v1/admin/projections/{model}/{what}");
    let decided = server.send(Method::POST, &path, &headers, Some(&json!({}))).await;
    let decided = decided.expect("an answer");
    assert!(decided.status.is_success(), "{:?}", decided.body);
}

#[tokio::test]
async fn a_read_model_that_is_paused_lags_until_it_goes_on() {
    let database = Database::in_memory().await;
    let server = database.server();
    let root = server.register("root@example.com").await;
    let (granted, said) = database.run(&["admin", "grant", "root@example.com"]);
    assert!(granted, "{said}");
    let model = [("name", "transactions")];
    let rests = |scrape: &Scrape| {
        (scrape.find(LAG, &model), scrape.find(SECONDS, &model)) == (Some(0), Some(0))
    };
    until(&server, "a read model that has all", rests).await;
    decide(&server, &root, "transactions", "pause").await;
    for _ in 0..3 {
        debit(&server, &root).await;
    }
    // What was written before the pause may not have been seen, and what pauses is written as well.
    let lags = |scrape: &Scrape| {
        scrape.sum("saldo_projection_paused", &model) == 1
            && scrape.sum(LAG, &model) >= 3
            && scrape.sum(SECONDS, &model) >= 1
    };
    let paused = until(&server, "a read model that lags", lags).await;
    let others = until(&server, "others that do not", |scrape| {
        scrape.find(LAG, &[("name", "balances")]) == Some(0)
    });
    assert!(others.await.sum(LAG, &model) >= paused.sum(LAG, &model), "it has gone on");
    decide(&server, &root, "transactions", "resume").await;
    until(&server, "a read model that has all again", rests).await;
    drop(server);
    database.remove().await;
}

#[tokio::test]
async fn what_waits_for_the_log_is_told_and_then_goes_together() {
    let database = Database::in_memory().await;
    let server = database.server();
    let mut people = vec![];
    for number in 0..PEOPLE {
        people.push(server.register(&format!("{number}@example.com")).await);
    }
    let before = until(&server, "nobody who waits", |it| it.find(WAITING, &[]) == Some(0)).await;
    // Whoever holds the end of the log keeps its writer waiting.
    let pool = database.pool().await;
    let mut held = pool.begin().await.expect("a transaction");
    let end = "select position from log_head for update";
    sqlx::query(end).execute(&mut *held).await.expect("the end of the log");
    let spend = join_all(people.iter().map(|person| debit(&server, person)));
    let watch = async {
        // One batch is under way; who has come meanwhile waits for the next.
        until(&server, "units that wait", |it| it.sum(WAITING, &[]) > 1).await;
        held.rollback().await.expect("the log is free");
    };
    tokio::join!(spend, watch);
    let after = until(&server, "nobody who waits", |it| it.find(WAITING, &[]) == Some(0)).await;
    let grown = |name: &str| after.sum(name, &[]) - before.sum(name, &[]);
    let people = i64::try_from(PEOPLE).expect("a few");
    assert!(grown(EVENTS) >= people, "{} events", grown(EVENTS));
    assert!(grown(BATCHES) < people, "{} events in {} batches", grown(EVENTS), grown(BATCHES));
    pool.close().await;
    drop(server);
    database.remove().await;
}
