//! A database for each test, servers as processes, and a client.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use saldo::config::{
    AiConfig, BillingConfig, Config, Environment, MeterConfig, RedisConfig, SignInConfig, Switch,
    VaultConfig, WatchConfig, WebConfig, WebhookConfig,
};
use saldo::embedded::{Cluster, Mode};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, PgPool};
use tokio::sync::OnceCell;
use uuid::Uuid;

#[path = "../shared/cluster.rs"]
mod cluster;

/// How long after they have told it to stop operators' tools kill a server.
const PATIENCE: Duration = Duration::from_secs(30);

/// A database of its own, on a cluster in memory that all tests share, or on a durable one.
pub struct Database {
    cluster: Cluster,
    pub name: String,
    /// Where the servers of this test keep their keys.
    pub data: PathBuf,
    kept: OnceCell<PgPool>,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The program. It lives for seconds, and would spend more time on clearing huge pages than on what it is asked.
fn saldo() -> Command {
    let mut saldo = Command::new(env!("CARGO_BIN_EXE_saldo"));
    saldo.env("MIMALLOC_ALLOW_THP", "0");
    saldo
}

impl Database {
    pub async fn in_memory() -> Self {
        Self::on(cluster::in_memory().await).await
    }

    pub async fn durable() -> Self {
        Self::durable_in("saldo-test-durable").await
    }

    /// On a durable cluster in a folder of this name, which nobody else needs.
    pub async fn durable_in(folder: &str) -> Self {
        let folder = std::env::temp_dir().join(cluster::own(folder));
        let cluster = Cluster::start(Mode::Durable, &folder).await;
        Self::on(cluster.expect("a private PostgreSQL")).await
    }

    async fn on(cluster: Cluster) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        cluster::clone(&cluster, &name).await;
        let data = std::env::temp_dir().join(format!("saldo-{name}"));
        Self { cluster, name, data, kept: OnceCell::new() }
    }

    /// A server on this database.
    pub fn server(&self) -> Server {
        self.server_at(&self.url())
    }

    /// A server that reaches this database by another way.
    pub fn server_at(&self, url: &str) -> Server {
        self.server_with(url, &[("SALDO_RATE_LIMITS", "off")])
    }

    /// A server with settings of its own.
    pub fn server_with(&self, url: &str, settings: &[(&str, &str)]) -> Server {
        let mut program = self.program(settings);
        program.env("DATABASE_URL", url);
        Server::start(program)
    }

    /// The program on this database, with settings of its own.
    pub fn program(&self, settings: &[(&str, &str)]) -> Command {
        let mut program = saldo();
        program
            // The line that says where it listens is for people.
            .env("SALDO_LOG_FORMAT", "human")
            .envs(settings.iter().copied())
            .env("DATABASE_URL", self.url())
            .env("SALDO_DATA_DIR", &self.data)
            .env("RUST_LOG", "warn");
        program
    }

    /// Runs the program on this database; whether it ended well, and what it said, or why it said
    /// nothing.
    pub fn run(&self, arguments: &[&str]) -> (bool, String) {
        let ended = saldo()
            .args(arguments)
            .env("DATABASE_URL", self.url())
            .env("SALDO_DATA_DIR", &self.data)
            .output()
            .expect("the program runs");
        let said = if ended.stdout.is_empty() { ended.stderr } else { ended.stdout };
        (ended.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    pub fn url(&self) -> String {
        self.cluster.url(&self.name)
    }

    /// The folder of the server's socket.
    pub fn socket(&self) -> PathBuf {
        self.cluster.options(&self.name).get_socket().expect("a private server").clone()
    }

    /// What a node on this database is configured with.
    pub fn config(&self) -> Config {
        Config {
            environment: Environment::Local,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            database_url: Some(self.url().into()),
            migrations_database_url: None,
            replica_database_url: None,
            data_dir: self.data.clone(),
            database_connections: 8,
            sign_in: SignInConfig { rate_limits: Some(Switch::Off), ..SignInConfig::default() },
            billing: BillingConfig::default(),
            ai: AiConfig::default(),
            meter: MeterConfig::default(),
            web: WebConfig::default(),
            webhooks: WebhookConfig::default(),
            redis: RedisConfig::default(),
            watch: WatchConfig::default(),
            vault: VaultConfig::default(),
        }
    }

    pub fn options(&self) -> PgConnectOptions {
        self.cluster.options(&self.name).options([("search_path", projections::SEARCH_PATH)])
    }

    /// A copy of this database as it is now; nobody may be connected to it.
    pub async fn copy(&self) -> Self {
        let name = format!("{}_copy_{}", self.name, NEXT.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("create database {name} template {}", self.name)).await;
        let cluster = self.cluster.join().expect("the cluster is ours");
        Self { cluster, name, data: self.data.clone(), kept: OnceCell::new() }
    }

    /// Removes a copy.
    pub async fn discard(self) {
        self.execute(&format!("drop database {} with (force)", self.name)).await;
    }

    /// Waits until nobody is connected any more.
    pub async fn disconnect(&self) {
        let others = format!(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{}'",
            self.name
        );
        self.execute(&others).await;
    }

    /// Executes statements as the database's owner, outside of it.
    async fn execute(&self, sql: &str) {
        let mut db = self.cluster.options("postgres").connect().await.expect("the cluster answers");
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut db).await.expect(sql);
    }

    /// Where the log ends now, for `X-Min-Position`.
    pub async fn end(&self) -> String {
        let end = projections::journal::head(self.kept().await).await.expect("the log answers");
        end.to_string()
    }

    /// The test's own connections: a new one for each look costs the server more than what is asked.
    /// Whoever needs to know when they end opens a pool.
    pub async fn kept(&self) -> &PgPool {
        self.kept.get_or_init(|| self.pool()).await
    }

    /// Changes what is there, or what happens when it is changed: statements, as the database's owner.
    pub async fn change(&self, statements: &'static str) {
        sqlx::raw_sql(statements).execute(self.kept().await).await.expect(statements);
    }

    pub async fn pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(4)
            .connect_with(self.options())
            .await
            .expect("the database answers")
    }

    /// Removes the database; a test that fails leaves it to be looked at.
    pub async fn remove(self) {
        let mut db = self.cluster.options("postgres").connect().await.expect("the cluster answers");
        sqlx::query(AssertSqlSafe(format!("drop database {} with (force)", self.name)))
            .execute(&mut db)
            .await
            .expect("the database can be dropped");
        std::fs::remove_dir_all(&self.data).expect("the data folder can be removed");
    }
}

/// A server process; killed when dropped.
pub struct Server {
    pub url: String,
    process: Option<Child>,
    /// When it was told to stop.
    told: OnceLock<Instant>,
    http: reqwest::Client,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

impl Server {
    /// The program, as a server on a port that is free.
    pub fn start(mut program: Command) -> Self {
        let program = program.env("SALDO_LISTEN", "127.0.0.1:0").stdout(Stdio::piped());
        let mut process = program.spawn().expect("the server can be started");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the server says where it listens");
        let address = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = address.unwrap_or_else(|| panic!("the server said: {line}")).to_owned();
        let http = saldo::clients::http().build().expect("a client");
        Self { url, process: Some(process), told: OnceLock::new(), http }
    }

    /// A node of this process, behind this address.
    pub fn within(url: String) -> Self {
        let http = saldo::clients::http().build().expect("a client");
        Self { url, process: None, told: OnceLock::new(), http }
    }

    fn id(&self) -> String {
        self.process.as_ref().expect("a process of its own").id().to_string()
    }

    /// `kill -9`, while requests are under way.
    pub fn kill(&self) {
        let killed = Command::new("kill").args(["-9", &self.id()]).status();
        assert!(killed.expect("kill runs").success());
    }

    /// Ends the server as an operator does, and waits for it.
    pub fn stop(&mut self) {
        self.tell_to_stop();
        self.ended();
    }

    /// Has the server end, as an operator does.
    pub fn tell_to_stop(&self) {
        let told = Command::new("kill").args(["-TERM", &self.id()]).status();
        assert!(told.expect("kill runs").success());
        self.told.get_or_init(Instant::now);
    }

    /// Waits until the server has ended well, as it does before anybody kills it.
    pub fn ended(&mut self) {
        let told = *self.told.get().expect("it was told to stop");
        let process = self.process.as_mut().expect("a process of its own");
        while told.elapsed() < PATIENCE {
            if let Some(ended) = process.try_wait().expect("a child of ours") {
                assert!(ended.success(), "the server ended with {ended}");
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the server has not ended {PATIENCE:?} after it was told to stop");
    }

    /// A query that waits for a position of the log.
    pub async fn get_at(&self, person: &Person, path: &str, position: &str) -> Answer {
        let bearer = format!("Bearer {}", person.token);
        let headers = [("authorization", bearer.as_str()), ("x-min-position", position)];
        let answer = self.send(Method::GET, &format!("/api/v1{path}"), &headers, None).await;
        answer.expect("the server answers")
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> reqwest::Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, headers, body })
    }

    /// A new person with 100 credits.
    pub async fn register(&self, email: &str) -> Person {
        let body = json!({ "email": email, "password": "correct horse battery", "name": "Ada" });
        let answer = self.send(Method::POST, "/api/v1/auth/register", &[], Some(&body)).await;
        let answer = answer.expect("the server answers");
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        let id = text(&answer.body["user"]["id"]).parse().expect("an id");
        Person { id, token: text(&answer.body["access_token"]) }
    }

    pub async fn post(&self, person: &Person, path: &str, key: &str, body: &Value) -> Answer {
        self.try_post(person, path, key, body).await.expect("the server answers")
    }

    pub async fn try_post(
        &self,
        person: &Person,
        path: &str,
        key: &str,
        body: &Value,
    ) -> reqwest::Result<Answer> {
        let bearer = format!("Bearer {}", person.token);
        let mut headers = vec![("authorization", bearer.as_str())];
        if !key.is_empty() {
            headers.push(("idempotency-key", key));
        }
        self.send(Method::POST, &format!("/api/v1{path}"), &headers, Some(body)).await
    }

    pub async fn get(&self, person: &Person, path: &str) -> Answer {
        let bearer = format!("Bearer {}", person.token);
        let headers = [("authorization", bearer.as_str())];
        let answer = self.send(Method::GET, &format!("/api/v1{path}"), &headers, None).await;
        answer.expect("the server answers")
    }

    pub async fn debit(&self, person: &Person, amount: i64, key: &str) -> Answer {
        let body = json!({ "amount": amount, "reason": "test" });
        self.post(person, "/wallet/debits", key, &body).await
    }

    /// What the person has, by the read model, as this server's last command for them left it.
    pub async fn available(&self, person: &Person) -> i64 {
        self.available_at(person, "0").await
    }

    /// The same, when everything up to `position` is seen, whoever wrote it.
    pub async fn available_at(&self, person: &Person, position: &str) -> i64 {
        let answer = self.get_at(person, "/wallet", position).await;
        answer.body["available"].as_i64().unwrap_or_else(|| panic!("{:?}", answer.body))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It may be gone already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Somebody who has signed up.
#[derive(Clone)]
pub struct Person {
    pub id: Uuid,
    pub token: String,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
