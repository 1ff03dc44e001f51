//! Webhooks, against an endpoint of the test's own.

use std::sync::{Arc, Mutex};

use crate::stripe::{Delivered, Envelope, Manner, NEXT_WEBHOOK_SECRET, Shape, WEBHOOK_SECRET};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;

use crate::support::{DAY, Shop, text};

/// Takes what is well signed, unless it is down.
#[derive(Clone, Default)]
pub struct Endpoint(Arc<Mutex<Inbox>>);

#[derive(Default)]
struct Inbox {
    taken: Vec<Value>,
    /// The same with their headers, as they came.
    bodies: Vec<(String, String)>,
    down: bool,
}

impl Endpoint {
    #[expect(clippy::disallowed_methods, reason = "it ends with the runtime of its test")]
    pub async fn listen(shop: &Shop) -> Self {
        let endpoint = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let router = Router::new().route("/hook", post(take)).with_state(endpoint.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        shop.stripe.webhooks_go_to(shop.client.clone(), &url);
        shop.stripe.lose("*");
        endpoint
    }

    pub fn bodies(&self) -> Vec<(String, String)> {
        self.0.lock().expect("nobody panicked").bodies.clone()
    }

    fn is_down(&self, down: bool) {
        self.0.lock().expect("nobody panicked").down = down;
    }

    fn taken(&self) -> Vec<String> {
        self.0
            .lock()
            .expect("nobody panicked")
            .taken
            .iter()
            .map(|event| text(&event["type"]))
            .collect()
    }
}

async fn take(State(endpoint): State<Endpoint>, headers: HeaderMap, body: String) -> StatusCode {
    let mut inbox = endpoint.0.lock().expect("nobody panicked");
    if inbox.down {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let header = headers["stripe-signature"].to_str().expect("text");
    if !is_signed(header, &body, WEBHOOK_SECRET) {
        return StatusCode::BAD_REQUEST;
    }
    inbox.bodies.push((header.to_owned(), body.clone()));
    inbox.taken.push(serde_json::from_str(&body).expect("JSON"));
    StatusCode::OK
}

/// Stripe's rule, written down a second time.
fn is_signed(header: &str, body: &str, secret: &str) -> bool {
    let parts: Vec<_> = header.split(',').filter_map(|part| part.split_once('=')).collect();
    let Some((_, at)) = parts.iter().find(|(name, _)| *name == "t") else { return false };
    let fresh =
        at.parse::<i64>().is_ok_and(|at| (chrono::Local::now().timestamp() - at).abs() < 300);
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(at.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let bytes = mac.finalize().into_bytes();
    let hex = bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    fresh && parts.iter().any(|(name, value)| *name == "v1" && *value == hex)
}

#[tokio::test]
async fn events_arrive_in_order_signed_and_once() {
    let shop = Shop::open().await;
    let endpoint = Endpoint::listen(&shop).await;
    shop.subscribed(&shop.basic).await;
    let delivered = shop.stripe.deliver().await;
    assert!(delivered.iter().all(|sent| sent.status == Some(200)), "{delivered:?}");
    let all: Vec<_> = shop.stripe.events().iter().map(|event| text(&event["type"])).collect();
    assert!(all.ends_with(&endpoint.taken()));
    assert!(shop.stripe.deliver().await.is_empty());
    shop.subscribed(&shop.pro).await;
    let sent = shop.stripe.deliver_in(Manner::in_order().twice().at_once()).await;
    assert!(sent.iter().all(Delivered::is_taken));
    assert!(shop.stripe.waiting().is_empty());
}

#[tokio::test]
async fn delivery_can_be_shuffled_doubled_delayed_and_lost() {
    let shop = Shop::open().await;
    let endpoint = Endpoint::listen(&shop).await;
    shop.subscribed(&shop.basic).await;
    let waiting = shop.stripe.waiting().len();
    shop.stripe.hold_back("invoice.*");
    let lost = shop.stripe.lose("charge.succeeded");
    assert_eq!(lost, 1);
    let sent = shop.stripe.deliver_in(Manner::shuffled(42).twice()).await;
    assert!(sent.iter().all(|sent| !sent.kind.starts_with("invoice.")));
    shop.stripe.let_go();
    let late = shop.stripe.deliver().await;
    assert!(late.iter().all(|sent| sent.kind.starts_with("invoice.")));
    assert_eq!(sent.len() / 2 + late.len() + lost, waiting);
    assert_eq!(endpoint.taken().len(), sent.len() + late.len());
    let event = &sent[0].event;
    assert!(shop.stripe.redeliver(event).await.is_taken());
}

#[tokio::test]
async fn the_same_seed_is_the_same_order() {
    let mut orders = Vec::new();
    for seed in [1, 1, 2] {
        let shop = Shop::open().await;
        Endpoint::listen(&shop).await;
        shop.subscribed(&shop.basic).await;
        let sent = shop.stripe.deliver_in(Manner::shuffled(seed)).await;
        orders.push(sent.into_iter().map(|sent| sent.event).collect::<Vec<_>>());
    }
    assert_eq!(orders[0], orders[1]);
    assert_ne!(orders[0], orders[2]);
}

#[tokio::test]
async fn what_is_not_taken_is_tried_again_for_three_days() {
    let shop = Shop::open().await;
    let endpoint = Endpoint::listen(&shop).await;
    endpoint.is_down(true);
    shop.checkout().await;
    shop.post("customers", &[("email", "x@y.test")]).await;
    assert_eq!(shop.stripe.deliver().await[0].status, Some(500));
    assert_eq!(shop.stripe.waiting().len(), 1);
    endpoint.is_down(false);
    assert!(shop.stripe.deliver_until_taken(3).await[0].is_taken());
    endpoint.is_down(true);
    shop.post("customers", &[("email", "z@y.test")]).await;
    shop.stripe.advance(4 * DAY);
    assert!(shop.stripe.deliver().await.iter().all(|sent| sent.kind != "customer.created"));
    assert_eq!(shop.stripe.events_of("customer.created").len(), 3);
}

#[tokio::test]
async fn envelopes_can_be_wrong() {
    let shop = Shop::open().await;
    let endpoint = Endpoint::listen(&shop).await;
    let id =
        text(&shop.stripe.make_event("unheard.of", &json!({ "id": "x_1", "object": "x" }))["id"]);
    let old = chrono::Local::now().timestamp() - 301;
    let next = || vec![NEXT_WEBHOOK_SECRET.to_owned()];
    let both = vec![NEXT_WEBHOOK_SECRET.to_owned(), WEBHOOK_SECRET.to_owned()];
    let cases = [
        (Envelope::default(), 200),
        (Envelope { secrets: both, ..Envelope::default() }, 200),
        (Envelope { secrets: next(), ..Envelope::default() }, 400),
        (Envelope { at: Some(old), ..Envelope::default() }, 400),
        (Envelope { tampered: true, ..Envelope::default() }, 400),
        (
            Envelope { livemode: true, account: Some("acct_other".into()), ..Envelope::default() },
            200,
        ),
    ];
    for (envelope, expected) in cases {
        shop.stripe.wrap_in(envelope.clone());
        assert_eq!(shop.stripe.redeliver(&id).await.status, Some(expected), "{envelope:?}");
    }
    let inbox = endpoint.0.lock().expect("nobody panicked");
    let last = inbox.taken.last().expect("an event");
    assert_eq!((&last["livemode"], &last["account"]), (&json!(true), &json!("acct_other")));
}

#[tokio::test]
async fn old_shapes_have_the_period_on_top_and_the_payment_in_the_invoice() {
    let shop = Shop::open().await;
    shop.stripe.events_in(Shape::Old);
    let id = shop.subscribed(&shop.basic).await;
    let made = &shop.stripe.events_of("customer.subscription.created")[0];
    assert_eq!(made["api_version"], "2024-12-18.acacia");
    let object = &made["data"]["object"];
    assert!(object["current_period_end"].is_i64());
    assert_eq!(object["items"]["data"][0]["current_period_end"], Value::Null);
    assert_eq!(object["items"]["data"][0]["plan"]["id"], *shop.basic);
    let paid = &shop.stripe.events_of("invoice.paid")[0]["data"]["object"];
    assert_eq!((&paid["subscription"], &paid["parent"]), (&json!(id), &Value::Null));
    assert!(paid["charge"].is_string() && paid["payment_intent"].is_string());
    assert_eq!(shop.get(&format!("subscriptions/{id}")).await.1["current_period_end"], Value::Null);
    shop.stripe.answers_in(Shape::Old);
    assert!(shop.get(&format!("subscriptions/{id}")).await.1["current_period_end"].is_i64());
}
