//! What a node logs: a line for each request, in JSON, and nothing that is secret or personal.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Database, Person, Server};

const EMAIL: &str = "lovelace@analytical.example";
const PASSWORD: &str = "correct horse battery";
const WRONG: &str = "wrong horse battery";
const PROMPT: &str = "Nobody shall know that it rained in Halifax.";
const CHAT: &str = "Nobody shall know that it snowed in Marylebone.";
const IN_THE_PATH: &str = "a-secret-of-the-path";
const IN_THE_QUERY: &str = "a-secret-of-the-query";
const STRIPE: [(&str, &str); 3] = [
    ("STRIPE_SECRET_KEY", "sk_test_a_secret_of_stripe"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_a_secret_of_webhooks"),
    ("STRIPE_API_BASE", "http://127.0.0.1:1/secret"),
];

/// A server whose output, both of it, is a file; killed when dropped.
struct Logging {
    server: Server,
    process: Child,
    log: PathBuf,
}

impl Logging {
    async fn start(database: &Database, settings: &[(&str, &str)]) -> Self {
        fs::create_dir_all(&database.data).expect("a folder");
        let log = database.data.join("log");
        let file = File::create(&log).expect("a file");
        let process = database
            .program(settings)
            .env("SALDO_LISTEN", "127.0.0.1:0")
            .env("SALDO_RATE_LIMITS", "off")
            .env("SALDO_LOG_FORMAT", "json")
            .env_remove("RUST_LOG")
            .stdout(file.try_clone().expect("the file, twice"))
            .stderr(file)
            .spawn()
            .expect("the server can be started");
        let address = until(&log, |line| line["address"].as_str().map(str::to_owned)).await;
        Self { server: Server::within(format!("http://{address}")), process, log }
    }

    fn lines(&self) -> Vec<Value> {
        lines(&self.log)
    }

    async fn send(&self, method: Method, path: &str, with: &[(&str, &str)], body: Value) -> Answer {
        let body = (!body.is_null()).then_some(&body);
        self.server.send(method, path, with, body).await.expect("an answer")
    }

    async fn post(&self, path: &str, with: &[(&str, &str)], body: Value) -> Answer {
        self.send(Method::POST, &format!("/api/v1{path}"), with, body).await
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// All lines that are whole; each is JSON.
fn lines(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).expect("a log");
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let read =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    whole.lines().map(read).collect()
}

/// Looks for something in the log until it is there.
async fn until<T>(log: &Path, find: impl Fn(&Value) -> Option<T>) -> T {
    for _ in 0..400 {
        if let Some(found) = lines(log).iter().find_map(&find) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:#?}", lines(log));
}

/// A line without what has so many digits that six of them may be those of a code.
fn less_times(line: &Value) -> String {
    let mut line = line.clone();
    let fields = line.as_object_mut().expect("fields");
    fields.retain(|name, _| !["timestamp", "duration_ms"].contains(&name.as_str()));
    line.to_string()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// The text of the letter of this subject, once it was sent to her.
async fn letter(node: &Logging, subject: &str) -> String {
    for _ in 0..400 {
        let inbox = node.send(Method::GET, "/dev/inbox", &[], Value::Null).await;
        let items = inbox.body["items"].as_array().expect("letters");
        let is_it = |letter: &&Value| {
            letter["sent_to"] == EMAIL && text(&letter["subject"]).contains(subject)
        };
        if let Some(letter) = items.iter().find(is_it) {
            return text(&letter["text"]).to_owned();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no letter about {subject}");
}

/// Has a code and a link sent to her: both let in whoever reads them.
async fn letters(node: &Logging) -> [String; 2] {
    let asked = node.post("/auth/otp", &[], json!({ "channel": "email", "to": EMAIL })).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{:?}", asked.body);
    let asked = node.post("/auth/password/forgot", &[], json!({ "email": EMAIL })).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{:?}", asked.body);
    let with_code = letter(node, "code").await;
    let mut words = with_code.split(|c: char| !c.is_ascii_digit());
    let code = words.find(|word| word.len() == 6).expect("a code");
    let with_link = letter(node, "password").await;
    let (_, rest) = with_link.split_once("#token=").expect("a link");
    [code.to_owned(), rest.split_whitespace().next().expect("a token").to_owned()]
}

/// What somebody does who has just come in, and all that must not be told of it.
async fn journey(node: &Logging) -> (Person, String, Vec<String>) {
    let mut secrets: Vec<String> =
        [EMAIL, PASSWORD, WRONG, PROMPT, CHAT, IN_THE_PATH, IN_THE_QUERY, "127.0.0.1:1/secret"]
            .map(str::to_owned)
            .to_vec();
    secrets.extend(STRIPE[..2].iter().map(|(_, secret)| (*secret).to_owned()));
    let body = json!({ "email": EMAIL, "password": PASSWORD, "name": "Augusta King" });
    secrets.push("Augusta King".to_owned());
    let came = node.post("/auth/register", &[], body).await;
    assert_eq!(came.status, StatusCode::CREATED, "{:?}", came.body);
    for (password, status) in [(WRONG, 401), (PASSWORD, 200)] {
        let body = json!({ "email": EMAIL, "password": password });
        let signed_in = node.post("/auth/login", &[], body).await;
        assert_eq!(signed_in.status.as_u16(), status, "{:?}", signed_in.body);
        if status == 200 {
            secrets.push(text(&signed_in.body["access_token"]).to_owned());
            secrets.push(text(&signed_in.body["refresh_token"]).to_owned());
        }
    }
    secrets.extend(letters(node).await);
    let token = text(&came.body["access_token"]).to_owned();
    secrets.extend([token.clone(), text(&came.body["refresh_token"]).to_owned()]);
    let bearer = format!("Bearer {token}");
    let in_person = [("authorization", bearer.as_str()), ("x-request-id", "a-request")];
    let scopes = json!({ "name": "robot", "scopes": ["ai", "wallet_read"] });
    let key = node.post("/me/api-keys", &in_person, scopes).await;
    assert_eq!(key.status, StatusCode::CREATED, "{:?}", key.body);
    let (key_id, secret) = (text(&key.body["id"]).to_owned(), text(&key.body["secret"]).to_owned());
    let by_key = format!("Bearer {secret}");
    let by_key = [("authorization", by_key.as_str())];
    secrets.push(secret.clone());
    let called = node.post("/ai/summarize", &by_key, json!({ "text": PROMPT })).await;
    assert_eq!(called.status, StatusCode::OK, "{:?}", called.body);
    let said = json!({ "model": "auto", "messages": [{ "role": "user", "content": PROMPT }] });
    let completed = node.send(Method::POST, "/v1/chat/completions", &by_key, said).await;
    assert_eq!(completed.status, StatusCode::OK, "{:?}", completed.body);
    let chat = node.post("/chats", &in_person, json!({})).await;
    let messages = format!("/chats/{}/messages", text(&chat.body["id"]));
    let said = node.post(&messages, &in_person, json!({ "text": CHAT })).await;
    assert!(said.status.is_success(), "{:?}", said.body);
    secrets.extend([messages, text(&chat.body["id"]).to_owned()]);
    let order = json!({ "pack": "0190e0a0-0000-7000-8000-00000000abcd" });
    let refused = node.post("/billing/checkout", &in_person, order).await;
    assert!(refused.status.is_client_error(), "{:?}", refused.body);
    let forged = [("stripe-signature", "t=1,v1=a-forged-signature")];
    let told = node.post("/webhooks/stripe", &forged, json!({ "id": "evt_a_forged_one" })).await;
    assert!(told.status.is_client_error(), "{:?}", told.body);
    secrets.extend(["a-forged-signature", "evt_a_forged_one"].map(str::to_owned));
    let nowhere = format!("/{IN_THE_PATH}/{EMAIL}?token={IN_THE_QUERY}");
    let nowhere = node.send(Method::GET, &nowhere, &by_key, Value::Null).await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
    let refused = node.send(Method::GET, "/api/v1/admin/users", &in_person, Value::Null).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{:?}", refused.body);
    let id = text(&came.body["user"]["id"]).parse().expect("an id");
    let wallet = format!("/api/v1/wallet?email={EMAIL}&q={IN_THE_QUERY}");
    node.send(Method::GET, &wallet, &in_person, Value::Null).await;
    (Person { id, token }, key_id, secrets)
}

#[tokio::test]
async fn each_line_is_json_that_says_what_was_done_by_whom_and_nothing_secret_or_personal() {
    let database = Database::in_memory().await;
    let node = Logging::start(&database, &STRIPE).await;
    let (ada, key, secrets) = journey(&node).await;
    let is_of = |line: &Value, route: &str| line["route"] == route;
    until(&node.log, |line| is_of(line, "/api/v1/wallet").then_some(())).await;
    let all = node.lines();
    for line in all.iter().map(less_times) {
        for secret in &secrets {
            assert!(!line.contains(secret), "{secret}: {line}");
        }
    }
    for line in &all {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "{field}: {line}");
        }
    }
    let waiting = all.iter().filter(|line| line["message"] == "a message waits at /dev/inbox");
    let is_named = |line: &Value| line["channel"] == "email" && line["message_id"].is_string();
    assert!(waiting.filter(|line| is_named(line)).count() >= 2, "{all:#?}");
    // How often the letters were looked for is as it may be.
    let is_counted = |line: &Value| line["message"] == "answered" && line["route"] != "/dev/inbox";
    let requests: Vec<_> = all.iter().filter(|line| is_counted(line)).collect();
    assert_eq!(requests.len(), 15, "{requests:#?}");
    for line in &requests {
        assert!(line["request_id"].is_string() && line["duration_ms"].is_number(), "{line}");
        assert!(line["status"].is_u64() && line["method"].is_string(), "{line}");
        assert_eq!(line["level"], "INFO");
    }
    let find = |route: &str| {
        let found = requests.iter().find(|line| is_of(line, route));
        found.unwrap_or_else(|| panic!("{route}: {requests:#?}"))
    };
    let by_key = find("/api/v1/ai/summarize");
    assert_eq!((&by_key["user"], &by_key["api_key"]), (&json!(ada.id), &json!(key)));
    let in_person = find("/api/v1/chats/{id}/messages");
    assert_eq!((&in_person["user"], in_person.get("api_key")), (&json!(ada.id), None));
    assert_eq!(in_person["request_id"], "a-request");
    // What is refused has its line as well, and who it was where that is known.
    let is_refusal = |line: &&&Value| [401, 403].contains(&line["status"].as_u64().unwrap_or(0));
    let refused = requests.iter().filter(is_refusal);
    let refused: Vec<_> = refused.map(|line| (&line["route"], line.get("user"))).collect();
    let (login, users) = (json!("/api/v1/auth/login"), json!("/api/v1/admin/users"));
    assert_eq!(refused, [(&login, None), (&users, Some(&json!(ada.id)))]);
    let unknown = find("unknown");
    assert_eq!((&unknown["status"], unknown.get("user")), (&json!(404), None));
    drop(node);
    database.remove().await;
}

#[tokio::test]
async fn whoever_watches_has_no_lines_of_their_own() {
    let database = Database::in_memory().await;
    let node = Logging::start(&database, &[]).await;
    for path in ["/livez", "/readyz", "/healthz", "/healthz/db", "/health", "/metrics"] {
        let answer = node.send(Method::GET, path, &[], Value::Null).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
    node.send(Method::GET, "/info", &[], Value::Null).await;
    until(&node.log, |line| (line["route"] == "/info").then_some(())).await;
    let requests = node.lines().into_iter().filter(|line| line["message"] == "answered");
    assert_eq!(requests.count(), 1);
    drop(node);
    database.remove().await;
}

#[tokio::test]
async fn a_node_that_cannot_start_says_why_in_json_too() {
    let database = Database::in_memory().await;
    let settings = [
        ("SALDO_LOG_FORMAT", "json"),
        ("SALDO_METRICS_TOKEN", "short"),
        ("RUST_LOG", "info"),
        ("SALDO_LISTEN", "127.0.0.1:0"),
    ];
    let ended = database.program(&settings).env("RUST_LOG", "info").output().expect("it runs");
    assert!(!ended.status.success());
    let said = String::from_utf8(ended.stderr).expect("text");
    let last: Value = serde_json::from_str(said.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["level"], "ERROR");
    assert!(text(&last["error"]).contains("SALDO_METRICS_TOKEN"), "{last}");
    let settings = [("SALDO_LOG_FORMAT", "human"), ("SALDO_METRICS_TOKEN", "short")];
    let ended = database.program(&settings).output().expect("it runs");
    let said = String::from_utf8(ended.stderr).expect("text");
    assert!(said.starts_with("saldo: SALDO_METRICS_TOKEN"), "{said}");
}
