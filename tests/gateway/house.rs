//! A node in this process whose provider follows a script, and a client of its API. A token costs a credit, but of the
//! model `dear`, of which it costs two.

use std::time::Duration;

use aggregates::credits::Credits;
use aggregates::id::{CommandId, GrantId, HoldId, WalletId};
use aggregates::wallet::{Ask, Funding, GrantKind, GrantTerms, Priority, Wallet, WalletCommand};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use saldo::clients::llm::Llm;
use saldo::config::Config;
use saldo::http;
use saldo::serve::Node;
use saldo::store::{Envelope, Metadata};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::script::Script;
use crate::stream::Stream;
use crate::support::{Answer, Database, Person, Server};

pub const MODELS: &str = r#"{
    "version": "test-1",
    "fixed": { "summarize": 10, "analyze": 25 },
    "tiers": {
        "free": { "models": ["local-1"], "chat_messages_per_day": 5 },
        "basic": { "models": ["local-1"] }, "pro": { "models": ["local-1"] }
    },
    "models": [
        { "id": "local-1", "tier": "free", "input_per_million": 1000000, "output_per_million": 1000000,
          "max_output_tokens": 4000, "routes": [{ "provider": "local", "model": "local-1" }] },
        { "id": "dear", "tier": "free", "input_per_million": 2000000, "output_per_million": 2000000,
          "max_output_tokens": 4000, "routes": [{ "provider": "local", "model": "dear" }] },
        { "id": "large", "tier": "pro", "input_per_million": 1000000, "output_per_million": 1000000,
          "max_output_tokens": 4000, "routes": [{ "provider": "local", "model": "large" }] }
    ]
}"#;

pub struct House {
    pub node: Node,
    pub server: Server,
    pub script: Script,
    pub ada: Person,
    database: Database,
    redis: Option<String>,
}

impl House {
    /// Ada has this many credits.
    pub async fn open(credits: i64) -> Self {
        Self::with(credits, Script::new(false)).await
    }

    pub async fn with(credits: i64, script: Script) -> Self {
        Self::on(credits, script, None).await
    }

    /// With a Redis at this address.
    pub async fn with_redis(credits: i64, url: &str) -> Self {
        Self::on(credits, Script::new(false), Some(url.to_owned())).await
    }

    async fn on(credits: i64, script: Script, redis: Option<String>) -> Self {
        let database = Database::in_memory().await;
        std::fs::create_dir_all(&database.data).expect("a folder");
        std::fs::write(database.data.join("models.json"), MODELS).expect("a file");
        let (server, node) = node(&config(&database, redis.as_deref()), &script).await;
        let ada = server.register("ada@example.com").await;
        let house = Self { node, server, script, ada, database, redis };
        // Everybody begins with a hundred.
        if credits < 100 {
            house.server.debit(&house.ada, 100 - credits, "").await;
        }
        house
    }

    /// Another node on the same database, with the same provider.
    pub async fn another_node(&self) -> (Node, Server) {
        self.beside(self.redis.as_deref()).await
    }

    /// The same, without Redis.
    pub async fn plain_node(&self) -> (Node, Server) {
        self.beside(None).await
    }

    async fn beside(&self, redis: Option<&str>) -> (Node, Server) {
        let (server, node) = node(&config(&self.database, redis), &self.script).await;
        (node, server)
    }

    /// The database as its owner sees it.
    pub async fn pool(&self) -> PgPool {
        self.database.pool().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.server.post(&self.ada, path, "", body).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.server.get(&self.ada, path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {:?}", answer.body);
        answer.body
    }

    pub async fn delete(&self, path: &str) -> StatusCode {
        let bearer = format!("Bearer {}", self.ada.token);
        let headers = [("authorization", bearer.as_str())];
        let path = format!("/api/v1{path}");
        self.server.send(Method::DELETE, &path, &headers, None).await.expect("an answer").status
    }

    /// Erases Ada.
    pub async fn erase(&self) {
        let bearer = format!("Bearer {}", self.ada.token);
        let headers = [("authorization", bearer.as_str())];
        let body = json!({ "password": "correct horse battery" });
        let erased = self.server.send(Method::DELETE, "/api/v1/me", &headers, Some(&body)).await;
        assert_eq!(erased.expect("an answer").status, StatusCode::NO_CONTENT);
    }

    /// Removes what nobody needs any more, as is done once a day.
    pub async fn sweep(&self) {
        self.execute("select graphile_worker.add_job('sweep', '{}'::json)").await;
        let waits = "select count(*) from graphile_worker.jobs where task_identifier = 'sweep'";
        self.until_none(waits).await;
    }

    /// Waits until there is none of this.
    pub async fn until_none(&self, query: &'static str) {
        for _ in 0..300 {
            if self.count(query).await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{query}: {}", self.count(query).await);
    }

    /// How many rows there are of this.
    pub async fn count(&self, query: &'static str) -> i64 {
        let pool = self.database.kept().await;
        sqlx::query_scalar(query).fetch_one(pool).await.expect("a count")
    }

    /// Gives Ada credits.
    pub async fn give(&self, credits: u32) {
        self.grant(credits, None).await;
    }

    /// The same, for so long.
    pub async fn give_for(&self, credits: u32, time: TimeDelta) {
        self.grant(credits, Some(Utc::now() + time)).await;
    }

    async fn grant(&self, credits: u32, expires_at: Option<DateTime<Utc>>) {
        let grant = GrantTerms {
            id: GrantId(Uuid::now_v7()),
            kind: GrantKind::Bonus,
            amount: Credits::new(credits),
            priority: Priority::default(),
            expires_at,
            funding: Funding::Adjustment,
            reversal_group: None,
        };
        let ask = Ask::Grant { grant, reason: "test".to_owned() };
        let command = WalletCommand { now: Utc::now(), ask };
        let (wallet, envelope) = (WalletId(self.ada.id), Envelope::once(Metadata::default()));
        let outcome = self.node.app.store.execute::<Wallet>(wallet, envelope, command).await;
        self.node.app.wrote(self.ada.id.into(), outcome.expect("credits").position);
    }

    /// The one hold that there is.
    pub async fn hold(&self) -> Uuid {
        // The balance waits for what was written here; the holds are written with it.
        self.wallet().await;
        let pool = self.database.kept().await;
        let hold = sqlx::query_scalar("select hold_id from balances.holds");
        hold.fetch_one(pool).await.expect("a hold")
    }

    /// Books that the time of the one hold is over.
    pub async fn expire(&self) {
        let hold = self.hold().await;
        let envelope = Envelope::new(CommandId::derive(hold, "expire"), Metadata::default());
        let now = Utc::now() + TimeDelta::hours(1);
        let command = WalletCommand { now, ask: Ask::ExpireHold { hold: HoldId(hold) } };
        let wallet = WalletId(self.ada.id);
        let outcome = self.node.app.store.execute::<Wallet>(wallet, envelope, command).await;
        self.node.app.wrote(self.ada.id.into(), outcome.expect("it expires").position);
    }

    pub async fn close(self) {
        self.node.stop().await;
        self.database.remove().await;
    }

    /// Asks for an answer in one.
    pub async fn ask(&self, message: &str, key: &str) -> Answer {
        self.ask_for(&question(message, false), key).await
    }

    pub async fn ask_for(&self, body: &Value, key: &str) -> Answer {
        let bearer = format!("Bearer {}", self.ada.token);
        let mut headers = vec![("authorization", bearer.as_str())];
        if !key.is_empty() {
            headers.push(("idempotency-key", key));
        }
        let path = "/v1/chat/completions";
        self.server.send(Method::POST, path, &headers, Some(body)).await.expect("an answer")
    }

    /// Asks for an answer as it is written.
    pub async fn listen(&self, message: &str, key: &str) -> Stream {
        let client = saldo::clients::http().build().expect("a client");
        let url = format!("{}/v1/chat/completions", self.server.url);
        let request = client.post(url).bearer_auth(&self.ada.token).json(&question(message, true));
        let request = if key.is_empty() { request } else { request.header("idempotency-key", key) };
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        Stream::new(response)
    }

    /// Available and held.
    pub async fn wallet(&self) -> (i64, i64) {
        let wallet = self.server.get(&self.ada, "/wallet").await.body;
        let figure = |name: &str| wallet[name].as_i64().unwrap_or_else(|| panic!("{wallet}"));
        (figure("available"), figure("held"))
    }

    /// Waits until nothing is held, and tells what is available.
    pub async fn settled(&self) -> i64 {
        for _ in 0..200 {
            if let (available, 0) = self.wallet().await {
                return available;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("a hold stays open: {:?}", self.wallet().await);
    }

    /// Changes the database as its owner may.
    pub async fn execute(&self, sql: &'static str) {
        let pool = self.database.kept().await;
        sqlx::query(sql).execute(pool).await.expect(sql);
    }

    /// The usage of the last capture in the log.
    pub async fn captured_usage(&self) -> Value {
        let pool = self.database.kept().await;
        let usage = sqlx::query_scalar(
            "select (payload::jsonb #> '{HoldCaptured,usage}')::text from events
             where event_type = 'HoldCaptured' order by position desc limit 1",
        );
        let usage: Option<String> = usage.fetch_one(pool).await.expect("a capture");
        serde_json::from_str(&usage.expect("usage")).expect("JSON")
    }
}

fn config(database: &Database, redis: Option<&str>) -> Config {
    let mut config = database.config();
    config.meter.models = Some(config.data_dir.join("models.json"));
    config.meter.call_hold_s = Some(2);
    config.redis.url = redis.map(Into::into);
    config
}

async fn node(config: &Config, script: &Script) -> (Server, Node) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("a port");
    let llm = Llm::new(vec![Box::new(script.clone())]);
    let node = Node::start(config, address, llm).await.expect("a node");
    let router = http::router(node.app.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (Server::within(format!("http://{address}")), node)
}

pub fn question(message: &str, stream: bool) -> Value {
    json!({
        "model": "auto", "stream": stream,
        "messages": [{ "role": "user", "content": message }],
    })
}
