//! A node whose file is older than what another has retired: it writes nothing that nobody else could read.

use std::fs;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use clap::ValueEnum;
use reqwest::{Method, StatusCode};
use saldo::keys::{Purpose, retired};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::rotation::{keys, until};
use crate::support::{Answer, Database, Server};
use crate::world::{ADA, PASSWORD, ask, login, post, register};

/// The folder of another node.
struct Elsewhere(PathBuf);

impl Elsewhere {
    /// With the keys that the first one has.
    fn of(database: &Database) -> Self {
        let folder = database.data.join("elsewhere");
        fs::create_dir(&folder).expect("a folder");
        fs::copy(database.data.join("keys.json"), folder.join("keys.json")).expect("the keys");
        Self(folder)
    }

    fn run(&self, database: &Database, arguments: &[&str]) {
        let mut program = database.program(&[]);
        let ended = program.args(arguments).env("SALDO_DATA_DIR", &self.0).output();
        let ended = ended.expect("the program runs");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }

    /// Has the key for looking people up followed by another, and lets it go.
    fn retire_lookup(&self, database: &Database) {
        self.run(database, &["keys", "rotate", "lookup", "--at-once"]);
        let path = self.0.join("keys.json");
        let mut keys: Value =
            serde_json::from_slice(&fs::read(&path).expect("the keys")).expect("json");
        // As if a day had passed.
        for key in keys["lookup"].as_array_mut().expect("keys") {
            let from: DateTime<Utc> =
                key["from"].as_str().and_then(|at| at.parse().ok()).expect("a time");
            key["from"] = json!(from - TimeDelta::hours(25));
        }
        fs::write(&path, keys.to_string()).expect("the keys are written");
        self.run(database, &["keys", "retire", "lookup"]);
    }

    /// Carries the file to the first node.
    fn carry(&self, database: &Database) {
        let draft = database.data.join("draft");
        fs::copy(self.0.join("keys.json"), &draft).expect("the keys");
        fs::rename(draft, database.data.join("keys.json")).expect("the keys");
    }
}

async fn ready(server: &Server) -> Answer {
    server.send(Method::GET, "/readyz", &[], None).await.expect("an answer")
}

/// Whether it was refused since the node's keys are older than others.
fn is_refused(answer: &Answer) -> bool {
    (answer.status, &answer.body["code"]) == (StatusCode::SERVICE_UNAVAILABLE, &json!("old_keys"))
}

/// All that registering somebody brings.
async fn written(pool: &PgPool) -> (i64, i64, i64) {
    sqlx::query_as(
        "select (select count(*) from events), (select count(*) from claims),
             (select count(*) from person_keys)",
    )
    .fetch_one(pool)
    .await
    .expect("counts")
}

fn eve() -> Value {
    json!({ "email": "eve@example.com", "password": PASSWORD })
}

#[tokio::test]
async fn a_node_without_the_key_that_others_look_people_up_by_says_so_and_writes_nothing() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    let pool = database.pool().await;
    let other = Elsewhere::of(&database);
    let before = written(&pool).await;
    other.retire_lookup(&database);
    let claims = written(&pool).await.1;

    let refused = post(&server, "/auth/register", &eve()).await;
    assert!(is_refused(&refused), "at once: {} {:?}", refused.status, refused.body);
    until("the node knows", async || is_refused(&ready(&server).await)).await;
    let told = ready(&server).await.body["detail"].to_string();
    assert!(told.contains("keys.json") && told.contains("lookup"), "{told}");
    for (path, body) in [
        ("/auth/register", eve()),
        ("/auth/login", json!({ "email": ADA, "password": PASSWORD })),
        ("/auth/otp", json!({ "channel": "email", "to": ADA })),
    ] {
        let answer = post(&server, path, &body).await;
        assert!(is_refused(&answer), "{path}: {} {:?}", answer.status, answer.body);
    }
    assert_eq!(written(&pool).await, (before.0, claims, before.2), "nothing is half done");
    let wallet = ask(&server, Method::GET, "/wallet", &ada.access).await;
    assert_eq!(wallet.status, StatusCode::OK, "what is there is told");

    other.carry(&database);
    until("it has the new key", async || ready(&server).await.status == StatusCode::OK).await;
    register(&server, "eve@example.com").await;
    assert_eq!(login(&server, ADA, PASSWORD).await.body["user"]["id"], ada.user["id"]);
    drop(server);
    let (clean, said) = database.run(&["verify"]);
    assert!(clean, "{said}");
    pool.close().await;
    database.remove().await;
}

#[tokio::test]
async fn what_only_a_retired_key_would_read_is_refused_before_the_node_knows() {
    let database = Database::in_memory().await;
    let server = database.server();
    register(&server, ADA).await;
    let pool = database.pool().await;
    let otp = json!({ "channel": "email", "to": ADA });
    for (purpose, path, body) in [
        (Purpose::KeyEncryption, "/auth/register", eve()),
        (Purpose::Lookup, "/auth/register", eve()),
        (Purpose::Sealing, "/auth/otp", otp),
    ] {
        let before = written(&pool).await;
        let key = keys(&database).ring(purpose).newest().id;
        retired::note(&pool, purpose, &[key]).await.expect("noted");
        let answer = post(&server, path, &body).await;
        assert!(is_refused(&answer), "{purpose:?}: {} {:?}", answer.status, answer.body);
        assert_eq!(written(&pool).await, before);
        // It is not, after all.
        sqlx::query("delete from retired_keys").execute(&pool).await.expect("forgotten");
        until("it is ready", async || ready(&server).await.status == StatusCode::OK).await;
    }
    pool.close().await;
    database.remove().await;
}

#[tokio::test]
async fn a_node_is_not_ready_whichever_of_its_keys_was_retired_and_names_each() {
    let database = Database::in_memory().await;
    let server = database.server();
    let pool = database.pool().await;
    for purpose in Purpose::value_variants() {
        let key = keys(&database).ring(*purpose).newest().id;
        retired::note(&pool, *purpose, &[key]).await.expect("noted");
    }
    until("it knows", async || is_refused(&ready(&server).await)).await;
    let told = ready(&server).await.body["detail"].to_string();
    for purpose in Purpose::value_variants() {
        assert!(told.contains(&purpose.name()), "{purpose:?}: {told}");
    }
    // Nor is one that starts.
    let next = database.server();
    assert!(is_refused(&ready(&next).await));
    pool.close().await;
    database.remove().await;
}
