//! One-time codes, by text message and by mail.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Database, Server};
use crate::world::{
    ADA, PASSWORD, Tokens, ask, change, code, cool_down, limits_later, login, post, register,
};

const PHONE: &str = "+15551234567";

async fn send(server: &Server, channel: &str, to: &str) -> Answer {
    post(server, "/auth/otp", &json!({ "channel": channel, "to": to })).await
}

/// The id of a code that was sent.
fn challenge(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{:?}", answer.body);
    answer.body["challenge_id"].clone()
}

async fn typed(server: &Server, challenge: &Value, code: &str) -> Answer {
    post(server, "/auth/otp/verify", &json!({ "challenge_id": challenge, "code": code })).await
}

/// A code that is not this one.
fn other_than(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

#[tokio::test]
async fn whoever_has_only_a_telephone_signs_up_and_in_by_it() {
    let database = Database::in_memory().await;
    let server = database.server();
    let first = challenge(&send(&server, "sms", "+1 (555) 123-4567").await);
    let new = Tokens::of(&typed(&server, &first, &code(&server, PHONE, 1).await).await);
    assert_eq!((&new.user["phone"], &new.user["email"]), (&json!(PHONE), &Value::Null));
    let wallet = ask(&server, Method::GET, "/wallet", &new.access).await;
    assert_eq!(wallet.body["available"], 100, "free credits are there at once");
    cool_down(&database).await;
    let second = challenge(&send(&server, "sms", PHONE).await);
    let again = Tokens::of(&typed(&server, &second, &code(&server, PHONE, 2).await).await);
    assert_eq!(again.user["id"], new.user["id"]);
    database.remove().await;
}

#[tokio::test]
async fn a_code_is_good_once_and_for_its_own_challenge() {
    let database = Database::in_memory().await;
    let server = database.server();
    let mine = challenge(&send(&server, "email", ADA).await);
    let others = challenge(&send(&server, "email", "grace@example.com").await);
    let code = code(&server, ADA, 1).await;
    let wrong = typed(&server, &others, &code).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(typed(&server, &mine, &code).await.status, StatusCode::OK);
    let twice = typed(&server, &mine, &code).await;
    assert_eq!(twice.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(twice.body["errors"]["code"].is_string());
    database.remove().await;
}

#[tokio::test]
async fn of_fifty_parallel_right_codes_one_comes_in() {
    let database = Database::in_memory().await;
    let server = database.server();
    let sent = challenge(&send(&server, "email", ADA).await);
    let code = code(&server, ADA, 1).await;
    let typed = (0..50).map(|_| typed(&server, &sent, &code));
    let answers = futures_util::future::join_all(typed).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::OK).count(), 1);
    database.remove().await;
}

#[tokio::test]
async fn a_code_is_guessed_five_times_however_many_guess_at_once() {
    let database = Database::in_memory().await;
    let (one, two) = (database.server(), database.server());
    let sent = challenge(&send(&one, "email", ADA).await);
    let code = code(&one, ADA, 1).await;
    let wrong = other_than(&code);
    let guesses = (0..50).map(|turn| typed(if turn % 2 == 0 { &one } else { &two }, &sent, wrong));
    for answer in futures_util::future::join_all(guesses).await {
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let pool = database.pool().await;
    let counted: i32 =
        sqlx::query_scalar("select attempts from challenges").fetch_one(&pool).await.expect("one");
    pool.close().await;
    assert_eq!(counted, 5);
    let late = typed(&one, &sent, &code).await;
    assert_eq!(late.status, StatusCode::UNPROCESSABLE_ENTITY, "the right one comes too late");
    database.remove().await;
}

#[tokio::test]
async fn a_code_is_too_old_after_ten_minutes() {
    let database = Database::in_memory().await;
    let server = database.server();
    let answer = send(&server, "email", ADA).await;
    assert_eq!(answer.body["expires_in"], 600);
    let sent = challenge(&answer);
    let code = code(&server, ADA, 1).await;
    change(&database, "update challenges set expires_at = expires_at - interval '10 minutes'")
        .await;
    assert_eq!(typed(&server, &sent, &code).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    database.remove().await;
}

#[tokio::test]
async fn another_code_may_be_asked_for_after_a_while_and_not_for_ever() {
    let database = Database::in_memory().await;
    let server = database.server();
    challenge(&send(&server, "sms", PHONE).await);
    let soon = send(&server, "sms", PHONE).await;
    assert_eq!(soon.status, StatusCode::TOO_MANY_REQUESTS);
    let wait: i64 = soon.header("retry-after").parse().expect("seconds");
    assert!((1..=30).contains(&wait), "{wait}");
    // Somebody else need not wait.
    challenge(&send(&server, "sms", "+15557654321").await);
    for _ in 0..4 {
        limits_later(&database, 31).await;
        challenge(&send(&server, "sms", PHONE).await);
    }
    limits_later(&database, 31).await;
    assert_eq!(send(&server, "sms", PHONE).await.status, StatusCode::TOO_MANY_REQUESTS);
    database.remove().await;
}

#[tokio::test]
async fn who_registered_another_s_address_is_out_when_its_owner_comes() {
    let database = Database::in_memory().await;
    let server = database.server();
    let attacker = register(&server, ADA).await;
    // A telephone of the attacker's own is no way back.
    let phone = json!({ "channel": "sms", "to": PHONE, "password": PASSWORD });
    let added = crate::world::send(&server, Method::POST, "/me/contacts", &attacker.access, &phone);
    let added = challenge(&added.await);
    let body = json!({ "challenge_id": added, "code": code(&server, PHONE, 1).await });
    let added =
        crate::world::send(&server, Method::POST, "/me/contacts/verify", &attacker.access, &body);
    assert_eq!(added.await.status, StatusCode::NO_CONTENT);
    let sent = challenge(&send(&server, "email", ADA).await);
    let owner = Tokens::of(&typed(&server, &sent, &code(&server, ADA, 1).await).await);
    assert_eq!(owner.user["id"], attacker.user["id"], "the address has one account");
    assert_eq!(owner.user["email_verified"], true);
    let wrong = login(&server, ADA, PASSWORD).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "the password that was there is gone");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(!attacker.are_good(&server).await && owner.are_good(&server).await);
    let refreshed = crate::world::refresh(&server, &attacker.refresh).await;
    assert_eq!(refreshed.status, StatusCode::UNAUTHORIZED);
    cool_down(&database).await;
    let sent = challenge(&send(&server, "sms", PHONE).await);
    let back = Tokens::of(&typed(&server, &sent, &code(&server, PHONE, 2).await).await);
    assert_ne!(back.user["id"], owner.user["id"]);
    let (clean, said) = database.run(&["verify"]);
    assert!(clean, "{said}");
    database.remove().await;
}

#[tokio::test]
async fn an_account_whose_address_is_verified_keeps_its_password() {
    let database = Database::in_memory().await;
    let server = database.server();
    for turn in 1..=2 {
        let sent = challenge(&send(&server, "email", ADA).await);
        let entered = Tokens::of(&typed(&server, &sent, &code(&server, ADA, turn).await).await);
        assert!(entered.are_good(&server).await);
        cool_down(&database).await;
    }
    database.remove().await;
}
