//! Links by mail: another password, a verified address.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use crate::support::{Database, Server};
use crate::world::{
    ADA, PASSWORD, Tokens, change, cool_down, link, login, message, post, register,
};

const OTHER: &str = "four quiet violet engines";

async fn forgot(server: &Server, email: &str) {
    let sent = post(server, "/auth/password/forgot", &json!({ "email": email })).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{:?}", sent.body);
}

async fn reset(server: &Server, token: &str, password: &str) -> StatusCode {
    let body = json!({ "token": token, "password": password });
    post(server, "/auth/password/reset", &body).await.status
}

#[tokio::test]
async fn a_forgotten_password_is_set_again_by_a_link_that_is_good_once() {
    let database = Database::in_memory().await;
    let server = database.server();
    let before = register(&server, ADA).await;
    forgot(&server, ADA).await;
    let token = link(&server, ADA, 1).await;
    // A password that is refused does not use up the link.
    assert_eq!(reset(&server, &token, "password").await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(reset(&server, &token, OTHER).await, StatusCode::NO_CONTENT);
    assert_eq!(reset(&server, &token, PASSWORD).await, StatusCode::UNPROCESSABLE_ENTITY);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!before.are_good(&server).await, "all sessions end");
    assert_eq!(login(&server, ADA, PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    let entered = Tokens::of(&login(&server, ADA, OTHER).await);
    assert_eq!(entered.user["email_verified"], true, "the link proves the address");
    database.remove().await;
}

#[tokio::test]
async fn a_link_is_good_for_a_while_and_for_what_it_was_sent_for() {
    let database = Database::in_memory().await;
    let server = database.server();
    register(&server, ADA).await;
    forgot(&server, ADA).await;
    let token = link(&server, ADA, 1).await;
    let verified = post(&server, "/auth/email/verify", &json!({ "token": token })).await;
    assert_eq!(verified.status, StatusCode::UNPROCESSABLE_ENTITY, "a reset verifies nothing");
    change(&database, "update challenges set expires_at = now() - interval '1 second'").await;
    assert_eq!(reset(&server, &token, OTHER).await, StatusCode::UNPROCESSABLE_ENTITY);
    database.remove().await;
}

#[tokio::test]
async fn nobody_learns_from_a_forgotten_password_who_has_an_account() {
    let database = Database::in_memory().await;
    let server = database.server();
    register(&server, ADA).await;
    let mut said = vec![];
    for email in [ADA, "nobody@example.com"] {
        let answer = post(&server, "/auth/password/forgot", &json!({ "email": email })).await;
        said.push((answer.status, answer.body));
    }
    assert_eq!(said[0], said[1]);
    message(&server, ADA, 1).await;
    let pool = database.pool().await;
    let sent: i64 = sqlx::query_scalar("select count(*) from dev_inbox where sent_to <> $1")
        .bind(ADA)
        .fetch_one(&pool)
        .await
        .expect("a count");
    pool.close().await;
    assert_eq!(sent, 0, "nobody is written to");
    database.remove().await;
}

#[tokio::test]
async fn where_addresses_are_verified_nobody_comes_in_before() {
    let database = Database::in_memory().await;
    let settings = [("SALDO_RATE_LIMITS", "off"), ("SALDO_VERIFY_ADDRESSES", "on")];
    let server = database.server_with(&database.url(), &settings);
    let body = json!({ "email": ADA, "password": PASSWORD });
    let told = post(&server, "/auth/register", &body).await;
    assert_eq!(told.status, StatusCode::ACCEPTED, "{:?}", told.body);
    let refused = login(&server, ADA, PASSWORD).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::FORBIDDEN, &json!("email_not_verified"))
    );
    let token = link(&server, ADA, 1).await;

    // Somebody who registers an address that is taken is told the same.
    cool_down(&database).await;
    let again = post(&server, "/auth/register", &json!({ "email": ADA, "password": OTHER })).await;
    assert_eq!((again.status, &again.body), (told.status, &told.body));

    let verified = post(&server, "/auth/email/verify", &json!({ "token": token })).await;
    assert_eq!(verified.status, StatusCode::NO_CONTENT, "{:?}", verified.body);
    let twice = post(&server, "/auth/email/verify", &json!({ "token": token })).await;
    assert_eq!(twice.status, StatusCode::UNPROCESSABLE_ENTITY);
    let entered = Tokens::of(&login(&server, ADA, PASSWORD).await);
    assert_eq!(entered.user["email_verified"], true);
    assert_eq!(login(&server, ADA, OTHER).await.status, StatusCode::UNAUTHORIZED);
    database.remove().await;
}

#[tokio::test]
async fn who_wrote_another_s_address_down_first_does_not_get_in_when_its_owner_registers() {
    let database = Database::in_memory().await;
    let settings = [("SALDO_RATE_LIMITS", "off"), ("SALDO_VERIFY_ADDRESSES", "on")];
    let server = database.server_with(&database.url(), &settings);
    post(&server, "/auth/register", &json!({ "email": ADA, "password": OTHER })).await;
    cool_down(&database).await;
    post(&server, "/auth/register", &json!({ "email": ADA, "password": PASSWORD })).await;
    // The owner follows what came of her own registration.
    let token = link(&server, ADA, 2).await;
    assert_eq!(reset(&server, &token, PASSWORD).await, StatusCode::NO_CONTENT);
    assert_eq!(login(&server, ADA, OTHER).await.status, StatusCode::UNAUTHORIZED);
    Tokens::of(&login(&server, ADA, PASSWORD).await);
    database.remove().await;
}

#[tokio::test]
async fn a_link_that_is_followed_outside_of_the_account_s_session_takes_the_account_over() {
    let database = Database::in_memory().await;
    let server = database.server();
    let attacker = register(&server, ADA).await;
    post(&server, "/auth/email/verification", &json!({ "email": ADA })).await;
    let token = link(&server, ADA, 1).await;
    let verified = post(&server, "/auth/email/verify", &json!({ "token": token })).await;
    assert_eq!(verified.status, StatusCode::NO_CONTENT);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!attacker.are_good(&server).await);
    assert_eq!(login(&server, ADA, PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    database.remove().await;
}

#[tokio::test]
async fn where_nobody_sends_text_messages_nobody_is_promised_one() {
    let database = Database::in_memory().await;
    let settings = [("SALDO_ENV", "staging"), ("SALDO_SMTP_URL", "smtp://127.0.0.1:1")];
    let server = database.server_with(&database.url(), &settings);
    let asked = json!({ "channel": "sms", "to": "+15551234567" });
    let refused = post(&server, "/auth/otp", &asked).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.body["errors"]["channel"].is_string());
    let inbox =
        server.send(reqwest::Method::GET, "/dev/inbox", &[], None).await.expect("an answer");
    assert_eq!(inbox.status, StatusCode::NOT_FOUND, "only in the local environment");
    database.remove().await;
}
