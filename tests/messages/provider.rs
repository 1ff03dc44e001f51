//! A double of Twilio and of an operator's webhook: it checks who posts, keeps what it takes, and
//! answers as it is told.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const ACCOUNT: &str = "AC0123456789abcdef";
pub const SECRET: &str = "the secret";

/// What the next messages are answered with.
#[derive(Clone)]
pub enum Mood {
    Takes,
    Says(StatusCode, Value),
    Hangs,
}

/// The provider, on a port of its own.
#[derive(Clone)]
pub struct Provider {
    pub url: String,
    inbox: Arc<Mutex<Inbox>>,
}

struct Inbox {
    mood: Mood,
    taken: Vec<BTreeMap<String, String>>,
}

impl Provider {
    #[expect(clippy::disallowed_methods, reason = "it ends with the runtime of its test")]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("a port"));
        let inbox = Arc::new(Mutex::new(Inbox { mood: Mood::Takes, taken: Vec::new() }));
        let provider = Self { url, inbox };
        let router = Router::new()
            .route("/2010-04-01/Accounts/{account}/Messages.json", post(twilio))
            .route("/sms", post(webhook))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub fn is(&self, mood: Mood) {
        self.inbox.lock().expect("no test panicked here").mood = mood;
    }

    /// What was taken so far, as it was posted.
    pub fn taken(&self) -> Vec<BTreeMap<String, String>> {
        self.inbox.lock().expect("no test panicked here").taken.clone()
    }

    /// Takes a message as the mood is; how many there are then.
    async fn take(&self, message: BTreeMap<String, String>) -> Result<usize, Response> {
        let mood = self.inbox.lock().expect("no test panicked here").mood.clone();
        match mood {
            Mood::Hangs => pending().await,
            Mood::Says(status, answer) => Err((status, Json(answer)).into_response()),
            Mood::Takes => {
                let mut inbox = self.inbox.lock().expect("no test panicked here");
                inbox.taken.push(message);
                Ok(inbox.taken.len())
            }
        }
    }
}

async fn twilio(
    State(provider): State<Provider>,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Response> {
    let basic = format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}:{SECRET}")));
    if account != ACCOUNT || header(&headers, "authorization") != basic {
        return Err(error(StatusCode::UNAUTHORIZED, 20003));
    }
    if header(&headers, "content-type") != "application/x-www-form-urlencoded" {
        return Err(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, 20006));
    }
    let uri: Uri =
        format!("/?{body}").parse().map_err(|_| error(StatusCode::BAD_REQUEST, 20001))?;
    let form = Query::<BTreeMap<String, String>>::try_from_uri(&uri);
    let Query(form) = form.map_err(|_| error(StatusCode::BAD_REQUEST, 20001))?;
    // A message needs somebody to, somebody from, and something in it.
    for (field, code) in [("To", 21604), ("Body", 21602)] {
        if form.get(field).is_none_or(String::is_empty) {
            return Err(error(StatusCode::BAD_REQUEST, code));
        }
    }
    if !form.contains_key("From") && !form.contains_key("MessagingServiceSid") {
        return Err(error(StatusCode::BAD_REQUEST, 21603));
    }
    let number = provider.take(form).await?;
    let answer =
        json!({ "sid": format!("SM{number:032x}"), "status": "queued", "error_code": null });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn webhook(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Json(mut message): Json<BTreeMap<String, String>>,
) -> Result<Response, Response> {
    if header(&headers, "authorization") != format!("Bearer {SECRET}") {
        return Err(StatusCode::UNAUTHORIZED.into_response());
    }
    let key = header(&headers, "idempotency-key");
    message.insert("idempotency-key".to_owned(), key);
    provider.take(message).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// A refusal as Twilio words it.
pub fn error(status: StatusCode, code: u32) -> Response {
    (status, Json(complaint(status, code))).into_response()
}

pub fn complaint(status: StatusCode, code: u32) -> Value {
    let more = format!("https://www.twilio.com/docs/errors/{code}");
    json!({ "code": code, "message": "no: +4915112345678", "more_info": more, "status": status.as_u16() })
}

fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}
