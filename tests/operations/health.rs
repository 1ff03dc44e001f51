//! How a node says how it is.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::redis_server::RedisServer;
use crate::scrape::Scrape;
use crate::support::{Database, Server};

async fn ask(server: &Server, path: &str) -> (StatusCode, Value) {
    let answer = server.send(Method::GET, path, &[], None).await.expect("an answer");
    (answer.status, answer.body)
}

/// Asks until it is so; what is asked is asked once a second.
async fn until(server: &Server, path: &str, status: StatusCode) -> Value {
    for _ in 0..200 {
        let (found, body) = ask(server, path).await;
        if found == status {
            return body;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} is not {status}: {:?}", ask(server, path).await);
}

#[tokio::test]
async fn a_node_that_is_well_says_so_and_what_is_not_configured_is_off() {
    let database = Database::in_memory().await;
    let server = database.server();
    for path in ["/livez", "/readyz"] {
        assert_eq!(ask(&server, path).await.0, StatusCode::OK, "{path}");
    }
    let (status, all) = ask(&server, "/healthz").await;
    assert_eq!((status, &all["status"]), (StatusCode::OK, &"ok".into()));
    for (part, is) in [("db", "ok"), ("redis", "off"), ("stripe", "off"), ("ai", "ok")] {
        assert_eq!(all[part]["status"], is, "{part}: {all}");
        let (status, found) = ask(&server, &format!("/healthz/{part}")).await;
        assert_eq!((status, &found["status"]), (StatusCode::OK, &is.into()), "{part}");
    }
    assert_eq!(ask(&server, "/healthz/nothing").await.0, StatusCode::NOT_FOUND);
    let (status, info) = ask(&server, "/info").await;
    assert_eq!((status, &info["name"]), (StatusCode::OK, &"saldo".into()));
    assert_eq!(info["environment"], "local");
    database.remove().await;
}

#[tokio::test]
async fn a_redis_that_dies_degrades_a_node_which_stays_ready() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let database = Database::in_memory().await;
    let url = redis.url();
    let settings = [("REDIS_URL", url.as_str()), ("SALDO_RATE_LIMITS", "off")];
    let server = database.server_with(&database.url(), &settings);
    until(&server, "/healthz/redis", StatusCode::OK).await;
    redis.kill();
    let found = until(&server, "/healthz", StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!((&found["redis"]["status"], &found["db"]["status"]), (&"down".into(), &"ok".into()));
    assert_eq!(ask(&server, "/readyz").await.0, StatusCode::OK);
    redis.restart().await;
    until(&server, "/healthz", StatusCode::OK).await;
    database.remove().await;
}

#[tokio::test]
async fn a_node_without_its_database_lives_and_is_not_ready() {
    let database = Database::in_memory().await;
    let server = database.server();
    until(&server, "/readyz", StatusCode::OK).await;
    // Its database is gone for good.
    database.discard().await;
    let found = until(&server, "/healthz", StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(found["db"]["status"], "down");
    until(&server, "/readyz", StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(ask(&server, "/livez").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_node_whose_requests_wait_for_one_another_stays_ready_and_says_what_it_counts() {
    let database = Database::in_memory().await;
    let settings = [("SALDO_DATABASE_CONNECTIONS", "3"), ("SALDO_RATE_LIMITS", "off")];
    let server = database.server_with(&database.url(), &settings);
    let ada = server.register("ada@example.com").await;
    let key = json!({ "name": "robot", "scopes": ["wallet_read"] });
    let key = server.post(&ada, "/me/api-keys", "", &key).await.body;
    let bearer = format!("Bearer {}", key["secret"].as_str().expect("a secret"));
    let headers = [("authorization", bearer.as_str())];
    let pool = database.pool().await;
    let mut tx = pool.begin().await.expect("a transaction");
    let lock = "lock table api_keys in access exclusive mode";
    sqlx::query(lock).execute(&mut *tx).await.expect("the table is kept from requests");
    let waiting =
        join_all((0..8).map(|_| server.send(Method::GET, "/api/v1/wallet", &headers, None)));
    let watching = async {
        let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.expect("a count") < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // For longer than an answer is good, and another may take.
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(4) {
            assert_eq!(ask(&server, "/readyz").await.0, StatusCode::OK);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(Scrape::of(&server).await.sum("saldo_database_up", &[]), 1);
        tx.rollback().await.expect("the table is free");
    };
    let (answers, ()) = tokio::join!(waiting, watching);
    assert!(answers.iter().flatten().all(|answer| answer.status == StatusCode::OK));
    pool.close().await;
    database.remove().await;
}
