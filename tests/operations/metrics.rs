//! What a node tells Prometheus moves as it should, and tells nobody of people.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::redis_server::free_port;
use crate::scrape::{Scrape, until};
use crate::skip::skip;
use crate::support::{Answer, Database, Person, Server};

const DEBITS: &str = "/api/v1/wallet/debits";

async fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    server.send(Method::GET, path, headers, None).await.expect("an answer")
}

async fn hold(server: &Server, person: &Person, amount: u32) -> String {
    let held = server.post(person, "/wallet/holds", "", &json!({ "amount": amount })).await;
    assert_eq!(held.status, StatusCode::CREATED, "{:?}", held.body);
    held.body["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn what_is_done_moves_what_is_told() {
    let database = Database::in_memory().await;
    let server = database.server();
    let before = Scrape::of(&server).await;
    let ada = server.register("ada@example.com").await;
    let issued = Scrape::of(&server).await.sum("saldo_credits_issued_total", &[]);
    assert_eq!(issued - before.sum("saldo_credits_issued_total", &[]), 100);
    let debited = server.debit(&ada, 3, "once").await;
    assert_eq!(debited.status, StatusCode::CREATED, "{:?}", debited.body);
    let debit = debited.body["id"].as_str().expect("an id");
    let reverse = json!({ "amount": 2, "reason": "test" });
    let reversed =
        server.post(&ada, &format!("/wallet/debits/{debit}/reverse"), "", &reverse).await;
    assert_eq!(reversed.status, StatusCode::OK, "{:?}", reversed.body);
    let body = json!({ "text": "It rained. Then it rained on." });
    let called = server.post(&ada, "/ai/summarize", "", &body).await;
    assert_eq!(called.status, StatusCode::OK, "{:?}", called.body);
    let refused = get(&server, "/api/v1/wallet", &[]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    for path in ["/no/such/route", "/api/v1/none"] {
        assert_eq!(get(&server, path, &[]).await.status, StatusCode::NOT_FOUND);
    }
    let after = Scrape::of(&server).await;
    let moved = |name: &str, labels: &[(&str, &str)], by: i64| {
        assert_eq!(after.sum(name, labels) - before.sum(name, labels), by, "{name} {labels:?}");
    };
    let requests = "saldo_http_requests_total";
    moved(requests, &[("method", "POST"), ("route", DEBITS), ("status", "201")], 1);
    moved(requests, &[("method", "GET"), ("route", "/api/v1/wallet"), ("status", "401")], 1);
    moved(requests, &[("route", "unknown"), ("status", "404")], 2);
    moved("saldo_http_request_duration_seconds_count", &[("route", DEBITS)], 1);
    let price = after.sum("saldo_ai_credits_total", &[("feature", "summarize")]);
    assert!(price > 0, "{}", after.text);
    moved("saldo_credits_consumed_total", &[], 3 + price);
    moved("saldo_credits_reversed_total", &[], 2);
    moved("saldo_ai_calls_total", &[("provider", "local"), ("outcome", "answered")], 1);
    for part in ["hold", "provider", "capture", "added"] {
        moved(&format!("saldo_ai_{part}_seconds_count"), &[], 1);
    }
    assert_eq!(after.sum("saldo_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1);
    // Nobody else writes: what was sent in batches is how far the log has come.
    let grown = |scrape: &Scrape, name: &str| scrape.sum(name, &[]) - before.sum(name, &[]);
    let end: i64 = database.end().await.parse().expect("a position");
    let after = until(&server, "the log's end", |it| {
        it.sum("saldo_log_position", &[]) >= end
            && grown(it, "saldo_log_position") == grown(it, "saldo_append_batch_events_sum")
    });
    let after = after.await;
    let (batches, events) = (
        grown(&after, "saldo_append_batch_events_count"),
        grown(&after, "saldo_append_batch_events_sum"),
    );
    assert!(batches >= 5 && events > batches, "{events} events in {batches} batches");
    database.remove().await;
}

#[tokio::test]
async fn what_is_open_or_waits_is_told_as_the_database_has_it() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    hold(&server, &ada, 30).await;
    let scrape = until(&server, "a hold", |it| it.sum("saldo_holds_open", &[]) == 1).await;
    assert_eq!(scrape.sum("saldo_credits_held", &[]), 30);
    assert_eq!(scrape.sum("saldo_database_up", &[]), 1);
    for name in ["balances", "billing", "chats", "transactions", "usage", "users"] {
        assert_eq!(scrape.find("saldo_projection_halted", &[("name", name)]), Some(0), "{name}");
        assert!(scrape.find("saldo_projection_lag_events", &[("name", name)]).is_some());
    }
    let pool = database.pool().await;
    for (sql, name, labels) in [
        (
            "select graphile_worker.add_job('lost', run_at => now() - interval '1 hour')",
            "saldo_jobs",
            [("task", "lost"), ("state", "waiting")],
        ),
        (
            "update graphile_worker._private_jobs j set attempts = max_attempts, key = 'lost'
             from graphile_worker._private_tasks t where t.id = j.task_id and t.identifier = 'lost'",
            "saldo_jobs",
            [("task", "lost"), ("state", "given_up")],
        ),
        (
            "insert into stripe_inbox (event_id, kind, object, object_id, created, livemode, payload,
                 source, state) values ('evt_1', 'x', 'x', 'x', now(), false, '', 'webhook', 'dead')",
            "saldo_stripe_inbox",
            [("state", "dead"), ("state", "dead")],
        ),
        (
            "insert into stripe_reports (report_id, started_at, ended_at, since, compared, mismatches)
             values (gen_random_uuid(), now(), now(), now(), 1, '[{}]')",
            "saldo_stripe_mismatches",
            [("", ""), ("", "")],
        ),
        (
            "update projections.checkpoints set halted = 1, error = 'x', halted_at = now()
             where name = 'users'",
            "saldo_projection_halted",
            [("name", "users"), ("name", "users")],
        ),
    ] {
        sqlx::query(sql).execute(&pool).await.expect(sql);
        let labels: Vec<_> = labels.into_iter().filter(|(label, _)| !label.is_empty()).collect();
        until(&server, name, |scrape| scrape.sum(name, &labels) == 1).await;
    }
    pool.close().await;
    database.remove().await;
}

#[tokio::test]
async fn two_nodes_that_write_one_wallet_tell_of_conflicts() {
    let database = Database::in_memory().await;
    let (one, other) = (database.server(), database.server());
    let ada = one.register("ada@example.com").await;
    for server in [&one, &other, &one, &other] {
        assert_eq!(server.debit(&ada, 1, "").await.status, StatusCode::CREATED);
    }
    let mut conflicts = 0;
    for server in [&one, &other] {
        conflicts += Scrape::of(server).await.sum("saldo_append_conflicts_total", &[]);
    }
    assert!(conflicts >= 2, "{conflicts}");
    database.remove().await;
}

#[tokio::test]
async fn a_log_that_is_lost_or_refuses_is_told_of() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    let pool = database.pool().await;
    let cut = "select pg_terminate_backend(pid, 5000) from pg_stat_activity
               where datname = current_database() and application_name = 'saldo appender'";
    sqlx::query(cut).execute(&pool).await.expect("the writer is cut off");
    assert_eq!(server.debit(&ada, 1, "").await.status, StatusCode::CREATED);
    let scrape = Scrape::of(&server).await;
    assert!(scrape.sum("saldo_append_retries_total", &[]) >= 1, "{}", scrape.text);
    assert_eq!(scrape.find("saldo_append_failures_total", &[]), Some(0));
    let refuse = "alter table events add check (event_type <> 'Debited') not valid";
    sqlx::query(refuse).execute(&pool).await.expect("a log that refuses");
    let failed = server.debit(&ada, 1, "").await;
    // Trying again would not help.
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR, "{:?}", failed.body);
    let scrape = Scrape::of(&server).await;
    assert_eq!(scrape.find("saldo_append_failures_total", &[]), Some(1));
    let labels = [("route", DEBITS), ("status", "500")];
    assert_eq!(scrape.sum("saldo_http_requests_total", &labels), 1);
    pool.close().await;
    database.remove().await;
}

#[tokio::test]
async fn what_was_one_too_many_is_told_by_whom_it_was_counted() {
    let database = Database::in_memory().await;
    let server = database.server_with(&database.url(), &[]);
    for _ in 0..61 {
        get(&server, "/info", &[]).await;
    }
    let scrape = Scrape::of(&server).await;
    assert_eq!(scrape.sum("saldo_rate_limited_total", &[("by", "address")]), 1);
    database.remove().await;
}

#[tokio::test]
async fn no_label_says_who_or_what_was_asked_for() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    let id = hold(&server, &ada, 5).await;
    let released = server.post(&ada, &format!("/wallet/holds/{id}/release"), "", &json!({})).await;
    assert_eq!(released.status, StatusCode::OK, "{:?}", released.body);
    get(&server, "/secret-path/ada@example.com?token=secret", &[]).await;
    get(&server, "/api/v1/wallet?email=ada@example.com", &[]).await;
    let method = Method::from_bytes(b"SECRET").expect("a method");
    server.send(method, "/api/v1/wallet", &[], None).await.expect("an answer");
    let scrape = Scrape::of(&server).await;
    let labels = scrape.labels();
    assert!(labels.contains("/api/v1/wallet/holds/{id}/release"), "{labels:?}");
    for label in labels {
        let is_id = label.split(['/', '-', '_']).any(|part| part.len() >= 8 && is_hex(part));
        let is_secret = label.to_lowercase().contains("secret");
        assert!(
            !is_id && !is_secret && !label.contains(['@', '?']) && !label.contains("127.0"),
            "{label}"
        );
    }
    for told in [&id, &ada.id.to_string()] {
        assert!(!scrape.text.contains(told.as_str()), "{told}");
    }
    database.remove().await;
}

fn is_hex(part: &str) -> bool {
    Uuid::try_parse(part).is_ok() || part.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[tokio::test]
async fn promtool_finds_nothing_to_complain_about() {
    if let Err(error) = Command::new("promtool").arg("--version").output() {
        return skip(&format!("promtool cannot be run: {error}; install prometheus"));
    }
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    hold(&server, &ada, 5).await;
    server.post(&ada, "/ai/summarize", "", &json!({ "text": "It rained on." })).await;
    let scrape = Scrape::of(&server).await;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    let mut stdin = promtool.stdin.take().expect("a pipe");
    stdin.write_all(scrape.text.as_bytes()).expect("promtool reads");
    drop(stdin);
    let said = promtool.wait_with_output().expect("promtool ends");
    let said = [said.stdout, said.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said), "");
    database.remove().await;
}

#[tokio::test]
async fn without_a_database_the_rest_is_told() {
    let database = Database::in_memory().await;
    let server = database.server();
    server.register("ada@example.com").await;
    until(&server, "a database", |it| it.sum("saldo_database_up", &[]) == 1).await;
    database.discard().await;
    let scrape =
        until(&server, "no database", |it| it.find("saldo_database_up", &[]) == Some(0)).await;
    let registered = [("route", "/api/v1/auth/register"), ("status", "201")];
    assert_eq!(scrape.sum("saldo_http_requests_total", &registered), 1);
    assert_eq!(scrape.find("saldo_holds_open", &[]), None);
    assert!(scrape.families().contains("saldo_holds_open"));
}

#[tokio::test]
async fn beside_the_api_only_a_token_or_this_machine_in_local_reads_them() {
    let database = Database::in_memory().await;
    let status = async |server: &Server, headers: &[(&str, &str)]| {
        get(server, "/metrics", headers).await.status
    };
    let token = "a-token-of-metrics";
    let guarded = database.server_with(&database.url(), &[("SALDO_METRICS_TOKEN", token)]);
    assert_eq!(status(&guarded, &[]).await, StatusCode::UNAUTHORIZED);
    for wrong in ["Bearer a-token-of-metric", "Bearer ", "Basic a-token-of-metrics"] {
        let headers = [("authorization", wrong)];
        assert_eq!(status(&guarded, &headers).await, StatusCode::UNAUTHORIZED, "{wrong}");
    }
    let right = [("authorization", "Bearer a-token-of-metrics")];
    assert_eq!(status(&guarded, &right).await, StatusCode::OK);
    let proxied =
        database.server_with(&database.url(), &[("SALDO_TRUSTED_PROXIES", "127.0.0.0/8")]);
    assert_eq!(status(&proxied, &[]).await, StatusCode::OK);
    let from_afar = [("x-forwarded-for", "198.51.100.1")];
    assert_eq!(status(&proxied, &from_afar).await, StatusCode::NOT_FOUND);
    let elsewhere = [
        ("SALDO_ENV", "dev"),
        ("SALDO_SMTP_URL", "smtp://127.0.0.1:1"),
        ("SALDO_LOG_FORMAT", "human"),
    ];
    let elsewhere = database.server_with(&database.url(), &elsewhere);
    assert_eq!(status(&elsewhere, &[]).await, StatusCode::NOT_FOUND);
    assert_eq!(status(&elsewhere, &right).await, StatusCode::NOT_FOUND);
    database.remove().await;
}

/// A process that only works on jobs; killed when dropped.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_listener_of_its_own_tells_of_a_node_and_of_one_that_serves_nothing_else() {
    let database = Database::in_memory().await;
    let (beside, alone) = (free_port(), free_port());
    let listen = |port: u16| format!("127.0.0.1:{port}");
    let settings = [("SALDO_METRICS_LISTEN", listen(beside))];
    let settings: Vec<_> = settings.iter().map(|(name, at)| (*name, at.as_str())).collect();
    let server = database.server_with(&database.url(), &settings);
    let mut program = database.program(&[("SALDO_METRICS_LISTEN", &listen(alone))]);
    let _worker = Worker(program.arg("work").spawn().expect("the program runs"));
    server.register("ada@example.com").await;
    for port in [beside, alone] {
        let operators = Server::within(format!("http://127.0.0.1:{port}"));
        for _ in 0..300 {
            if operators.send(Method::GET, "/livez", &[], None).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let scrape = Scrape::of(&operators).await;
        let registered = scrape.sum("saldo_credits_issued_total", &[]);
        assert_eq!(registered, if port == beside { 100 } else { 0 }, "each tells of itself");
        assert_eq!(get(&operators, "/readyz", &[]).await.status, StatusCode::OK);
        let wrong = [
            (Method::GET, "/api/v1/wallet", StatusCode::NOT_FOUND, "no_such_route"),
            (Method::GET, "/healthz/nothing", StatusCode::NOT_FOUND, "not_found"),
            (Method::POST, "/metrics", StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
        ];
        for (method, path, status, code) in wrong {
            let refused = operators.send(method, path, &[], None).await.expect("an answer");
            assert_eq!((refused.status, &refused.body["code"]), (status, &json!(code)));
            assert_eq!(refused.header("content-type"), "application/problem+json");
            assert_eq!(refused.header("x-request-id"), refused.body["request_id"]);
        }
    }
    database.remove().await;
}
