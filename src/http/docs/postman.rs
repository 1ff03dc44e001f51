//! The document as a collection that Postman imports: what it says, ready to be sent.

mod examples;

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Value, json};

use self::examples::example;
use crate::app::App;

/// What tells Postman how to read it.
const FORMAT: &str = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";

/// `/postman.json`, with this server's address for a start.
pub(super) fn routes(document: &Value) -> Router<App> {
    let collection = collection(document);
    Router::new().route(
        "/postman.json",
        get(move |State(app): State<App>| {
            let mut collection = collection.clone();
            collection["variable"][0]["value"] = json!(app.settings.public_url);
            async { axum::Json(collection) }
        }),
    )
}

/// A folder for each tag, an item for each operation.
fn collection(document: &Value) -> Value {
    let mut folders: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let tag = operation["tags"][0].as_str().unwrap_or("others");
            folders.entry(tag).or_default().push(item(document, (method, path), operation));
        }
    }
    let folders = folders.into_iter().map(|(name, item)| json!({ "name": name, "item": item }));
    let info = &document["info"];
    json!({
        "info": { "name": info["title"], "description": info["description"],
            "version": info["version"], "schema": FORMAT },
        "item": folders.collect::<Vec<_>>(),
        "auth": { "type": "bearer", "bearer": [{ "key": "token", "value": "{{token}}", "type": "string" }] },
        "variable": [variable("baseUrl"), variable("token")],
    })
}

fn variable(name: &str) -> Value {
    json!({ "key": name, "value": "", "type": "string" })
}

fn item(document: &Value, (method, path): (&str, &str), operation: &Value) -> Value {
    let name =
        operation["summary"].as_str().and_then(|summary| summary.split(['.', ';', ':']).next());
    let mut header = parameters(document, operation, "header");
    let mut request = json!({
        "method": method.to_uppercase(),
        "description": operation["description"],
        "url": url(document, path, operation),
    });
    if operation.get("security").is_none() {
        request["auth"] = json!({ "type": "noauth" });
    }
    if let Some((kind, body)) =
        operation["requestBody"]["content"].as_object().and_then(|it| it.iter().next())
    {
        header.push(json!({ "key": "Content-Type", "value": kind }));
        let raw = match example(document, &body["schema"]) {
            Value::String(text) => text,
            body => format!("{body:#}"),
        };
        request["body"] =
            json!({ "mode": "raw", "raw": raw, "options": { "raw": { "language": "json" } } });
    }
    request["header"] = json!(header);
    json!({ "name": name.unwrap_or(path), "request": request, "response": [] })
}

/// `{id}` of the document is `:id` there.
fn url(document: &Value, path: &str, operation: &Value) -> Value {
    let segments = path.trim_start_matches('/').split('/').map(|segment| {
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        name.map_or_else(|| segment.to_owned(), |name| format!(":{name}"))
    });
    let segments: Vec<_> = segments.collect();
    let (query, variable) =
        (parameters(document, operation, "query"), parameters(document, operation, "path"));
    json!({
        "raw": format!("{{{{baseUrl}}}}/{}", segments.join("/")),
        "host": ["{{baseUrl}}"],
        "path": segments,
        "query": query,
        "variable": variable,
    })
}

/// The parameters that stand there; those that nobody has to send are switched off.
fn parameters(document: &Value, operation: &Value, place: &str) -> Vec<Value> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    let here = all.filter(|parameter| parameter["in"] == place);
    let told = here.map(|parameter| {
        let value = parameter.get("example").cloned();
        let value = match value.unwrap_or_else(|| example(document, &parameter["schema"])) {
            Value::String(text) => text,
            Value::Null => String::new(),
            value => value.to_string(),
        };
        json!({ "key": parameter["name"], "value": value, "description": parameter["description"],
            "disabled": parameter["required"] != true })
    });
    told.collect()
}
