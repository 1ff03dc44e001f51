//! What is tried again, and what is known of it in the end.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use saldo::clients::stripe::{
    Customer, NewCustomer, Settings, Stripe, StripeError, Subscription, TIMEOUT,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::answers::{customer, subscription};
use crate::server::{Answer, SECRET_KEY, Server, ok};

fn says(status: u16, code: &str) -> Answer {
    let kind = if status == 402 { "card_error" } else { "invalid_request_error" };
    Answer::Json(status, json!({ "error": { "type": kind, "code": code, "message": "m" } }))
}

fn fails(status: u16) -> Answer {
    Answer::Json(status, json!({ "error": { "type": "api_error", "message": "m" } }))
}

const HTML: Answer = Answer::Text(502, "<html>Bad gateway</html>");

async fn write(stripe: &Stripe) -> Result<Customer, StripeError> {
    let customer = NewCustomer { user: Uuid::nil(), email: None, name: None };
    stripe.create_customer(&customer, "user-0:customer").await
}

async fn read(stripe: &Stripe) -> Result<Subscription, StripeError> {
    stripe.subscription("sub_1").await
}

#[tokio::test]
async fn a_write_is_tried_again_with_the_same_key() {
    let lock = says(409, "lock_timeout");
    let server = Server::answering([fails(500), fails(429), HTML, lock, ok(customer())]).await;
    assert!(write(&server.stripe()).await.is_ok());
    let keys: Vec<_> = server.asked().iter().map(|asked| asked.key().map(str::to_owned)).collect();
    assert_eq!(keys, vec![Some("user-0:customer".to_owned()); 5]);
    let bodies: Vec<_> = server.asked().into_iter().map(|asked| asked.fields).collect();
    assert!(bodies.windows(2).all(|two| two[0] == two[1]), "{bodies:?}");
}

#[tokio::test]
async fn whatever_may_pass_is_tried_again() {
    let in_use = says(409, "idempotency_key_in_use");
    let passing = [
        fails(500),
        fails(503),
        fails(424),
        fails(429),
        says(429, "lock_timeout"),
        in_use,
        HTML,
        Answer::Text(200, "not JSON"),
        Answer::Breaks,
        Answer::Half,
    ];
    let tried = passing.into_iter().enumerate().map(|(n, fault)| async move {
        let server = Server::answering([fault.clone(), ok(customer())]).await;
        assert!(write(&server.stripe()).await.is_ok(), "write {n}");
        let server = Server::answering([fault, ok(subscription())]).await;
        assert!(read(&server.stripe()).await.is_ok(), "read {n}");
        assert!(server.asked().iter().all(|asked| asked.key().is_none()), "reads need no key");
    });
    join_all(tried).await;
}

#[tokio::test]
async fn what_hangs_is_tried_again() {
    let server = Server::answering([Answer::Hangs, ok(customer())]).await;
    assert!(write(&server.stripe_within(Duration::from_millis(500))).await.is_ok());
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn what_will_not_change_is_not_tried_again() {
    let invalid = |code: &str| StripeError::Invalid { code: Some(code.to_owned()), param: None };
    let declined = StripeError::Declined {
        code: Some("card_declined".to_owned()),
        decline_code: None,
        intent: None,
    };
    for (answer, error) in [
        (says(402, "card_declined"), declined),
        (says(400, "parameter_missing"), invalid("parameter_missing")),
        (says(401, "api_key_expired"), StripeError::Refused),
        (says(403, "more_permissions_required"), StripeError::Refused),
        (says(404, "resource_missing"), StripeError::NotFound),
    ] {
        let server = Server::answering([answer.clone()]).await;
        assert_eq!(write(&server.stripe()).await, Err(error.clone()));
        assert_eq!(server.asked().len(), 1);
        let server = Server::answering([answer]).await;
        assert_eq!(read(&server.stripe()).await, Err(error));
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_write_that_may_have_happened_is_ambiguous() {
    let maybe = [fails(500), HTML, Answer::Breaks, says(409, "idempotency_key_in_use")];
    let tried = maybe.into_iter().map(|fault| async move {
        let server = Server::answering(vec![fault.clone(); 5]).await;
        assert_eq!(write(&server.stripe()).await, Err(StripeError::Ambiguous));
        assert_eq!(server.asked().len(), 5);
        let mut answers = vec![fails(429); 5];
        answers[0] = fault.clone();
        let server = Server::answering(answers).await;
        assert_eq!(write(&server.stripe()).await, Err(StripeError::Ambiguous));
        let server = Server::answering([fault, says(401, "api_key_expired")]).await;
        assert_eq!(write(&server.stripe()).await, Err(StripeError::Ambiguous));
    });
    join_all(tried).await;
}

#[tokio::test]
async fn an_answer_about_the_write_ends_the_doubt() {
    let server = Server::answering([fails(500), says(402, "card_declined")]).await;
    let error = write(&server.stripe()).await.expect_err("a decline");
    assert!(matches!(error, StripeError::Declined { .. }), "{error:?}");
}

#[tokio::test]
async fn a_write_that_did_not_happen_is_not_ambiguous() {
    for fault in [fails(429), says(409, "lock_timeout")] {
        let server = Server::answering(vec![fault; 5]).await;
        assert_eq!(write(&server.stripe()).await, Err(StripeError::Busy));
        assert_eq!(server.asked().len(), 5);
    }
}

#[tokio::test]
async fn a_read_changes_nothing_and_is_never_ambiguous() {
    for fault in [fails(500), HTML, Answer::Breaks] {
        let server = Server::answering(vec![fault; 5]).await;
        assert_eq!(read(&server.stripe()).await, Err(StripeError::Unavailable));
    }
}

#[tokio::test]
async fn nothing_happens_where_nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let base = Some(format!("http://{address}").parse().expect("a URL"));
    let timeout = Duration::from_secs(1);
    let stripe = Stripe::new(&Settings { secret_key: SECRET_KEY.into(), base, timeout });
    let stripe = stripe.expect("a client");
    assert_eq!(write(&stripe).await, Err(StripeError::Unavailable));
}

#[tokio::test]
async fn a_call_ends_though_stripe_never_answers() {
    let timeout = Duration::from_millis(400);
    let server = Server::answering(vec![Answer::Hangs; 9]).await;
    let began = Instant::now();
    assert_eq!(write(&server.stripe_within(timeout)).await, Err(StripeError::Ambiguous));
    assert!(began.elapsed() < timeout * 6, "{:?}", began.elapsed());
    assert!(server.asked().len() <= 3, "{}", server.asked().len());
    assert!(TIMEOUT * 3 <= Duration::from_mins(1), "a job can wait for it");
}

#[tokio::test]
async fn a_key_that_stripe_would_not_take_is_not_sent() {
    let server = Server::answering([ok(customer())]).await;
    let new = NewCustomer { user: Uuid::nil(), email: None, name: None };
    for key in ["", "with space", "line\nbreak", "ü", &"k".repeat(256)] {
        let error = server.stripe().create_customer(&new, key).await.expect_err("a refusal");
        let param = Some("idempotency_key".to_owned());
        assert_eq!(error, StripeError::Invalid { code: None, param });
    }
    assert_eq!(server.asked().len(), 0);
}

#[tokio::test]
async fn ending_what_is_over_already_is_no_error() {
    let over = |mut subscription: Value| {
        subscription["status"] = json!("canceled");
        ok(subscription)
    };
    let missing = says(404, "resource_missing");
    let server = Server::answering([Answer::Breaks, missing, over(subscription())]).await;
    let ended = server.stripe().cancel_now("sub_1").await.expect("a subscription");
    assert_eq!(ended.status.as_str(), "canceled");
    let asked: Vec<_> = server.asked().into_iter().map(|asked| asked.what).collect();
    let (delete, get) = ("DELETE /v1/subscriptions/sub_1", "GET /v1/subscriptions/sub_1");
    assert_eq!(asked, [delete, delete, get]);
}
