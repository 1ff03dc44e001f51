//! What an error says, and what nothing that prints ever says.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use saldo::clients::stripe::{Link, NewPayment, Stripe, StripeError};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::answers::{checkout, payment_intent};
use crate::server::{Answer, SECRET_KEY, Server, ok};

/// What is written in it, for the test to read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("nobody panicked")).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn decline() -> Value {
    let mut intent = payment_intent();
    intent["client_secret"] = json!("pi_1_secret_Hidden");
    intent["status"] = json!("requires_payment_method");
    json!({ "error": {
        "type": "card_error",
        "code": "card_declined",
        "decline_code": "insufficient_funds",
        "message": "Your card, ada@example.org, has insufficient funds.",
        "request_log_url": "https://dashboard.stripe.com/logs/req_1",
        "payment_intent": intent,
    } })
}

async fn pay(stripe: &Stripe) -> Result<String, StripeError> {
    let payment = NewPayment {
        customer: "cus_1",
        payment_method: "pm_1",
        amount: 900,
        currency: "USD",
        description: None,
        metadata: [].into(),
    };
    stripe.create_payment(&payment, "recharge-1").await.map(|intent| intent.id)
}

#[tokio::test]
async fn a_decline_says_why_and_which_payment() {
    let server = Server::answering([Answer::Json(402, decline())]).await;
    let error = pay(&server.stripe()).await.expect_err("a decline");
    let StripeError::Declined { code, decline_code, intent } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(code.as_deref(), Some("card_declined"));
    assert_eq!(decline_code.as_deref(), Some("insufficient_funds"));
    assert_eq!(intent.as_deref(), Some("pi_1"));
    assert_eq!(error.to_string(), "the payment was declined: card_declined");
}

#[tokio::test]
async fn a_refusal_says_what_is_wrong() {
    let refusal = json!({ "error": {
        "type": "invalid_request_error",
        "code": "resource_missing",
        "param": "line_items[0][price]",
        "message": "No such price: 'price_1'",
    } });
    let server = Server::answering([Answer::Json(400, refusal)]).await;
    let error = pay(&server.stripe()).await.expect_err("a refusal");
    let said = "Stripe refuses the request: resource_missing in line_items[0][price]";
    assert_eq!(error.to_string(), said);
}

#[tokio::test]
async fn a_key_that_was_used_otherwise_is_told_apart() {
    let refusal = json!({ "error": { "type": "idempotency_error", "message": "Keys for …" } });
    let server = Server::answering([Answer::Json(400, refusal)]).await;
    let error = pay(&server.stripe()).await.expect_err("a refusal");
    let code = Some("idempotency_error".to_owned());
    assert_eq!(error, StripeError::Invalid { code, param: None });
}

#[tokio::test]
async fn nothing_that_prints_holds_a_secret() {
    let log = Log::default();
    // For the whole program: what other threads log at the same time must not hold a secret either.
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
    subscriber.with_ansi(false).with_writer(log.clone()).init();
    let unauthorized = json!({ "error": {
        "type": "invalid_request_error",
        "message": format!("Invalid API Key provided: {SECRET_KEY}"),
    } });
    let mut paid = payment_intent();
    paid["client_secret"] = json!("pi_1_secret_Hidden");
    let answers =
        [Answer::Json(402, decline()), Answer::Json(401, unauthorized), Answer::Breaks, ok(paid)];
    let server = Server::answering(answers).await;
    let stripe = server.stripe();
    let mut said = vec![format!("{stripe:?}")];
    for _ in 0..2 {
        let error = pay(&stripe).await.expect_err("an error");
        said.push(format!("{error} {error:?}"));
    }
    assert_eq!(pay(&stripe).await.as_deref(), Ok("pi_1"));
    let logged = log.text();
    assert!(logged.contains("insufficient_funds") && logged.contains("logs/req_1"), "{logged}");
    said.push(logged);
    let said = said.join("\n");
    for secret in [SECRET_KEY, "secret_Hidden", "ada@example.org"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
}

#[tokio::test]
async fn the_links_of_persons_do_not_print() {
    let server = Server::answering([ok(checkout())]).await;
    let checkout = server.stripe().checkout("cs_1").await.expect("a checkout");
    let url = "https://checkout.stripe.example/c/pay/cs_1#secret";
    assert_eq!(checkout.url.as_ref().map(Link::as_str), Some(url));
    assert!(!format!("{checkout:?}").contains("https://"), "{checkout:?}");
}
