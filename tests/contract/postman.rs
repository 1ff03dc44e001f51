//! The collection for Postman, as Postman's own library reads it.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::installed::{NPM, Package};
use crate::support::Database;

const LIBRARY: Package = Package {
    name: "npm-postman-collection",
    files: &[
        ("package.json", include_str!("postman/package.json")),
        ("package-lock.json", include_str!("postman/package-lock.json")),
        ("read.mjs", include_str!("postman/read.mjs")),
    ],
    program: "node",
    by: NPM,
};

/// What the library makes of it: a request for each item.
fn read(folder: &std::path::Path, collection: &Value) -> Vec<Value> {
    let mut process = Command::new("node")
        .arg("read.mjs")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it can be started");
    let mut stdin = process.stdin.take().expect("stdin is piped");
    stdin.write_all(collection.to_string().as_bytes()).expect("it reads");
    drop(stdin);
    let said = process.wait_with_output().expect("it ends");
    assert!(said.status.success(), "it cannot be read");
    serde_json::from_slice(&said.stdout).expect("a list")
}

/// `POST /api/v1/chats/{id}` and its tag, once for each time that it is there.
fn operations(document: &Value) -> BTreeMap<String, Value> {
    let paths = document["paths"].as_object().expect("paths");
    let all = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("operations").iter();
        methods.map(move |(method, operation)| {
            (format!("{} {path}", method.to_uppercase()), operation.clone())
        })
    });
    all.collect()
}

#[tokio::test]
async fn postman_reads_every_operation_once_and_sends_what_the_document_asks_for() {
    let Some(folder) = LIBRARY.folder() else { return };
    let database = Database::in_memory().await;
    let server = database.server();
    let get = async |path: &str| {
        server.send(Method::GET, path, &[], None).await.expect("the server answers").body
    };
    let (document, collection) = (get("/openapi.json").await, get("/postman.json").await);
    let requests = read(&folder, &collection);
    let mut operations = operations(&document);
    for request in &requests {
        // Once: it is not there any more for another.
        let name = request["operation"].as_str().expect("a name");
        let operation = operations.remove(name).unwrap_or_else(|| panic!("{name} is too many"));
        assert_eq!(request["folder"], operation["tags"][0], "{name}");
        assert_eq!(request["variables"], request["placeholders"], "{name}");
        let url = request["url"].as_str().expect("a URL");
        assert!(url.starts_with(&format!("{}/", server.url)), "{name}: {url}");
        let auth = if operation.get("security").is_some() { "bearer" } else { "noauth" };
        assert_eq!(request["auth"], auth, "{name}");
        let asked = operation["requestBody"]["content"]["application/json"].is_object();
        let body = request["body"].as_str().unwrap_or_default();
        assert_eq!(serde_json::from_str::<Value>(body).is_ok(), asked, "{name}: {body}");
    }
    assert_eq!(operations, BTreeMap::new());
    assert!(requests.len() > 100, "{}", requests.len());
    let debit = requests.iter().find(|it| it["operation"] == "POST /api/v1/wallet/debits");
    let body = debit.expect("debits")["body"].as_str().expect("a body");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body, json!({ "amount": 10, "reason": "render 42" }));
    drop(server);
    database.remove().await;
}
