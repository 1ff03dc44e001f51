//! A server that answers as it is told to, call by call, and remembers what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use saldo::clients::stripe::{Settings, Stripe, Url};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const SECRET_KEY: &str = "sk_test_51SaldoVerySecret";
/// Long enough for a machine that is busy; pauses are parts of it.
const TIMEOUT: Duration = Duration::from_secs(4);

/// What is said to a call.
#[derive(Clone)]
pub enum Answer {
    Json(u16, Value),
    Text(u16, &'static str),
    /// Nothing, for ever.
    Hangs,
    /// The connection ends before the answer.
    Breaks,
    /// The connection ends in the middle of it.
    Half,
}

/// What was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Such as `GET /v1/events`.
    pub what: String,
    /// Query and body.
    pub fields: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
}

impl Asked {
    pub fn key(&self) -> Option<&str> {
        self.headers.get("idempotency-key").map(String::as_str)
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

/// A running server; ends with the test's runtime.
pub struct Server {
    pub url: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
}

pub fn ok(answer: Value) -> Answer {
    Answer::Json(200, answer)
}

impl Server {
    /// Answers so, and breaks off what is asked afterwards.
    pub async fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut answers: VecDeque<Answer> = answers.into_iter().collect();
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answers.pop_front().unwrap_or(Answer::Breaks);
                tokio::spawn(serve(stream, answer, Arc::clone(&seen)));
            }
        });
        Self { url: format!("http://{address}").parse().expect("a URL"), asked }
    }

    pub fn stripe(&self) -> Stripe {
        self.stripe_within(TIMEOUT)
    }

    pub fn stripe_within(&self, timeout: Duration) -> Stripe {
        let settings =
            Settings { secret_key: SECRET_KEY.into(), base: Some(self.url.clone()), timeout };
        Stripe::new(&settings).expect("a client")
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("nobody panicked").clone()
    }

    /// What was asked, when it was one thing.
    pub fn asked_once(&self) -> Asked {
        let mut asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked.remove(0)
    }
}

async fn serve(mut stream: TcpStream, answer: Answer, seen: Arc<Mutex<Vec<Asked>>>) {
    let asked = read(&mut stream).await;
    seen.lock().expect("nobody panicked").push(asked);
    let (status, body, missing) = match answer {
        Answer::Json(status, body) => (status, body.to_string(), 0),
        Answer::Text(status, body) => (status, body.to_owned(), 0),
        Answer::Half => (200, "{\"id\": ".to_owned(), 1),
        Answer::Breaks => return,
        Answer::Hangs => return std::future::pending().await,
    };
    let length = body.len() + missing;
    let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\n\r\n");
    // The client may be gone.
    let _ = stream.write_all((head + &body).as_bytes()).await;
}

async fn read(stream: &mut TcpStream) -> Asked {
    let mut text = Vec::new();
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        if let Ok(httparse::Status::Complete(head)) = request.parse(&text) {
            let headers: BTreeMap<_, _> = request.headers.iter().map(header).collect();
            let length = headers.get("content-length").map_or(0, |n| n.parse().expect("a number"));
            if text.len() >= head + length {
                let path = request.path.expect("a path");
                let what = format!("{} {path}", request.method.expect("a method"));
                let body = str::from_utf8(&text[head..]).expect("text");
                return asked(&what, body, headers);
            }
        }
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.expect("a request");
        assert_ne!(count, 0, "the request ends");
        text.extend_from_slice(&chunk[..count]);
    }
}

fn header(header: &httparse::Header<'_>) -> (String, String) {
    let value = str::from_utf8(header.value).expect("text");
    (header.name.to_ascii_lowercase(), value.to_owned())
}

fn asked(what: &str, body: &str, headers: BTreeMap<String, String>) -> Asked {
    let (what, query) = what.split_once('?').unwrap_or((what, ""));
    let pairs = Url::parse(&format!("http://a/?{query}&{body}")).expect("a query");
    let fields = pairs.query_pairs().into_owned().filter(|(name, _)| !name.is_empty()).collect();
    Asked { what: what.to_owned(), fields, headers }
}
