//! API keys: shown once, good for what they were made for, until they are revoked.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Database, Server};
use crate::world::{ADA, Tokens, ask, register, send};

async fn create(server: &Server, tokens: &Tokens, scopes: &Value) -> Answer {
    let body = json!({ "name": "laptop", "scopes": scopes });
    send(server, Method::POST, "/me/api-keys", &tokens.access, &body).await
}

fn secret(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
    answer.body["secret"].as_str().expect("a secret").to_owned()
}

#[tokio::test]
async fn a_key_is_shown_once_and_known_by_its_beginning() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    let created = create(&server, &ada, &json!(["ai", "wallet_read"])).await;
    let secret = secret(&created);
    let list = ask(&server, Method::GET, "/me/api-keys", &ada.access).await;
    let key = &list.body["items"][0];
    assert!(secret.starts_with(key["prefix"].as_str().expect("a prefix")));
    assert_eq!((&key["name"], &key["last_used_at"]), (&json!("laptop"), &Value::Null));
    assert_eq!(key["scopes"], json!(["wallet_read", "ai"]));
    assert!(!list.body.to_string().contains(&secret));
    let pool = database.pool().await;
    let kept: String = sqlx::query_scalar("select api_keys::text from api_keys")
        .fetch_one(&pool)
        .await
        .expect("a row");
    pool.close().await;
    assert!(!kept.contains(&secret) && !kept.contains("laptop"), "{kept}");
    database.remove().await;
}

#[tokio::test]
async fn a_key_works_on_every_route_of_its_scopes_and_on_no_other() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    let text = "Credits are counted in whole numbers, and every one that moved is an event.";
    let routes = [
        ("wallet_read", Method::GET, "/wallet", None),
        ("wallet_read", Method::GET, "/wallet/transactions", None),
        (
            "wallet_read",
            Method::GET,
            "/wallet/statement?from=2026-01-01T00:00:00Z&to=2026-12-31T00:00:00Z",
            None,
        ),
        (
            "wallet_spend",
            Method::POST,
            "/wallet/debits",
            Some(json!({ "amount": 1, "reason": "x" })),
        ),
        ("wallet_spend", Method::POST, "/wallet/holds", Some(json!({ "amount": 1 }))),
        ("ai", Method::POST, "/ai/summarize", Some(json!({ "text": text }))),
        ("ai", Method::GET, "/ai/analyses", None),
        ("", Method::GET, "/me", None),
        ("", Method::GET, "/me/sessions", None),
        ("", Method::GET, "/me/api-keys", None),
        ("", Method::GET, "/me/export", None),
        ("", Method::POST, "/me/api-keys", Some(json!({ "name": "x", "scopes": ["ai"] }))),
        (
            "",
            Method::POST,
            "/me/password",
            Some(json!({ "password": "four quiet violet engines" })),
        ),
    ];
    for scope in ["wallet_read", "wallet_spend", "ai"] {
        let secret = secret(&create(&server, &ada, &json!([scope])).await);
        for (needs, method, path, body) in &routes {
            let answer = match body {
                Some(body) => send(&server, method.clone(), path, &secret, body).await,
                None => ask(&server, method.clone(), path, &secret).await,
            };
            if *needs == scope {
                assert!(answer.status.is_success(), "{path} by {scope}: {:?}", answer.body);
            } else {
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} by {scope}");
            }
        }
    }
    let list = ask(&server, Method::GET, "/me/api-keys", &ada.access).await;
    assert!(list.body["items"][0]["last_used_at"].is_string());
    database.remove().await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_on_every_node() {
    let database = Database::in_memory().await;
    let (one, other) = (database.server(), database.server());
    let ada = register(&one, ADA).await;
    let grace = register(&one, "grace@example.com").await;
    let created = create(&one, &ada, &json!(["wallet_read"])).await;
    let secret = secret(&created);
    assert_eq!(ask(&other, Method::GET, "/wallet", &secret).await.status, StatusCode::OK);
    let path = format!("/me/api-keys/{}", created.body["id"].as_str().expect("an id"));
    let theirs = ask(&one, Method::DELETE, &path, &grace.access).await;
    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
    let revoked = ask(&one, Method::DELETE, &path, &ada.access).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    for server in [&one, &other] {
        let refused = ask(server, Method::GET, "/wallet", &secret).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    let wrong = ask(&one, Method::GET, "/wallet", "sk_saldo_AAAA").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    database.remove().await;
}
