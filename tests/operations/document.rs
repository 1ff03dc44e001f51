//! The document of the API says what the API does.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Database, Server};

async fn document(server: &Server) -> Value {
    let answer = server.send(Method::GET, "/openapi.json", &[], None).await;
    answer.expect("the server answers").body
}

/// Whatever is named in it.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn all_that_the_document_names_is_in_it_and_problems_are_sent_as_problems() {
    let database = Database::in_memory().await;
    let server = database.server();
    let document = document(&server).await;
    let mut found = vec![];
    references(&document, &mut found);
    assert!(found.len() > 300, "{}", found.len());
    found.retain(|reference| document.pointer(reference.trim_start_matches('#')).is_none());
    assert_eq!(found, Vec::<&str>::new());
    let paths = document["paths"].as_object().expect("paths");
    let mut plain = vec![];
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("operations") {
            let answers = operation["responses"].as_object().expect("answers");
            let wrong = answers.values().filter(|answer| {
                answer["content"]["application/json"]["schema"]["$ref"]
                    == "#/components/schemas/Problem"
            });
            plain.extend(wrong.map(|answer| format!("{method} {path}: {answer}")));
            let empty = answers.values().any(|answer| answer.get("content") == Some(&Value::Null));
            assert!(!empty && operation.get("parameters") != Some(&Value::Null), "{method} {path}");
            let is_watched = ["/livez", "/readyz", "/healthz", "/metrics"];
            if !is_watched.iter().any(|watched| path.starts_with(watched)) {
                assert!(answers.contains_key("429"), "{method} {path}");
            }
        }
    }
    assert_eq!(plain, Vec::<String>::new());
    drop(server);
    database.remove().await;
}

#[tokio::test]
async fn a_position_that_nobody_was_given_is_refused_at_once() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    let end: i64 = database.end().await.parse().expect("a position");
    for (position, status) in [
        (end.to_string(), StatusCode::OK),
        ("0".to_owned(), StatusCode::OK),
        (i64::MAX.to_string(), StatusCode::UNPROCESSABLE_ENTITY),
        ("-1".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        let answer = server.get_at(&ada, "/wallet", &position).await;
        assert_eq!(answer.status, status, "{position}: {:?}", answer.body);
        if status == StatusCode::UNPROCESSABLE_ENTITY {
            assert!(answer.body["errors"]["X-Min-Position"].is_string(), "{:?}", answer.body);
        }
    }
    drop(server);
    database.remove().await;
}

#[tokio::test]
async fn a_whole_number_is_one_however_it_is_written() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    for (amount, status) in [
        (json!(2.0), StatusCode::CREATED),
        (json!(1e1), StatusCode::CREATED),
        (json!(1.5), StatusCode::UNPROCESSABLE_ENTITY),
        (json!(1e300), StatusCode::UNPROCESSABLE_ENTITY),
        (json!("2"), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let body = json!({ "amount": amount, "reason": "test" });
        let answer = server.post(&ada, "/wallet/debits", "", &body).await;
        assert_eq!(answer.status, status, "{amount}: {:?}", answer.body);
    }
    // What is said twice, or is more than there are numbers for, is not made right by how it is written.
    let bearer = format!("Bearer {}", ada.token);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    for body in [
        r#"{"amount":1.0,"amount":50,"reason":"test"}"#,
        r#"{"amount":-9223372036854775809,"reason":"test"}"#,
        r#"{"amount":1,"reason":"\".0","limit":2.0}"#,
    ] {
        let url = format!("{}/api/v1/wallet/debits", server.url);
        let sent =
            headers.iter().fold(reqwest::Client::new().post(url), |request, (name, value)| {
                request.header(*name, *value)
            });
        let answer = sent.body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    }
    assert_eq!(server.available(&ada).await, 100 - 2 - 10);
    drop(server);
    database.remove().await;
}

#[tokio::test]
async fn a_list_of_a_bodys_fields_is_no_body() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    let answer = server.post(&ada, "/wallet/debits", "", &json!([1, "test"])).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.body["errors"], json!({ "body": "must be an object" }));
    let within = json!({ "name": "laptop", "scopes": ["ai"], "spend_limits": [1, 2] });
    let answer = server.post(&ada, "/me/api-keys", "", &within).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}", answer.body);
    assert!(answer.body["errors"]["spend_limits"].is_string(), "{:?}", answer.body);
    drop(server);
    database.remove().await;
}
