//! API keys: shown once, good for what they were made for, until they are revoked.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Database, Server};
use crate::world::{ADA, Tokens, ask, post_with, register, send};

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

/// A hold and a debit that a key has made, an AI call, and a line of the history.
async fn things(server: &Server, key: &str) -> [String; 4] {
    let made = async |path: &str, body: Value| {
        let made = send(server, Method::POST, path, key, &body).await;
        assert!(made.status.is_success(), "{path}: {:?}", made.body);
        made.body["id"].as_str().expect("an id").to_owned()
    };
    let hold = made("/wallet/holds", json!({ "amount": 5 })).await;
    let debit = made("/wallet/debits", json!({ "amount": 2, "reason": "x" })).await;
    let call = made("/ai/summarize", json!({ "text": TEXT })).await;
    let history = ask(server, Method::GET, "/wallet/transactions", key).await;
    [hold, debit, call, history.body["items"][0]["id"].as_str().expect("an id").to_owned()]
}

const TEXT: &str = "Credits are counted in whole numbers, and every one that moved is an event.";

/// Every route that takes keys, with the scope that it needs; the hold's end is the last.
fn routes([hold, debit, call, line]: &[String; 4]) -> Vec<(&'static str, Method, String, Value)> {
    let (get, post) = (|| Method::GET, || Method::POST);
    let statement = "/wallet/statement?from=2026-01-01T00:00:00Z&to=2026-12-31T00:00:00Z";
    let of_hold = |what: &str| format!("/wallet/holds/{hold}/{what}");
    let of_debit = format!("/wallet/debits/{debit}/reverse");
    let (one, text) = (json!({ "amount": 1 }), json!({ "text": TEXT }));
    let reason = json!({ "amount": 1, "reason": "x" });
    let (longer, part) = (json!({ "expires_in_s": 3600 }), json!({ "amount": 1, "final": false }));
    vec![
        ("wallet_read", get(), "/wallet".to_owned(), Value::Null),
        ("wallet_read", get(), "/wallet/limits".to_owned(), Value::Null),
        ("wallet_read", get(), "/wallet/transactions".to_owned(), Value::Null),
        ("wallet_read", get(), format!("/wallet/transactions/{line}/explain"), Value::Null),
        ("wallet_read", get(), statement.to_owned(), Value::Null),
        ("ai", post(), "/ai/summarize".to_owned(), text.clone()),
        ("ai", post(), "/ai/analyze".to_owned(), text),
        ("ai", get(), "/ai/analyses".to_owned(), Value::Null),
        ("ai", get(), format!("/ai/analyses/{call}"), Value::Null),
        ("wallet_spend", post(), "/wallet/debits".to_owned(), reason.clone()),
        ("wallet_spend", post(), of_debit, reason),
        ("wallet_spend", post(), "/wallet/holds".to_owned(), one.clone()),
        ("wallet_spend", post(), of_hold("increment"), one),
        ("wallet_spend", post(), of_hold("extend"), longer),
        ("wallet_spend", post(), of_hold("capture"), part),
        ("wallet_spend", post(), of_hold("release"), Value::Null),
    ]
}

/// Some of the routes that take none.
fn closed(key: &str) -> Vec<(Method, String, Value)> {
    let limits = json!({ "per_day": null, "per_month": null });
    vec![
        (Method::GET, "/me".to_owned(), Value::Null),
        (Method::GET, "/me/sessions".to_owned(), Value::Null),
        (Method::GET, "/me/identities".to_owned(), Value::Null),
        (Method::GET, "/me/export".to_owned(), Value::Null),
        (Method::GET, "/me/api-keys".to_owned(), Value::Null),
        (Method::POST, "/me/api-keys".to_owned(), json!({ "name": "x", "scopes": ["ai"] })),
        (Method::DELETE, format!("/me/api-keys/{key}"), Value::Null),
        (Method::PUT, format!("/me/api-keys/{key}/limits"), limits.clone()),
        (Method::PUT, "/wallet/limits".to_owned(), limits),
        (Method::POST, "/me/password".to_owned(), json!({ "password": "four quiet engines" })),
        (Method::POST, "/me/deactivate".to_owned(), json!({})),
        (Method::DELETE, "/me".to_owned(), json!({})),
    ]
}

async fn try_route(
    server: &Server,
    method: Method,
    path: &str,
    token: &str,
    body: &Value,
) -> Answer {
    if body.is_null() {
        ask(server, method, path, token).await
    } else {
        send(server, method, path, token, body).await
    }
}

#[tokio::test]
async fn a_key_works_on_every_route_of_its_scopes_and_on_no_other() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    let all = create(&server, &ada, &json!(["wallet_read", "wallet_spend", "ai"])).await;
    let things = things(&server, &secret(&all)).await;
    for scope in ["wallet_read", "wallet_spend", "ai"] {
        let key = secret(&create(&server, &ada, &json!([scope])).await);
        for (needs, method, path, body) in routes(&things) {
            if needs != scope {
                let refused = try_route(&server, method, &path, &key, &body).await;
                assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path} by {scope}");
                assert_eq!(refused.body["code"], "scope", "{path} by {scope}");
            }
        }
    }
    let key = secret(&all);
    for (method, path, body) in closed(all.body["id"].as_str().expect("an id")) {
        let refused = try_route(&server, method, &path, &key, &body).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}: {:?}", refused.body);
    }
    for (_, method, path, body) in routes(&things) {
        let answer = try_route(&server, method, &path, &key, &body).await;
        assert!(answer.status.is_success(), "{path}: {:?}", answer.body);
    }
    let list = ask(&server, Method::GET, "/me/api-keys", &ada.access).await;
    assert!(list.body["items"][3]["last_used_at"].is_string(), "{:?}", list.body);
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

async fn debit(server: &Server, token: &str, amount: i64) -> Answer {
    let body = json!({ "amount": amount, "reason": "render" });
    send(server, Method::POST, "/wallet/debits", token, &body).await
}

fn is_over_the_limit(answer: &Answer) -> bool {
    answer.status == StatusCode::PAYMENT_REQUIRED && answer.body["reason"] == "limit"
}

#[tokio::test]
async fn a_key_spends_no_more_than_its_own_limit_whatever_it_spends_on() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    let grace = register(&server, "grace@example.com").await;
    let body = json!({
        "name": "ci", "scopes": ["wallet_spend", "ai"], "spend_limits": { "per_day": null, "per_month": 15 },
    });
    let created = send(&server, Method::POST, "/me/api-keys", &ada.access, &body).await;
    let (key, path) = (secret(&created), "/me/api-keys");
    assert_eq!(created.body["spending"]["per_month"], json!({ "limit": 15, "spent": 0 }));
    let text = json!({ "text": "Credits are counted in whole numbers, each of them an event." });
    let first = send(&server, Method::POST, "/ai/summarize", &key, &text).await;
    assert_eq!(first.status, StatusCode::OK, "{:?}", first.body);
    let refused = send(&server, Method::POST, "/ai/summarize", &key, &text).await;
    assert!(is_over_the_limit(&refused), "{:?}", refused.body);
    let detail = refused.body["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("the API key's spend limit per month is 15"), "{detail}");
    assert!(is_over_the_limit(&debit(&server, &key, 6).await));
    let hold = send(&server, Method::POST, "/wallet/holds", &key, &json!({ "amount": 5 })).await;
    assert_eq!(hold.status, StatusCode::CREATED);
    assert!(is_over_the_limit(&debit(&server, &key, 1).await), "what is held counts");
    assert!(debit(&server, &ada.access, 20).await.status.is_success(), "their owner has no limit");

    let list = ask(&server, Method::GET, path, &ada.access).await;
    assert_eq!(list.body["items"][0]["spending"]["per_month"], json!({ "limit": 15, "spent": 15 }));
    let path = format!("{path}/{}/limits", created.body["id"].as_str().expect("an id"));
    let more = json!({ "per_month": 20, "per_day": 16 });
    let by_another = send(&server, Method::PUT, &path, &grace.access, &more).await;
    assert_eq!(by_another.status, StatusCode::NOT_FOUND);
    let raised = send(&server, Method::PUT, &path, &ada.access, &more).await;
    assert_eq!(raised.body["per_day"], json!({ "limit": 16, "spent": 15 }));
    assert!(debit(&server, &key, 1).await.status.is_success());
    assert!(is_over_the_limit(&debit(&server, &key, 1).await), "the day's is the lower");
    drop(server);
    let (clean, said) = database.run(&["verify"]);
    assert!(clean, "{said}");
    database.remove().await;
}

#[tokio::test]
async fn a_key_s_limit_holds_when_it_spends_on_two_nodes_at_once() {
    let database = Database::in_memory().await;
    let (one, other) = (database.server(), database.server());
    let ada = register(&one, ADA).await;
    let body = json!({
        "name": "ci", "scopes": ["wallet_spend"], "spend_limits": { "per_day": 50, "per_month": null },
    });
    let key = secret(&send(&one, Method::POST, "/me/api-keys", &ada.access, &body).await);
    let all = (0..20).map(|n| debit(if n % 2 == 0 { &one } else { &other }, &key, 10));
    let answers = futures_util::future::join_all(all).await;
    let spent = answers.iter().filter(|answer| answer.status.is_success()).count();
    assert_eq!(spent, 5);
    assert!(answers.iter().all(|answer| answer.status.is_success() || is_over_the_limit(answer)));
    database.remove().await;
}

#[tokio::test]
async fn a_key_changes_no_hold_and_no_debit_of_another() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    let all = json!(["wallet_read", "wallet_spend", "ai"]);
    let [one, other] = [create(&server, &ada, &all).await, create(&server, &ada, &all).await];
    let (one, other) = (secret(&one), secret(&other));
    let things = things(&server, &one).await;
    let changes = || {
        let all = routes(&things).into_iter();
        all.filter(|(_, _, path, _)| things[..2].iter().any(|id| path.contains(id.as_str())))
    };
    assert_eq!(changes().count(), 5);
    for (_, method, path, body) in changes() {
        let refused = try_route(&server, method, &path, &other, &body).await;
        let answer = (refused.status, &refused.body["code"]);
        assert_eq!(answer, (StatusCode::FORBIDDEN, &json!("not_yours")), "{path}");
    }
    for (_, method, path, body) in changes() {
        let answer = try_route(&server, method, &path, &ada.access, &body).await;
        assert!(answer.status.is_success(), "{path}: {:?}", answer.body);
    }
    database.remove().await;
}

#[tokio::test]
async fn two_keys_have_idempotency_keys_of_their_own() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let key = secret(&create(&server, &ada, &json!(["wallet_spend"])).await);
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", "render 42")];
        let body = json!({ "amount": 10, "reason": "render" });
        for _ in 0..2 {
            let spent = post_with(&server, "/wallet/debits", &headers, &body).await;
            ids.push(spent.body["id"].as_str().expect("an id").to_owned());
        }
    }
    assert_eq!((&ids[0], &ids[2]), (&ids[1], &ids[3]));
    assert_ne!(ids[0], ids[2]);
    database.remove().await;
}

#[tokio::test]
async fn the_wallet_s_limits_are_for_all_who_spend_from_it() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    let key = secret(&create(&server, &ada, &json!(["wallet_spend"])).await);
    let limits = json!({ "per_day": 30, "per_month": null });
    let set = send(&server, Method::PUT, "/wallet/limits", &ada.access, &limits).await;
    assert_eq!(set.body["per_day"], json!({ "limit": 30, "spent": 0 }), "{:?}", set.body);
    assert!(debit(&server, &key, 20).await.status.is_success());
    assert!(is_over_the_limit(&debit(&server, &key, 11).await));
    assert!(is_over_the_limit(&debit(&server, &ada.access, 11).await));
    let left_out = send(&server, Method::PUT, "/wallet/limits", &ada.access, &json!({})).await;
    assert_eq!(left_out.status, StatusCode::UNPROCESSABLE_ENTITY, "nothing is lifted silently");
    let none = json!({ "per_day": null, "per_month": null });
    send(&server, Method::PUT, "/wallet/limits", &ada.access, &none).await;
    let shown = ask(&server, Method::GET, "/wallet/limits", &ada.access).await;
    assert_eq!(shown.body["per_day"], json!({ "limit": null, "spent": 20 }));
    assert!(debit(&server, &ada.access, 40).await.status.is_success());
    let wrong = send(
        &server,
        Method::PUT,
        "/wallet/limits",
        &ada.access,
        &json!({ "per_day": -1, "per_month": null }),
    )
    .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    database.remove().await;
}
