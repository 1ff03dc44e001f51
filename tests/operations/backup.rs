//! The guide to backing up and putting back does what it says: its own commands are run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use saldo::embedded;
use serde_json::json;

use crate::skip::skip;
use crate::support::{Answer, Database, Person, Server};

const GUIDE: &str = include_str!("../../docs/operations/backup.md");
const PASSWORD: &str = "correct horse battery";

/// The commands of a section, block by block.
fn commands(section: &str) -> Vec<String> {
    let (_, rest) = GUIDE.split_once(&format!("\n## {section}\n")).expect("the section is there");
    let section = rest.split("\n## ").next().expect("a text");
    let mut blocks: Vec<String> = vec![];
    let mut is_in_block = false;
    for line in section.lines().map(str::trim_start) {
        match line {
            "```sh" => {
                is_in_block = true;
                blocks.push(String::new());
            }
            "```" => is_in_block = false,
            line if is_in_block => {
                let block = blocks.last_mut().expect("it was begun");
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    blocks
}

/// Somebody with a terminal.
struct Operator {
    /// Where they are, and where their backups are.
    folder: PathBuf,
    /// Where evidence is kept.
    evidence: PathBuf,
    /// Which database they mean, and by whom it is made.
    database: String,
    admin: String,
    data: PathBuf,
    programs: PathBuf,
}

impl Operator {
    /// Types it, and is told whether it went well, and what was said.
    fn run(&self, commands: &str) -> (bool, String) {
        let path = std::env::var("PATH").unwrap_or_default();
        let saldo = Path::new(env!("CARGO_BIN_EXE_saldo")).parent().expect("a folder");
        let ended = Command::new("bash")
            .args(["-euo", "pipefail", "-c", commands])
            .current_dir(&self.folder)
            .env("PATH", format!("{}:{}:{path}", self.programs.display(), saldo.display()))
            .env("DATABASE_URL", &self.database)
            .env("ADMIN_URL", &self.admin)
            .env("SALDO_DATA_DIR", &self.data)
            .env("EVIDENCE", &self.evidence)
            .stdin(Stdio::null())
            .output()
            .expect("there is a shell");
        let said = [ended.stdout, ended.stderr].concat();
        (ended.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// The same; it must go well.
    fn does(&self, commands: &str) -> String {
        let (done, said) = self.run(commands);
        assert!(done, "{commands}\n{said}");
        said
    }
}

async fn log_in(server: &Server, email: &str) -> Answer {
    let body = json!({ "email": email, "password": PASSWORD });
    server.send(Method::POST, "/api/v1/auth/login", &[], Some(&body)).await.expect("an answer")
}

async fn wallet(server: &Server, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    server.send(Method::GET, "/api/v1/wallet", &headers, None).await.expect("an answer")
}

async fn spends(server: &Server, person: &Person, amount: i64) {
    let debited = server.debit(person, amount, "").await;
    assert_eq!(debited.status, StatusCode::CREATED, "{:?}", debited.body);
}

/// Waits until the heads of the log are signed: each ten seconds, while it grows.
async fn signed(database: &Database, heads: usize) {
    for _ in 0..600 {
        let file = std::fs::read_to_string(database.data.join("heads.jsonl")).unwrap_or_default();
        if file.lines().count() >= heads {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no head is signed");
}

#[tokio::test]
async fn what_is_backed_up_by_the_guide_is_put_back_by_it_and_who_was_erased_stays_so() {
    if std::env::var_os("SALDO_PG_NO_SYSTEM").is_some() {
        println!("skipped: the PostgreSQL that Saldo brings along has no pg_dump");
        return;
    }
    let Some(dump) = embedded::program("pg_dump") else {
        return skip("there is no pg_dump: install PostgreSQL");
    };
    let [dumping, noting] = <[String; 2]>::try_from(commands("Backing up")).expect("two blocks");
    let putting_back = commands("Putting back");
    let [making, unpacking, verifying, comparing, erasing, ending] =
        <[String; 6]>::try_from(putting_back).expect("six blocks");

    let database = Database::in_memory().await;
    let server = database.server();
    let (ada, ben) =
        (server.register("ada@example.com").await, server.register("ben@example.com").await);
    spends(&server, &ben, 10).await;
    signed(&database, 1).await;
    let folder = database.data.join("operator");
    let evidence = folder.join("evidence");
    std::fs::create_dir_all(&evidence).expect("a folder");
    let mut operator = Operator {
        database: database.url(),
        admin: database.url().replace(&database.name, "postgres"),
        data: database.data.clone(),
        programs: dump.parent().expect("a folder").to_owned(),
        folder,
        evidence,
    };
    operator.does(&dumping);
    operator.does(&noting);
    operator.does("cp \"$SALDO_DATA_DIR/keys.json\" . && cp \"$EVIDENCE\"/heads-*.jsonl .");

    // What happens after the dump is lost with the database, but for who was erased, and that something was.
    let bearer = format!("Bearer {}", ada.token);
    let (headers, body) = ([("authorization", bearer.as_str())], json!({ "password": PASSWORD }));
    let erased = server.send(Method::DELETE, "/api/v1/me", &headers, Some(&body)).await;
    assert_eq!(erased.expect("an answer").status, StatusCode::NO_CONTENT);
    spends(&server, &ben, 20).await;
    signed(&database, 2).await;
    // Files are named by the second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    operator.does(&noting);
    drop(server);

    let restored = format!("{}_restored", database.name);
    operator.database = database.url().replace(&database.name, &restored);
    operator.data = database.data.join("restored");
    let filled_in =
        |commands: &str| commands.replace("saldo_restored", &restored).replace('…', "*");
    operator.does(&filled_in(&making));
    operator.does(&filled_in(&unpacking));
    assert!(operator.does(&verifying).contains("nothing is wrong"));
    let newest = "\"$(ls \"$EVIDENCE\"/heads-*.jsonl | tail -1)\"";
    let comparing = comparing.replace("\"$EVIDENCE/heads-….jsonl\"", newest);
    let (agrees, said) = operator.run(&comparing);
    assert!(!agrees && said.contains("expected"), "{said}");
    let said = operator.does(&filled_in(&erasing));
    assert!(said.contains("is forgotten"), "{said}");
    operator.does(&ending);

    // A node on what was put back, and what people find there.
    let settings =
        [("SALDO_RATE_LIMITS", "off"), ("SALDO_DATA_DIR", operator.data.to_str().expect("a path"))];
    let server = database.server_with(&operator.database, &settings);
    assert_eq!(log_in(&server, "ada@example.com").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(wallet(&server, &ben.token).await.status, StatusCode::UNAUTHORIZED, "it is over");
    let signed_in = log_in(&server, "ben@example.com").await;
    let token = signed_in.body["access_token"].as_str().expect("a token");
    assert_eq!(wallet(&server, token).await.body["available"], 90);
    drop(server);
    assert!(operator.does(&verifying).contains("nothing is wrong"));
    operator.does(&format!("dropdb --force --maintenance-db=\"$ADMIN_URL\" {restored}"));
    database.remove().await;
}
