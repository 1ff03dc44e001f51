//! Text messages, as a provider gets them.

use std::time::Duration;

use axum::http::StatusCode;
use saldo::clients::sms::{Sms, SmsError, SmsSender, SmsSettings, code_text};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::provider::{ACCOUNT, Mood, Provider, SECRET, complaint};

const ADA: &str = "+4915112345678";

fn from(number: &str) -> SmsSender {
    SmsSender::From(number.to_owned())
}

fn twilio(provider: &Provider, auth_token: &str, sender: SmsSender) -> Sms {
    let settings = SmsSettings::Twilio {
        base_url: format!("{}/", provider.url),
        account_sid: ACCOUNT.to_owned(),
        auth_token: auth_token.into(),
        sender,
    };
    Sms::new(settings).expect("settings")
}

fn webhook(provider: &Provider, secret: &str) -> Sms {
    let url = format!("{}/sms", provider.url);
    Sms::new(SmsSettings::Webhook { url, secret: secret.into() }).expect("settings")
}

async fn send(sms: &Sms) -> Result<(), SmsError> {
    sms.send(ADA, &code_text("123456", 10), Uuid::nil()).await
}

async fn refused(sms: &Sms) -> SmsError {
    let error = send(sms).await.expect_err("a refusal");
    let said = format!("{error} {error:?}");
    for private in [ADA, "123456", SECRET, ACCOUNT] {
        assert!(!said.contains(private), "{said}");
    }
    error
}

#[tokio::test]
async fn twilio_takes_a_message() {
    let provider = Provider::start().await;
    let service = SmsSender::MessagingService("MG42".to_owned());
    for (sender, field, value) in
        [(from("+15005550006"), "From", "+15005550006"), (service, "MessagingServiceSid", "MG42")]
    {
        send(&twilio(&provider, SECRET, sender)).await.expect("sent");
        let text = "123456 is your Saldo code. It is valid for 10 minutes.";
        let message = provider.taken().pop().expect("a message");
        assert_eq!(json!(message), json!({ "To": ADA, field: value, "Body": text }));
    }
}

#[tokio::test]
async fn a_webhook_takes_a_message_with_the_id_that_it_has_at_each_try() {
    let provider = Provider::start().await;
    let (sms, id) = (webhook(&provider, SECRET), Uuid::now_v7());
    for _ in 0..2 {
        sms.send(ADA, "Grüße & 100 %", id).await.expect("sent");
    }
    let message = json!({ "id": id, "to": ADA, "text": "Grüße & 100 %", "idempotency-key": id });
    assert_eq!(json!(provider.taken()), json!([message, message]));
}

#[tokio::test]
async fn whom_the_provider_does_not_know_may_be_let_in_later() {
    let provider = Provider::start().await;
    for stranger in [twilio(&provider, "wrong", from("Saldo")), webhook(&provider, "wrong")] {
        let error = refused(&stranger).await;
        assert!(matches!(error, SmsError::NotLetIn(StatusCode::UNAUTHORIZED)), "{error:?}");
        assert!(!error.is_permanent(), "an operator can repair it");
    }
    assert!(provider.taken().is_empty());
}

#[tokio::test]
async fn what_the_provider_refuses_for_now_is_tried_again() {
    let provider = Provider::start().await;
    for sms in [twilio(&provider, SECRET, from("Saldo")), webhook(&provider, SECRET)] {
        for status in [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::CONFLICT,
            StatusCode::INTERNAL_SERVER_ERROR,
            StatusCode::SERVICE_UNAVAILABLE,
        ] {
            provider.is(Mood::Says(status, complaint(status, 20429)));
            let error = refused(&sms).await;
            assert!(matches!(error, SmsError::Deferred(its) if its == status), "{error:?}");
            assert!(!error.is_permanent());
        }
        provider.is(Mood::Takes);
        send(&sms).await.expect("sent");
    }
}

#[tokio::test]
async fn what_the_provider_refuses_for_ever_is_not_tried_again() {
    let provider = Provider::start().await;
    let wrong = StatusCode::BAD_REQUEST;
    for (sms, answer, code) in [
        (twilio(&provider, SECRET, from("Saldo")), complaint(wrong, 21211), Some(21211)),
        (twilio(&provider, SECRET, from("Saldo")), json!("no"), None),
        (webhook(&provider, SECRET), Value::Null, None),
    ] {
        provider.is(Mood::Says(wrong, answer));
        let error = refused(&sms).await;
        let refused = SmsError::Refused { status: wrong, code };
        assert_eq!(error.to_string(), refused.to_string());
        assert!(error.is_permanent());
    }
}

#[tokio::test]
async fn an_answer_that_is_not_twilios_is_not_asked_for_twice() {
    let provider = Provider::start().await;
    let sms = twilio(&provider, SECRET, from("Saldo"));
    for answer in [json!({ "status": "queued" }), json!("A".repeat(100_000))] {
        provider.is(Mood::Says(StatusCode::OK, answer));
        let error = refused(&sms).await;
        assert!(matches!(error, SmsError::Invalid) && error.is_permanent(), "{error:?}");
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_or_says_nothing_is_tried_again() {
    let provider = Provider::start().await;
    provider.is(Mood::Hangs);
    for sms in [twilio(&provider, SECRET, from("Saldo")), webhook(&provider, SECRET)] {
        let error = refused(&sms.within(Duration::from_millis(200))).await;
        assert!(matches!(error, SmsError::TimedOut) && !error.is_permanent(), "{error:?}");
    }
    // Nobody listens on the port of tcpmux.
    let mut nowhere = provider;
    nowhere.url = "http://127.0.0.1:1".to_owned();
    for sms in [twilio(&nowhere, SECRET, from("Saldo")), webhook(&nowhere, SECRET)] {
        let error = refused(&sms).await;
        assert!(matches!(error, SmsError::Unreachable(_)) && !error.is_permanent(), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_no_number_is_not_posted() {
    let provider = Provider::start().await;
    let error = webhook(&provider, SECRET).send("0151 2345678", "hello", Uuid::nil()).await;
    let error = error.expect_err("a refusal");
    assert!(matches!(error, SmsError::Number) && error.is_permanent(), "{error:?}");
    assert!(provider.taken().is_empty());
}
