//! The main job, step by step over real HTTP: somebody signs up, spends credits, reads the history,
//! and an auditor finds it true.

use std::net::SocketAddr;
use std::time::Duration;

use aggregates::id::WalletId;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Failure, audit};
use crate::clients;
use crate::config::Config;
use crate::serve;

const TEXT: &str = "Saldo sells AI by the credit. Every credit that was granted, held or spent is an event \
    in one log. An auditor replays the log and finds every balance in it. That makes people happy.";
const PASSWORD: &str = "correct horse battery";
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_mins(5);

/// Walks the main job against the server at `url`, else against the one that listens where the
/// configuration says, else against one of its own.
pub(super) async fn demo(config: &Config, url: Option<String>) -> Result<(), Failure> {
    let http = clients::http().timeout(Duration::from_secs(30)).build()?;
    if let Some(url) = url {
        println!("Against {url}:");
        walk(&http, url.trim_end_matches('/')).await?;
        without_auditor();
        return Ok(());
    }
    let listening = format!("http://{}", config.listen);
    if is_saldo(&http, &listening).await {
        println!("Against the server that listens on {listening}:");
        let wallet = walk(&http, &listening).await?;
        // One that was started in another folder has a database that is not known here.
        let known = config.database_url.is_some() || config.data_dir.exists();
        if known {
            return prove(config, wallet).await;
        }
        without_auditor();
        return Ok(());
    }
    println!("Starting Saldo on a port of its own (the first time takes a few seconds) …");
    let own = Own::start(config).await?;
    println!("It listens on {}.", own.url);
    let walked = walk(&http, &own.url).await;
    own.stop().await?;
    prove(config, walked?).await
}

fn without_auditor() {
    println!(
        "\nThe auditor needs the database: run `saldo verify` and `saldo replay` where it is."
    );
}

/// Whether Saldo answers there.
async fn is_saldo(http: &Client, url: &str) -> bool {
    let Ok(answer) = http.get(url).timeout(Duration::from_secs(2)).send().await else {
        return false;
    };
    answer.json::<Value>().await.is_ok_and(|about| about["name"] == "saldo")
}

/// A server for the demo only.
struct Own {
    url: String,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<Result<(), serve::StartError>>,
}

impl Own {
    async fn start(config: &Config) -> Result<Self, Failure> {
        let config = Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..config.clone() };
        let (stop, stopped) = oneshot::channel();
        let (ready, mut address) = oneshot::channel();
        #[expect(clippy::disallowed_methods, reason = "ends when `stop` is told or dropped")]
        let mut serving = tokio::spawn(async move {
            let stopped = async {
                // Dropped is told, too.
                let _ = stopped.await;
            };
            let ready = |address| {
                // The demo that asked may have gone.
                let _ = ready.send(address);
            };
            serve::serve_until(&config, stopped, ready).await
        });
        tokio::select! {
            // Whoever ends before it listens says why.
            Ok(address) = &mut address => {
                Ok(Self { url: format!("http://{address}"), stop, serving })
            }
            ended = &mut serving => {
                ended??;
                Err("the server ended before it began".into())
            }
            () = tokio::time::sleep(PATIENCE) => Err("the server does not start".into()),
        }
    }

    async fn stop(self) -> Result<(), Failure> {
        // It may have ended by itself, which its result tells.
        let _ = self.stop.send(());
        Ok(self.serving.await??)
    }
}

/// Does what people do, and gives back whose wallet it was.
async fn walk(http: &Client, url: &str) -> Result<WalletId, Failure> {
    let mut person = Person { http, url, token: None };
    let email = format!("ada-{}@example.com", Uuid::now_v7().simple());

    step("Ada signs up");
    let account = json!({ "email": email, "password": PASSWORD, "name": "Ada" });
    person.post("/auth/register", None, &account, StatusCode::CREATED).await?;
    step("… and signs in");
    let credentials = json!({ "email": email, "password": PASSWORD });
    let signed_in = person.post("/auth/login", None, &credentials, StatusCode::OK).await?;
    person.token = signed_in["access_token"].as_str().map(str::to_owned);
    person.has(100).await?;

    step("She has a text summarised, for 10 credits");
    let text = json!({ "text": TEXT });
    let answer = person.post("/ai/summarize", Some("first"), &text, StatusCode::OK).await?;
    println!("   “{}”", answer["result"]["summary"].as_str().unwrap_or_default());
    step("… and analysed, for 25");
    let answer = person.post("/ai/analyze", None, &text, StatusCode::OK).await?;
    println!("   keywords: {}", answer["result"]["keywords"]);
    person.has(65).await?;

    step("The same request with the same Idempotency-Key is answered again, and not charged");
    person.post("/ai/summarize", Some("first"), &text, StatusCode::OK).await?;
    person.has(65).await?;

    step("A text of two characters is refused, and says why");
    let answer = person
        .post("/ai/summarize", None, &json!({ "text": "Hi" }), StatusCode::UNPROCESSABLE_ENTITY)
        .await?;
    println!("   {}", answer["errors"]);
    step("More credits than there are cannot be spent");
    let much = json!({ "amount": 66, "reason": "too much" });
    let answer = person.post("/wallet/debits", None, &much, StatusCode::PAYMENT_REQUIRED).await?;
    println!("   {}", answer["detail"].as_str().unwrap_or_default());
    person.has(65).await?;

    step("Her history, newest first");
    let history = person.get("/wallet/transactions").await?;
    let rows = history["items"].as_array().cloned().unwrap_or_default();
    for row in &rows {
        println!(
            "   {:<8} {:>5}  available {:>4}  {}",
            row["kind"].as_str().unwrap_or_default(),
            row["amount"].to_string(),
            row["available_after"].to_string(),
            row["reason"].as_str().unwrap_or_default(),
        );
    }
    let sum: i64 = rows.iter().filter_map(|row| row["amount"].as_i64()).sum();
    expect(sum == 65, || format!("the history's amounts add up to {sum} instead of 65"))?;
    step("Why the newest row is what it is");
    let newest = rows.first().and_then(|row| row["id"].as_str()).unwrap_or_default().to_owned();
    let why = person.get(&format!("/wallet/transactions/{newest}/explain")).await?;
    println!("   {} of grants {}", why["event"], why["grants"]);

    let me = person.get("/me").await?;
    Ok(WalletId(me["id"].as_str().unwrap_or_default().parse()?))
}

/// What an auditor does, with readers that ask no server.
async fn prove(config: &Config, wallet: WalletId) -> Result<(), Failure> {
    step("An auditor replays Ada's wallet from the log, through postgres-es");
    audit::replay(config, audit::Replay::Wallet { id: wallet }).await?;
    step("… and verifies the whole log, every balance and every hash");
    audit::verified(config).await?;
    println!(
        "\nThat was the main job. `cargo run` serves it; `saldo --help` says what else there is."
    );
    Ok(())
}

fn step(what: &str) {
    println!("\n▸ {what}");
}

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(otherwise().into()) }
}

/// Somebody who uses the API.
struct Person<'a> {
    http: &'a Client,
    url: &'a str,
    token: Option<String>,
}

impl Person<'_> {
    async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, None, None, StatusCode::OK).await
    }

    async fn post(
        &self,
        path: &str,
        key: Option<&str>,
        body: &Value,
        expected: StatusCode,
    ) -> Result<Value, Failure> {
        self.send(Method::POST, path, key, Some(body), expected).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
        expected: StatusCode,
    ) -> Result<Value, Failure> {
        let mut request = self.http.request(method.clone(), format!("{}/api/v1{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let replayed = answer.headers().contains_key("idempotency-replayed");
        let charged = answer.headers().get("credits-charged").and_then(|value| value.to_str().ok());
        let told = match (charged, replayed) {
            (_, true) => ", as the first time".to_owned(),
            (Some(credits), false) => format!(", {credits} credits charged"),
            (None, false) => String::new(),
        };
        println!("   {method} /api/v1{path} → {}{told}", status.as_u16());
        let body: Value = answer.json().await?;
        expect(status == expected, || {
            format!("{path} answered {status} instead of {expected}: {body}")
        })?;
        Ok(body)
    }

    /// Insists on what the wallet has.
    async fn has(&self, expected: i64) -> Result<(), Failure> {
        let wallet = self.get("/wallet").await?;
        println!("   available {}, held {}", wallet["available"], wallet["held"]);
        expect(wallet["available"] == expected, || {
            format!("the wallet has {} instead of {expected}", wallet["available"])
        })
    }
}
