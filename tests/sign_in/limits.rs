//! Limits of sign-in: windows slide, and hold for an account as they do for an address.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Database, Server};
use crate::world::{ADA, PASSWORD, limited, limits_later, login, post, post_with, register};

/// How many of so many tries to come in from this address pass: by codes that are wrong, which is told at once.
async fn passing(server: &Server, tries: usize) -> usize {
    let mut passed = 0;
    for _ in 0..tries {
        let body = json!({ "challenge_id": Uuid::now_v7(), "code": "123456" });
        let answer = post(server, "/auth/otp/verify", &body).await;
        let is_refused = answer.status == StatusCode::TOO_MANY_REQUESTS;
        assert!(
            is_refused || answer.status == StatusCode::UNPROCESSABLE_ENTITY,
            "{:?}",
            answer.body
        );
        passed += usize::from(!is_refused);
    }
    passed
}

#[tokio::test]
async fn within_any_minute_no_more_than_five_pass() {
    let database = Database::in_memory().await;
    let server = limited(&database);
    assert_eq!(passing(&server, 3).await, 3);
    limits_later(&database, 30).await;
    assert_eq!(passing(&server, 3).await, 2, "five in the minute");
    // A fifth of a minute later there is no room for a fifth of them: none has left.
    limits_later(&database, 12).await;
    assert_eq!(passing(&server, 2).await, 0, "five in the minute");
    limits_later(&database, 18).await;
    assert_eq!(passing(&server, 4).await, 3, "the first three have left");
    limits_later(&database, 30).await;
    assert_eq!(passing(&server, 3).await, 2, "and so have the two after them");
    // However long it goes on, a bucket has no more than counts.
    let kept = "select max(cardinality(tried_at)) from limits";
    let kept: i32 = sqlx::query_scalar(kept).fetch_one(database.kept().await).await.expect("rows");
    assert_eq!(kept, 5);
    database.remove().await;
}

#[tokio::test]
async fn who_comes_back_when_told_is_let_in() {
    let database = Database::in_memory().await;
    let server = limited(&database);
    assert_eq!(passing(&server, 5).await, 5);
    let refused = login(&server, ADA, PASSWORD).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let wait: i32 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    limits_later(&database, wait).await;
    assert_eq!(login(&server, ADA, PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    database.remove().await;
}

#[tokio::test]
async fn one_account_is_tried_five_times_a_minute_from_however_many_addresses() {
    let database = Database::in_memory().await;
    let ours = [("SALDO_TRUSTED_PROXIES", "127.0.0.0/8,::1/128")];
    let server = database.server_with(&database.url(), &ours);
    register(&server, ADA).await;
    let from = async |address: &str, account: &str, password: &str| {
        let body = json!({ "email": account, "password": password });
        post_with(&server, "/auth/login", &[("x-forwarded-for", address)], &body).await.status
    };
    for number in 1..=5 {
        let address = format!("198.51.100.{number}");
        assert_eq!(from(&address, ADA, "wrong horse battery").await, StatusCode::UNAUTHORIZED);
    }
    for password in ["wrong horse battery", PASSWORD] {
        let refused = from("198.51.100.6", ADA, password).await;
        assert_eq!(refused, StatusCode::TOO_MANY_REQUESTS, "from a sixth address");
    }
    let other = from("198.51.100.6", "grace@example.com", PASSWORD).await;
    assert_eq!(other, StatusCode::UNAUTHORIZED, "other accounts are not hindered");
    limits_later(&database, 60).await;
    assert_eq!(from("198.51.100.6", ADA, PASSWORD).await, StatusCode::OK);
    database.remove().await;
}

/// Sweeps, and tells how many buckets are left.
async fn swept(database: &Database) -> i64 {
    let pool = database.kept().await;
    let sweep = "select graphile_worker.add_job('sweep', '{}'::json)";
    sqlx::query(sweep).execute(pool).await.expect("a job");
    let waiting = "select count(*) from graphile_worker.jobs where task_identifier = 'sweep' and run_at <= now()";
    for _ in 0..400 {
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(pool).await.expect("jobs");
        if waiting == 0 {
            let left = sqlx::query_scalar("select count(*) from limits").fetch_one(pool).await;
            return left.expect("buckets");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody sweeps");
}

#[tokio::test]
async fn a_bucket_is_swept_when_it_counts_nothing_any_more() {
    let database = Database::in_memory().await;
    let server = limited(&database);
    login(&server, ADA, PASSWORD).await;
    // Those of the address and of the account count for a minute, that of wrong passwords for an hour.
    assert_eq!(swept(&database).await, 3);
    limits_later(&database, 60).await;
    assert_eq!(swept(&database).await, 1);
    limits_later(&database, 3600 - 60).await;
    assert_eq!(swept(&database).await, 0);
    database.remove().await;
}
