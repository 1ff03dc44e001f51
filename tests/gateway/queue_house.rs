//! A server process with a provider beside it, and somebody who asks for calls without waiting for them.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::llm::{Recorder, Reply, Wire};
use crate::support::{Answer, Database, Person, Server};

pub const TEXT: &str =
    "Credits are granted. Calls spend credits. Every credit that moved is an event.";
pub const SUMMARY: &str = r#"{"summary": "Credits move.", "language": "en"}"#;
/// Calls that one process makes at once.
pub const AT_ONCE: usize = 32;
/// A price at which as many and another are paid for by a hundred credits.
pub const CHEAP: i64 = 3;

/// How long after they have told it to stop operators' tools kill a worker.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server process with a provider beside it, and Ada, who has a hundred credits.
pub struct House {
    pub database: Database,
    pub provider: Recorder,
    pub server: Server,
    pub ada: Person,
}

fn mine(provider: &Recorder) -> [(&str, &str); 5] {
    [
        ("SALDO_RATE_LIMITS", "off"),
        ("OPENAI_BASE_URL", provider.url()),
        ("OPENAI_API_KEY", "a key"),
        ("GEMINI_API_KEY", ""),
        ("ANTHROPIC_API_KEY", ""),
    ]
}

pub fn serve(database: &Database, provider: &Recorder, settings: &[(&str, &str)]) -> Server {
    database.server_with(&database.url(), &[&mine(provider), settings].concat())
}

/// A worker process, which has no HTTP; killed when dropped.
pub struct Worker(Child);

impl Worker {
    /// Ends it as an operator does: well, before anybody kills it.
    pub fn stop(mut self) {
        let told = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        assert!(told.expect("kill runs").success());
        let told = Instant::now();
        while told.elapsed() < PATIENCE {
            if let Some(ended) = self.0.try_wait().expect("a child of ours") {
                assert!(ended.success(), "the worker ended with {ended}");
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the worker has not ended {PATIENCE:?} after it was told to stop");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl House {
    pub async fn open(settings: &[(&str, &str)]) -> Self {
        Self::of(Database::in_memory().await, settings).await
    }

    /// A summary costs [`CHEAP`].
    pub async fn cheap(settings: &[(&str, &str)]) -> Self {
        let database = Database::in_memory().await;
        let mut models: Value =
            serde_json::from_str(include_str!("../../src/models/default.json")).expect("JSON");
        models["fixed"]["summarize"] = json!(CHEAP);
        std::fs::create_dir_all(&database.data).expect("a folder");
        let file = database.data.join("cheap.json").display().to_string();
        std::fs::write(&file, models.to_string()).expect("a file");
        Self::of(database, &[&[("SALDO_MODELS", file.as_str())], settings].concat()).await
    }

    async fn of(database: Database, settings: &[(&str, &str)]) -> Self {
        let provider = Recorder::start().await;
        provider.always(Wire::OpenAi, Reply::says(SUMMARY));
        let server = serve(&database, &provider, settings);
        let ada = server.register("ada@example.com").await;
        Self { database, provider, server, ada }
    }

    /// Asks for a summary without waiting for it.
    pub async fn try_queue(&self, key: &str, text: &str) -> reqwest::Result<Answer> {
        let bearer = format!("Bearer {}", self.ada.token);
        let headers = [
            ("authorization", bearer.as_str()),
            ("idempotency-key", key),
            ("prefer", "respond-async, wait=5"),
        ];
        let body = json!({ "text": text });
        self.server.send(Method::POST, "/api/v1/ai/summarize", &headers, Some(&body)).await
    }

    pub async fn queue(&self, key: &str) -> Answer {
        let answer = self.try_queue(key, TEXT).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{:?}", answer.body);
        answer
    }

    pub async fn call(&self, id: &str) -> Value {
        self.server.get(&self.ada, &format!("/ai/analyses/{id}")).await.body
    }

    /// The call, once it has ended.
    pub async fn ended(&self, id: &str) -> Value {
        let is_over = |call: &Value| call["state"] != "queued";
        self.until("the end of the call", || self.call(id), is_over).await
    }

    pub async fn until<F: Future<Output = Value>>(
        &self,
        what: &str,
        look: impl Fn() -> F,
        is_so: impl Fn(&Value) -> bool,
    ) -> Value {
        for _ in 0..600 {
            let found = look().await;
            if is_so(&found) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what} does not come: {}", look().await);
    }

    /// Available and held, by all that the log has.
    pub async fn wallet(&self) -> (i64, i64) {
        let wallet =
            self.server.get_at(&self.ada, "/wallet", &self.database.end().await).await.body;
        let figure = |name: &str| wallet[name].as_i64().unwrap_or_else(|| panic!("{wallet}"));
        (figure("available"), figure("held"))
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        let pool = self.database.pool().await;
        let count = sqlx::query_scalar(sql).fetch_one(&pool).await.expect(sql);
        pool.close().await;
        count
    }

    pub async fn captures(&self) -> i64 {
        self.count("select count(*) from events where event_type like '%Captured'").await
    }

    /// Kills the server with what it is at, and starts another.
    pub async fn restart(&mut self, settings: &[(&str, &str)]) {
        self.kill().await;
        self.server = serve(&self.database, &self.provider, settings);
    }

    /// Kills the server with what it is at, which may be taken again at once, as after a minute of silence.
    pub async fn kill(&self) {
        self.server.kill();
        self.database.disconnect().await;
        self.count(
            "select count(*) from (select graphile_worker.recover_dead_worker_jobs(
                 array(select id from graphile_worker._private_workers))) as recovered",
        )
        .await;
    }

    /// A worker beside the server, or without any.
    pub fn worker(&self) -> Worker {
        let mut work = self.database.program(&mine(&self.provider));
        Worker(work.arg("work").stdout(Stdio::null()).spawn().expect("a worker can be started"))
    }

    /// Starts another server after one that has ended well.
    pub fn serve_again(&mut self) {
        self.server = serve(&self.database, &self.provider, &[]);
    }

    pub async fn close(mut self) {
        self.server.stop();
        let (clean, said) = self.database.run(&["verify"]);
        assert!(clean, "{said}");
        self.database.remove().await;
    }
}

pub fn id(answer: &Answer) -> String {
    answer.body["id"].as_str().expect("an id").to_owned()
}
