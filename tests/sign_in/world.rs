//! The words of these tests: a server, who knocks, and what is in the mail.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Database, Server};

pub const PASSWORD: &str = "correct horse battery";
pub const ADA: &str = "ada@example.com";

/// A server whose limits count, as for customers.
pub fn limited(database: &Database) -> Server {
    database.server_with(&database.url(), &[])
}

/// Whether a key may go in so many minutes, by what `saldo keys retire` says, but for those that the test has taken.
pub fn goes_in(minutes: i64, said: &str) -> bool {
    let at = said.rsplit("can go before ").next().and_then(|at| at.trim().parse().ok());
    let left = at.map(|at: DateTime<Utc>| (at - saldo::clock::now()).num_seconds());
    left.is_some_and(|left| (60 * (minutes - 2)..=60 * minutes).contains(&left))
}

/// Posts without having signed in.
pub async fn post(server: &Server, path: &str, body: &Value) -> Answer {
    post_with(server, path, &[], body).await
}

pub async fn post_with(
    server: &Server,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Answer {
    let path = format!("/api/v1{path}");
    server.send(Method::POST, &path, headers, Some(body)).await.expect("the server answers")
}

/// Asks by an access token.
pub async fn ask(server: &Server, method: Method, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let path = format!("/api/v1{path}");
    server.send(method, &path, &headers, None).await.expect("the server answers")
}

/// The same with a body.
pub async fn send(
    server: &Server,
    method: Method,
    path: &str,
    token: &str,
    body: &Value,
) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let path = format!("/api/v1{path}");
    server.send(method, &path, &headers, Some(body)).await.expect("the server answers")
}

pub async fn register(server: &Server, email: &str) -> Tokens {
    let body = json!({ "email": email, "password": PASSWORD, "name": "Ada" });
    Tokens::of(&post(server, "/auth/register", &body).await)
}

/// Proves that the account's address is its owner's, in a session of the account.
pub async fn verify(server: &Server, tokens: &Tokens, email: &str) {
    post(server, "/auth/email/verification", &json!({ "email": email })).await;
    let body = json!({ "token": link(server, email, 1).await });
    let verified = send(server, Method::POST, "/auth/email/verify", &tokens.access, &body).await;
    assert_eq!(verified.status, StatusCode::NO_CONTENT, "{:?}", verified.body);
}

pub async fn login(server: &Server, email: &str, password: &str) -> Answer {
    post(server, "/auth/login", &json!({ "email": email, "password": password })).await
}

pub async fn refresh(server: &Server, token: &str) -> Answer {
    post(server, "/auth/refresh", &json!({ "refresh_token": token })).await
}

/// What somebody who is in has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    pub user: Value,
}

impl Tokens {
    pub fn of(answer: &Answer) -> Self {
        assert!(answer.status.is_success(), "{:?}", answer.body);
        let text = |name: &str| answer.body[name].as_str().expect(name).to_owned();
        let user = answer.body["user"].clone();
        Self { access: text("access_token"), refresh: text("refresh_token"), user }
    }

    /// Whether the access token is good.
    pub async fn are_good(&self, server: &Server) -> bool {
        let answer = ask(server, Method::GET, "/me", &self.access).await;
        assert!([StatusCode::OK, StatusCode::UNAUTHORIZED].contains(&answer.status));
        answer.status == StatusCode::OK
    }
}

/// The newest message to somebody, when there are as many as that.
pub async fn message(server: &Server, to: &str, count: usize) -> Value {
    for _ in 0..200 {
        let inbox = server.send(Method::GET, "/dev/inbox", &[], None).await.expect("an inbox");
        let items = inbox.body["items"].as_array().cloned().unwrap_or_default();
        let mut theirs = items.into_iter().filter(|item| item["sent_to"] == to).collect::<Vec<_>>();
        if theirs.len() >= count {
            return theirs.remove(0);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{to} did not get {count} messages");
}

/// The token of the link in the newest message.
pub async fn link(server: &Server, to: &str, count: usize) -> String {
    let message = message(server, to, count).await;
    let text = message["text"].as_str().expect("a text");
    let (_, rest) = text.split_once("#token=").unwrap_or_else(|| panic!("no link in {text}"));
    rest.split_whitespace().next().expect("a token").to_owned()
}

/// The code in the newest message.
pub async fn code(server: &Server, to: &str, count: usize) -> String {
    let message = message(server, to, count).await;
    let text = message["text"].as_str().expect("a text");
    let mut words = text.split(|c: char| !c.is_ascii_digit());
    words.find(|word| word.len() == 6).unwrap_or_else(|| panic!("no code in {text}")).to_owned()
}

/// Lets the cool-down of what is sent to anybody be over.
pub async fn cool_down(database: &Database) {
    let forgotten = sqlx::query("delete from limits").execute(database.kept().await).await;
    forgotten.expect("the limits are forgotten");
}

/// Lets so many seconds pass for what limits count.
pub async fn limits_later(database: &Database, seconds: i32) {
    let moved = sqlx::query(
        "update limits set empty_at = empty_at - make_interval(secs => $1),
             tried_at = array(select tried - make_interval(secs => $1) from unnest(tried_at) tried)",
    )
    .bind(f64::from(seconds))
    .execute(database.kept().await)
    .await;
    moved.expect("the limits are moved");
}

/// Executes a statement as time or an administrator would.
pub async fn change(database: &Database, statement: &'static str) {
    sqlx::query(statement).execute(database.kept().await).await.expect(statement);
}
