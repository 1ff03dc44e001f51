//! A customer's own system: it listens, remembers what it was sent, and answers as it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// How it answers.
#[derive(Clone)]
pub enum Mood {
    Takes,
    Answers(u16),
    /// With a body of so many bytes.
    Babbles(usize),
    Redirects(String),
    /// Never.
    Hangs,
    /// After so long.
    Waits(Duration),
    /// After so long, and does not take it.
    Fails(Duration),
}

/// What it was sent.
#[derive(Clone, Debug)]
pub struct Received {
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Received {
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub fn payload(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub fn kind(&self) -> String {
        self.payload()["type"].as_str().expect("a type").to_owned()
    }

    /// As the libraries read it.
    pub fn case(&self, secret: &str) -> Value {
        json!({ "secret": secret, "headers": self.headers, "body": self.body })
    }
}

struct Parts {
    mood: Mutex<Mood>,
    received: Mutex<Vec<Received>>,
    /// How many are being answered, and the most there ever were.
    at_once: Mutex<(usize, usize)>,
}

/// A running receiver; ends with the test's runtime.
#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    parts: Arc<Parts>,
}

/// One that is being answered, until it is, or its sender has gone.
struct Answering(Arc<Parts>);

impl Answering {
    fn begin(parts: &Arc<Parts>) -> Self {
        let mut at_once = parts.at_once.lock().expect("nobody panicked");
        at_once.0 += 1;
        at_once.1 = at_once.1.max(at_once.0);
        Self(Arc::clone(parts))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.at_once.lock().expect("nobody panicked").0 -= 1;
    }
}

async fn take(State(parts): State<Arc<Parts>>, headers: HeaderMap, body: Bytes) -> Response {
    let _answering = Answering::begin(&parts);
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or("").to_owned();
    let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let body = String::from_utf8_lossy(&body).into_owned();
    parts.received.lock().expect("nobody panicked").push(Received { headers, body });
    let mood = parts.mood.lock().expect("nobody panicked").clone();
    match mood {
        Mood::Takes => StatusCode::NO_CONTENT.into_response(),
        Mood::Answers(status) => {
            (StatusCode::from_u16(status).expect("a status"), "no, thanks").into_response()
        }
        Mood::Babbles(bytes) => "a".repeat(bytes).into_response(),
        Mood::Redirects(to) => (StatusCode::FOUND, [("location", to)]).into_response(),
        Mood::Hangs => std::future::pending().await,
        Mood::Waits(pause) => {
            tokio::time::sleep(pause).await;
            StatusCode::NO_CONTENT.into_response()
        }
        Mood::Fails(pause) => {
            tokio::time::sleep(pause).await;
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/webhooks", listener.local_addr().expect("an address"));
        let parts = Arc::new(Parts {
            mood: Mutex::new(Mood::Takes),
            received: Mutex::default(),
            at_once: Mutex::default(),
        });
        let router = Router::new().fallback(take).with_state(Arc::clone(&parts));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, parts }
    }

    pub fn is(&self, mood: Mood) {
        *self.parts.mood.lock().expect("nobody panicked") = mood;
    }

    pub fn received(&self) -> Vec<Received> {
        self.parts.received.lock().expect("nobody panicked").clone()
    }

    /// What it was sent of this type.
    pub fn of(&self, kind: &str) -> Vec<Received> {
        self.received().into_iter().filter(|received| received.kind() == kind).collect()
    }

    /// The types of what it was sent.
    pub fn kinds(&self) -> Vec<String> {
        self.received().iter().map(Received::kind).collect()
    }

    pub fn most_at_once(&self) -> usize {
        self.parts.at_once.lock().expect("nobody panicked").1
    }

    /// The first so many of this type, when they have come.
    pub async fn until(&self, kind: &str, count: usize) -> Vec<Received> {
        until(&format!("{count} of {kind} came"), || async { self.of(kind).len() >= count }).await;
        self.of(kind)
    }
}

/// Waits until something is so.
pub async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    panic!("it is not so after 24 seconds that {what}");
}
