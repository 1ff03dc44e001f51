//! Traces of the path of a command, as a collector is told of them: whole, in the caller's trace, and about nobody.

use std::fs::File;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::collector::{Collector, Told};
use crate::support::{Answer, Database, Person, Server};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const EMAIL: &str = "lovelace@analytical.example";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const REASON: &str = "nobody shall know that it rained in Halifax";
/// More than the last spans may take, with all else that a node does when it stops.
const QUICK: Duration = Duration::from_secs(8);

/// A process that ends with the test, however that ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn settings(collector: &str) -> [(&'static str, &str); 2] {
    [("SALDO_RATE_LIMITS", "off"), (ENDPOINT, collector)]
}

/// Spends within a trace of the caller's.
async fn debit(server: &Server, ada: &Person) -> Answer {
    let (bearer, parent) = (format!("Bearer {}", ada.token), format!("00-{TRACE}-{CALLER}-01"));
    let headers = [
        ("authorization", bearer.as_str()),
        ("traceparent", parent.as_str()),
        ("tracestate", "secret=of-the-caller"),
        ("x-request-id", "a-request"),
    ];
    let body = json!({ "amount": 3, "reason": REASON });
    let path = format!("/api/v1/wallet/debits?q={EMAIL}");
    let debited = server.send(Method::POST, &path, &headers, Some(&body)).await;
    let debited = debited.expect("an answer");
    assert_eq!(debited.status, StatusCode::CREATED, "{:?}", debited.body);
    debited
}

/// The one span of the caller's trace that is called so.
fn of_the_trace<'a>(told: &'a [Told], name: &str) -> &'a Told {
    let is = |told: &&Told| told.trace() == TRACE && told.span.name == name;
    let found: Vec<_> = told.iter().filter(is).collect();
    assert_eq!(found.len(), 1, "{name}: {told:#?}");
    found[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_debit_is_told_from_the_callers_span_to_the_batch_in_the_log() {
    let (database, collector) = (Database::in_memory().await, Collector::start().await);
    let mut server = database.server_with(&database.url(), &settings(&collector.url));
    let ada = server.register(EMAIL).await;
    let debited = debit(&server, &ada).await;
    assert_eq!(server.get(&ada, "/wallet").await.status, StatusCode::OK);
    assert_eq!(server.send(Method::GET, "/livez", &[], None).await.expect("it").status, 200);
    // The last spans are sent before the node has ended.
    server.stop();
    let told = collector.told();
    let request = of_the_trace(&told, "POST /api/v1/wallet/debits");
    let [command, decide, append, batch] =
        ["command wallet", "decide", "append", "batch"].map(|name| of_the_trace(&told, name));
    assert_eq!(request.parent(), CALLER);
    for (child, parent) in
        [(command, request), (decide, command), (append, command), (batch, append)]
    {
        assert_eq!(child.parent(), parent.id(), "{child:?}");
        assert!(child.span.start_time_unix_nano >= parent.span.start_time_unix_nano);
        assert!(child.span.end_time_unix_nano >= child.span.start_time_unix_nano);
    }
    let position = debited.header("x-event-position");
    for (told, key, value) in [
        (request, "http.route", "/api/v1/wallet/debits"),
        (request, "http.request.method", "POST"),
        (request, "http.response.status_code", "201"),
        (request, "saldo.request_id", "a-request"),
        (command, "saldo.outcome", "appended"),
        (append, "saldo.position", position),
        (batch, "saldo.units", "1"),
    ] {
        assert_eq!(told.attribute(key).as_deref(), Some(value), "{key} of {told:?}");
    }
    for (key, value) in [
        ("service.name", "saldo"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("deployment.environment", "local"),
    ] {
        assert_eq!(request.resource(key).as_deref(), Some(value), "{key}");
    }
    let at: i64 = position.parse().expect("a position");
    let number = |told: &Told, key| told.attribute(key).and_then(|text| text.parse::<i64>().ok());
    let projected = told.iter().any(|told| {
        told.span.name == "project balances"
            && number(told, "saldo.first_position").is_some_and(|first| first <= at)
            && number(told, "saldo.last_position").is_some_and(|last| last >= at)
    });
    assert!(projected, "{told:#?}");
    assert!(!told.iter().any(|told| told.span.name.contains("livez")), "{told:#?}");
    let all = format!("{told:?}");
    let id = ada.id.to_string();
    for secret in [EMAIL, REASON, &ada.token, &id, "of-the-caller", "correct horse", "127.0.0.1"] {
        assert!(!all.contains(secret), "{secret}: {told:#?}");
    }
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_job_is_a_trace_of_its_own_that_says_where_it_failed() {
    let (database, collector) = (Database::in_memory().await, Collector::start().await);
    let mut server = database.server_with(&database.url(), &settings(&collector.url));
    let pool = database.pool().await;
    let jobs = "select graphile_worker.add_job('reply', json_build_object('subject', subject), job_key => subject)
        from unnest(array['no chat', '018f3f5e-0000-7000-8000-000000000000']) as subject";
    sqlx::query(jobs).execute(&pool).await.expect("they are taken");
    let tried = "select count(*) = 1 and bool_and(last_error is not null)
        from graphile_worker.jobs where task_identifier = 'reply'";
    let began = Instant::now();
    while !sqlx::query_scalar::<_, bool>(tried).fetch_one(&pool).await.expect("an answer") {
        assert!(began.elapsed() < QUICK, "they are not tried");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.stop();
    let told = collector.told();
    let mut jobs: Vec<_> = told.iter().filter(|told| told.span.name == "job reply").collect();
    jobs.sort_by_key(|job| job.status());
    assert_eq!(jobs.len(), 2, "{told:#?}");
    assert_eq!(jobs.iter().map(|job| job.status()).collect::<Vec<_>>(), [0, 2], "{jobs:#?}");
    assert_ne!(jobs[0].trace(), jobs[1].trace());
    for job in jobs {
        assert_eq!(
            (job.parent().as_str(), job.attribute("saldo.attempt").as_deref()),
            ("", Some("1"))
        );
    }
    assert!(!format!("{told:?}").contains("018f3f5e"), "{told:#?}");
    pool.close().await;
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_setting_nothing_is_sent() {
    let (database, collector) = (Database::in_memory().await, Collector::start().await);
    let all = format!("{}/v1/traces", collector.url);
    // What others read of the environment does not turn them on.
    let besides = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", all.as_str()), (ENDPOINT, "")];
    let besides = [&besides[..], &[("SALDO_RATE_LIMITS", "off")]].concat();
    let mut server = database.server_with(&database.url(), &besides);
    let ada = server.register(EMAIL).await;
    debit(&server, &ada).await;
    server.stop();
    assert_eq!(collector.told().len(), 0, "{:#?}", collector.told());
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_or_hangs_disturbs_nobody() {
    let database = Database::in_memory().await;
    // One that nobody listens at, and one that takes what comes and says nothing.
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let hanging = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let urls = [&gone, &hanging].map(|at| format!("http://{}", at.local_addr().expect("one")));
    drop(gone);
    for (url, email) in urls.iter().zip([EMAIL, "king@analytical.example"]) {
        let mut server = database.server_with(&database.url(), &settings(url));
        let ada = server.register(email).await;
        debit(&server, &ada).await;
        let told = Instant::now();
        server.stop();
        assert!(told.elapsed() < QUICK, "{url}: {:?}", told.elapsed());
    }
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_change_no_line_of_the_log() {
    let (database, collector) = (Database::in_memory().await, Collector::start().await);
    std::fs::create_dir_all(&database.data).expect("a folder");
    let log = database.data.join("log");
    let process = database
        .program(&settings(&collector.url))
        .env("SALDO_LISTEN", "127.0.0.1:0")
        .env("RUST_LOG", "info,saldo=trace")
        .stdout(File::create(database.data.join("said")).expect("a file"))
        .stderr(File::create(&log).expect("a file"))
        .spawn()
        .expect("the server can be started");
    let mut process = Killed(process);
    let said = database.data.join("said");
    let address = loop {
        let said = std::fs::read_to_string(&said).expect("what it says");
        let address = said.split_whitespace().find(|word| word.starts_with("http://"));
        match address.filter(|_| said.contains('\n')) {
            Some(address) => break address.to_owned(),
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let server = Server::within(address);
    let ada = server.register(EMAIL).await;
    debit(&server, &ada).await;
    let killed = Command::new("kill").args(["-TERM", &process.0.id().to_string()]).status();
    assert!(killed.expect("kill runs").success());
    assert!(process.0.wait().expect("it ends").success());
    of_the_trace(&collector.told(), "batch");
    let log = std::fs::read_to_string(log).expect("a log");
    for name in ["command{", "decide{", "append{", "batch{", "project{", "saldo::traces"] {
        assert!(!log.contains(name), "{name}: {log}");
    }
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_ai_calls_is_asked_within_the_trace() {
    let (database, collector) = (Database::in_memory().await, Collector::start().await);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let provider = format!("http://{}/v1", listener.local_addr().expect("its address"));
    let asked = Arc::<Mutex<Vec<HeaderMap>>>::default();
    let refuse = |State(asked): State<Arc<Mutex<Vec<HeaderMap>>>>, headers: HeaderMap| async move {
        asked.lock().expect("nobody panics").push(headers);
        (StatusCode::UNAUTHORIZED, axum::Json(json!({ "error": { "message": "no" } })))
    };
    let routes = Router::new().route("/v1/chat/completions", post(refuse));
    let routes = routes.with_state(Arc::clone(&asked));
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let settings = [&settings(&collector.url)[..], &[("OPENAI_BASE_URL", &provider)]].concat();
    let mut server = database.server_with(&database.url(), &settings);
    let ada = server.register(EMAIL).await;
    let (bearer, parent) = (format!("Bearer {}", ada.token), format!("00-{TRACE}-{CALLER}-01"));
    let headers = [
        ("authorization", bearer.as_str()),
        ("traceparent", parent.as_str()),
        ("tracestate", "secret=of-the-caller"),
    ];
    let body =
        json!({ "model": "gpt-5-nano", "messages": [{ "role": "user", "content": REASON }] });
    let answer = server.send(Method::POST, "/v1/chat/completions", &headers, Some(&body)).await;
    assert!(answer.expect("an answer").status.is_server_error());
    server.stop();
    let asked = asked.lock().expect("nobody panics").clone();
    let ask = collector.told().into_iter().find(|told| told.span.name == "ask openai");
    let ask = ask.expect("a span");
    assert_eq!(ask.trace(), TRACE);
    assert_eq!(ask.attribute("http.response.status_code").as_deref(), Some("401"));
    let carried = Value::from(format!("00-{TRACE}-{}-01", ask.id()));
    assert_eq!(asked[0].get("traceparent").and_then(|it| it.to_str().ok()), carried.as_str());
    assert!(asked.iter().all(|headers| !headers.contains_key("tracestate")), "{asked:?}");
    assert!(!format!("{:?}", collector.told()).contains(REASON));
    database.remove().await;
}
