//! Errors, as Sentry is told of them: what a line of the log says, and nothing of people.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::Database;

const EMAIL: &str = "lovelace@analytical.example";
const REASON: &str = "a letter to Babbage";

type Told = Arc<Mutex<Vec<(HeaderMap, String)>>>;

async fn take(State(told): State<Told>, headers: HeaderMap, body: String) -> axum::Json<Value> {
    told.lock().expect("nobody panics").push((headers, body));
    axum::Json(Value::Null)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_is_told_before_the_node_has_ended_and_nothing_of_people() {
    let database = Database::in_memory().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let dsn = format!("http://a-key@{}/7", listener.local_addr().expect("its address"));
    let told = Told::default();
    let routes = Router::new().route("/api/7/envelope/", post(take)).with_state(Arc::clone(&told));
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let settings = [("SENTRY_DSN", dsn.as_str()), ("SALDO_RATE_LIMITS", "off")];
    let mut server = database.server_with(&database.url(), &settings);
    let ada = server.register(EMAIL).await;
    let pool = database.pool().await;
    let refuse = "alter table events add check (event_type <> 'Debited') not valid";
    sqlx::query(refuse).execute(&pool).await.expect("a log that refuses");
    pool.close().await;
    let body = json!({ "amount": 1, "reason": REASON });
    assert!(server.post(&ada, "/wallet/debits", "", &body).await.status.is_server_error());
    server.stop();
    let told = told.lock().expect("nobody panics").clone();
    assert!(!told.is_empty());
    let mut messages = Vec::new();
    for (headers, body) in &told {
        let authorization = headers["x-sentry-auth"].to_str().expect("text");
        assert!(authorization.contains("sentry_key=a-key"), "{authorization}");
        let event: Value =
            serde_json::from_str(body.lines().nth(2).expect("an event")).expect(body);
        // What has no other level is an error.
        assert!(event["level"].is_null() || event["level"] == "error", "{event:#}");
        assert_eq!(event["environment"], "local");
        assert_eq!(event["release"], concat!("saldo@", env!("CARGO_PKG_VERSION")));
        for person in ["user", "server_name", "request", "breadcrumbs"] {
            assert!(event.get(person).is_none_or(Value::is_null), "{person}: {event:#}");
        }
        for secret in [EMAIL, REASON, &ada.token, "correct horse battery"] {
            assert!(!body.contains(secret), "{secret}: {body}");
        }
        messages.push(event["message"].as_str().unwrap_or_default().to_owned());
    }
    assert!(messages.contains(&"a request failed".to_owned()), "{messages:?}");
    database.remove().await;
}
