//! Requests that would have no end: of handlers that panic or take too long, and of clients who send too slowly.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use reqwest::{Method, StatusCode};
use saldo::clients::llm::{Llm, Local};
use saldo::http;
use saldo::serve::Node;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Answer, Database, Server};

/// How long a handler of these tests may take.
const WITHIN: Duration = Duration::from_millis(300);
/// How long a body may take that is as short as usual.
const IN_TIME: Duration = Duration::from_secs(34);

/// What was logged, kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<Value> {
        let bytes = self.0.lock().expect("nobody panicked").clone();
        let text = String::from_utf8(bytes).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

async fn panics() -> &'static str {
    panic!("a handler with a bug")
}

/// A node in this process with handlers that go wrong, and the same guards as all others have.
async fn node(database: &Database) -> (Node, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("a port");
    let llm = Llm::new(vec![Box::new(Local)]);
    let node = Node::start(&database.config(), address, llm).await.expect("a node");
    let router = Router::new()
        .route("/panics", get(panics))
        .route("/waits", get(std::future::pending::<()>))
        .route("/answers", get(async || "an answer"));
    let router = http::guarded(router, &node.app, WITHIN).with_state(node.app.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (node, Server::within(format!("http://{address}")))
}

async fn ask(server: &Server, path: &str) -> Answer {
    server.send(Method::GET, path, &[], None).await.expect("an answer")
}

/// It is a problem that says which request it is of.
fn is_problem(answer: &Answer, status: StatusCode, code: &str) {
    assert_eq!(answer.status, status, "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.body["code"], code);
    assert_eq!(answer.body["request_id"], answer.header("x-request-id"));
}

#[tokio::test]
async fn a_handler_that_panics_has_failed_and_is_logged_and_the_next_request_is_answered() {
    let database = Database::in_memory().await;
    let (node, server) = node(&database).await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    let logging = tracing::subscriber::set_default(subscriber);
    let failed = ask(&server, "/panics").await;
    is_problem(&failed, StatusCode::INTERNAL_SERVER_ERROR, "failed");
    assert!(!failed.body.to_string().contains("bug"), "{}", failed.body);
    let errors: Vec<_> = log.lines().into_iter().filter(|line| line["level"] == "ERROR").collect();
    let [error] = errors.as_slice() else { panic!("{errors:?}") };
    assert_eq!(error["fields"]["request_id"], failed.header("x-request-id"));
    assert_eq!(error["fields"]["cause"], "a handler panicked");
    drop(logging);
    assert_eq!(ask(&server, "/answers").await.body, "an answer");
    node.stop().await;
    database.remove().await;
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_given_up_and_may_be_asked_again() {
    let database = Database::in_memory().await;
    let (node, server) = node(&database).await;
    let (began, given_up) = (Instant::now(), ask(&server, "/waits").await);
    assert!(began.elapsed() >= WITHIN, "{:?}", began.elapsed());
    is_problem(&given_up, StatusCode::SERVICE_UNAVAILABLE, "busy");
    assert!(given_up.header("retry-after").parse::<u64>().is_ok(), "{:?}", given_up.headers);
    assert_eq!(ask(&server, "/answers").await.body, "an answer");
    node.stop().await;
    database.remove().await;
}

/// Sends a head, and a byte a second of the body that it tells of; what is answered until the other end lets go.
async fn trickle(server: &Server, path: &str) -> String {
    let address = server.url.trim_start_matches("http://");
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (mut reading, mut writing) = stream.into_split();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: saldo\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
    );
    writing.write_all(head.as_bytes()).await.expect("it is written");
    let sending = async {
        loop {
            // Who is not read any more is told by what is answered.
            let _ = writing.write_all(b" ").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let mut answer = vec![];
    let answered = async {
        // However it ends, it has ended.
        while reading.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {}
    };
    tokio::select! {
        () = answered => {}
        () = sending => {}
    }
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn a_body_that_comes_a_byte_a_second_is_not_waited_for_and_its_connection_is_let_go() {
    let database = Database::in_memory().await;
    let server = database.server();
    let began = Instant::now();
    let answer = trickle(&server, "/api/v1/auth/login").await;
    assert!((IN_TIME..IN_TIME * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    let problem: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(problem["code"], "too_late");
    assert!(head.contains(problem["request_id"].as_str().expect("an id")), "{answer}");
    drop(server);
    database.remove().await;
}
