//! Messages on their way: through the queue, to a mail server that is not ours and a double of
//! Twilio.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode as Status;
use reqwest::StatusCode;
use serde_json::json;

use crate::provider::{ACCOUNT, Mood, Provider, SECRET, complaint};
use crate::smtp::Smtp;
use crate::support::Database;
use crate::world::{ADA, PASSWORD, Tokens, change, login, post};

#[tokio::test]
async fn a_link_goes_by_mail_and_is_followed() {
    let Some(mut smtp) = Smtp::start(&[]).await else { return };
    let database = Database::in_memory().await;
    let mail_server = format!("smtp://127.0.0.1:{}", smtp.port);
    let settings = [
        ("SALDO_RATE_LIMITS", "off"),
        ("SALDO_VERIFY_ADDRESSES", "on"),
        ("SALDO_PUBLIC_URL", "https://saldo.example/"),
        ("SALDO_SMTP_URL", mail_server.as_str()),
        ("SALDO_MAIL_FROM", "Saldo <no-reply@saldo.example>"),
    ];
    let server = database.server_with(&database.url(), &settings);
    let body = json!({ "email": ADA, "password": PASSWORD, "name": "Ada" });
    assert_eq!(post(&server, "/auth/register", &body).await.status, StatusCode::ACCEPTED);
    let mail = smtp.mail().await;
    assert_eq!(mail.header("to"), ADA);
    let text = mail.part("text/plain");
    let (_, link) = text.split_once("https://saldo.example/verify#token=").expect("a link");
    let token = link.split_whitespace().next().expect("a token");
    let verified = post(&server, "/auth/email/verify", &json!({ "token": token })).await;
    assert_eq!(verified.status, StatusCode::NO_CONTENT, "{:?}", verified.body);
    Tokens::of(&login(&server, ADA, PASSWORD).await);

    let pool = database.pool().await;
    let kept: Vec<String> =
        sqlx::query_scalar("select j::text from graphile_worker._private_jobs j")
            .fetch_all(&pool)
            .await
            .expect("jobs");
    pool.close().await;
    assert!(kept.iter().all(|job| !job.contains(ADA)), "a job is sealed: {kept:?}");
    database.remove().await;
}

fn settings(twilio: &Provider) -> [(&str, &str); 4] {
    [
        ("SALDO_TWILIO_ACCOUNT", ACCOUNT),
        ("SALDO_TWILIO_TOKEN", SECRET),
        ("SALDO_TWILIO_FROM", "+15005550006"),
        ("SALDO_TWILIO_BASE_URL", twilio.url.as_str()),
    ]
}

/// The first message that Twilio takes.
async fn taken(twilio: &Provider) -> BTreeMap<String, String> {
    for _ in 0..300 {
        if let Some(message) = twilio.taken().into_iter().next() {
            return message;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the message is not tried again");
}

#[tokio::test]
async fn a_code_goes_by_text_message_and_is_tried_again_until_it_is_taken() {
    let twilio = Provider::start().await;
    twilio
        .is(Mood::Says(Status::SERVICE_UNAVAILABLE, complaint(Status::SERVICE_UNAVAILABLE, 20503)));
    let database = Database::in_memory().await;
    let settings = settings(&twilio);
    let server = database.server_with(&database.url(), &settings);
    let asked = json!({ "channel": "sms", "to": "+15551234567" });
    let sent = post(&server, "/auth/otp", &asked).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "who asks does not wait for Twilio");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(twilio.taken().is_empty());
    twilio.is(Mood::Takes);
    let message = taken(&twilio).await;
    assert_eq!(message["To"], "+15551234567");
    let code = message["Body"].split(' ').next().expect("a code");
    let typed = json!({ "challenge_id": sent.body["challenge_id"], "code": code });
    Tokens::of(&post(&server, "/auth/otp/verify", &typed).await);
    assert_eq!(twilio.taken().len(), 1);
    database.remove().await;
}

#[tokio::test]
async fn what_a_killed_node_was_sending_is_sent_by_a_worker() {
    let twilio = Provider::start().await;
    twilio.is(Mood::Hangs);
    let database = Database::in_memory().await;
    let server = database.server_with(&database.url(), &settings(&twilio));
    let asked = json!({ "channel": "sms", "to": "+15551234567" });
    assert_eq!(post(&server, "/auth/otp", &asked).await.status, StatusCode::ACCEPTED);
    let pool = database.pool().await;
    let is_taken =
        "select count(*) = 1 from graphile_worker._private_jobs where locked_by is not null";
    let mut tries = 0;
    while !sqlx::query_scalar::<_, bool>(is_taken).fetch_one(&pool).await.expect("an answer") {
        tries += 1;
        assert!(tries < 500, "the job is not taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    pool.close().await;
    server.kill();
    twilio.is(Mood::Takes);
    // A minute of silence goes by.
    let silent = "update graphile_worker._private_workers
        set last_heartbeat_at = last_heartbeat_at - interval '61 seconds'";
    change(&database, silent).await;
    let mut worker = database.program(&settings(&twilio)).arg("work").spawn().expect("a worker");
    assert_eq!(taken(&twilio).await["To"], "+15551234567");
    worker.kill().expect("it runs");
    worker.wait().expect("it ends");
    database.remove().await;
}
