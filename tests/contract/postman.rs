//! The collection for Postman, as Postman's own library reads it.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::installed::{NPM, Package};
use crate::library::Library;
use crate::support::Database;

/// A request for each item of a collection.
const LIBRARY: Library = Library {
    package: Package {
        name: "npm-postman-collection",
        files: &[
            ("package.json", include_str!("postman/package.json")),
            ("package-lock.json", include_str!("postman/package-lock.json")),
            ("read.mjs", include_str!("postman/read.mjs")),
        ],
        program: "node",
        by: NPM,
    },
    script: "read.mjs",
};

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
    let requests = LIBRARY.ask(&folder, &collection);
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
