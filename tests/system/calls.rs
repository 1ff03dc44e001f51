//! AI calls that go wrong: the provider fails, or the client hangs up.

use std::sync::Arc;
use std::time::Duration;

use aggregates::wallet::OpenHold;
use futures_util::future::BoxFuture;
use saldo::clients::llm::{Answer, Ladder, Llm, LlmProvider, Local, ProviderError, Request};
use saldo::http;
use saldo::serve::Node;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::support::{Database, Server};

const TEXT: &str = "Credits are granted. Calls spend credits. Every credit that moved is an event.";

/// Fails where the text says how, and waits for leave where it says so.
struct Moody(Arc<Semaphore>);

impl LlmProvider for Moody {
    fn name(&self) -> &'static str {
        "local"
    }

    fn stops_when_left(&self) -> bool {
        true
    }

    fn answer<'a>(
        &'a self,
        hold: &'a OpenHold,
        model: &'a str,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async move {
            match request.messages.last().map_or("", |message| message.text.as_str()) {
                "fail: unavailable" => Err(ProviderError::Unavailable { retry_after: None }),
                "fail: refused" => Err(ProviderError::Refused),
                "fail: invalid" => Err(ProviderError::Invalid),
                "fail: timed out" => Err(ProviderError::TimedOut),
                "fail: panic" => panic!("the provider's client has a bug"),
                _ => {
                    self.0.acquire().await.expect("never closed").forget();
                    Local.answer(hold, model, request).await
                }
            }
        })
    }
}

/// A node with such a provider, in this process.
async fn node(database: &Database) -> (Node, Server, Arc<Semaphore>) {
    let leave = Arc::new(Semaphore::new(0));
    // Each failure is met once.
    let ladder = Ladder { tries: 1, ..Ladder::default() };
    let provider = Llm::with(vec![Box::new(Moody(Arc::clone(&leave)))], ladder);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("a port");
    let node = Node::start(&database.config(), address, provider).await.expect("a node");
    let url = format!("http://{address}");
    let router = http::router(node.app.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (node, Server::within(url), leave)
}

#[tokio::test]
async fn a_call_that_fails_costs_nothing_and_can_be_tried_again() {
    let database = Database::in_memory().await;
    let (node, server, leave) = node(&database).await;
    let ada = server.register("ada@example.com").await;
    for (text, status) in [
        ("fail: unavailable", 502),
        ("fail: refused", 422),
        ("fail: invalid", 502),
        ("fail: timed out", 502),
    ] {
        let answer = server.post(&ada, "/ai/analyze", text, &json!({ "text": text })).await;
        assert_eq!(answer.status, status, "{text}: {:?}", answer.body);
        let wallet = server.get(&ada, "/wallet").await.body;
        assert_eq!((&wallet["available"], &wallet["held"]), (&json!(100), &json!(0)), "{text}");
    }
    // The key of a failed call calls anew.
    let again = server
        .post(&ada, "/ai/analyze", "fail: invalid", &json!({ "text": "fail: invalid" }))
        .await;
    assert_eq!(again.status, 502, "{:?}", again.body);
    leave.add_permits(1);
    let answer = server.post(&ada, "/ai/analyze", "", &json!({ "text": TEXT })).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(server.available(&ada).await, 75);
    let analyses = server.get(&ada, "/ai/analyses").await.body;
    assert_eq!(analyses["items"].as_array().map(Vec::len), Some(1), "{analyses}");
    node.stop().await;
    database.remove().await;
}

#[tokio::test]
async fn a_provider_that_panics_keeps_no_credits() {
    let database = Database::in_memory().await;
    let (node, server, _) = node(&database).await;
    let ada = server.register("ada@example.com").await;
    let answer = server.post(&ada, "/ai/analyze", "", &json!({ "text": "fail: panic" })).await;
    assert_eq!(answer.status, 500, "{:?}", answer.body);
    assert_eq!(server.available(&ada).await, 100);
    node.stop().await;
    database.remove().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_neither_loses_credits_nor_gets_work_for_free() {
    let database = Database::in_memory().await;
    let (node, server, leave) = node(&database).await;
    let ada = server.register("ada@example.com").await;
    let body = json!({ "text": TEXT });
    let call = server.post(&ada, "/ai/summarize", "the key", &body);
    let hung_up = tokio::time::timeout(Duration::from_millis(500), call).await;
    assert!(hung_up.is_err(), "the provider waits");
    let wallet = server.get(&ada, "/wallet").await.body;
    assert_eq!((&wallet["available"], &wallet["held"]), (&json!(90), &json!(10)));
    leave.add_permits(1);
    let mut analyses = server.get(&ada, "/ai/analyses").await.body;
    for _ in 0..100 {
        if analyses["items"][0].is_object() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        analyses = server.get(&ada, "/ai/analyses").await.body;
    }
    assert_eq!(analyses["items"][0]["usage"]["credits"], 10, "{analyses}");
    let wallet = server.get(&ada, "/wallet").await.body;
    assert_eq!((&wallet["available"], &wallet["held"]), (&json!(90), &json!(0)));
    // Asked again with the key, the result is there, and nothing is charged.
    let again = server.post(&ada, "/ai/summarize", "the key", &body).await;
    assert_eq!(again.header("idempotency-replayed"), "true", "{:?}", again.body);
    assert_eq!(again.body["id"], analyses["items"][0]["id"]);
    assert_eq!(server.available(&ada).await, 90);
    node.stop().await;
    database.remove().await;
}
