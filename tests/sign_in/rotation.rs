//! One key follows another: what the old one has made stays good, what is new is made with the new
//! one, and nodes that run go on with it by themselves.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use saldo::keys::{KeyRing, Keys, Purpose};
use saldo::tokens::RefreshToken;
use serde_json::{Value, json};

use crate::providers::{Browser, github, server};
use crate::sessions::cookies;
use crate::support::{Database, Server};
use crate::world::{
    ADA, PASSWORD, Tokens, ask, goes_in, link, login, post, post_with, refresh, register,
};

/// The keys as the file has them.
pub fn keys(database: &Database) -> Keys {
    Keys::in_folder(&database.data).expect("the keys")
}

/// Adds a key that is used at once; the ids of the old one and of the new one.
pub fn rotate(database: &Database, purpose: Purpose, name: &str) -> [String; 2] {
    let old = keys(database).ring(purpose).newest().id;
    let (done, said) = database.run(&["keys", "rotate", name, "--at-once"]);
    assert!(done, "{said}");
    let new = keys(database).ring(purpose).newest().id;
    assert_ne!(old, new);
    [old, new]
}

/// As if time had passed since keys were added.
pub fn later(database: &Database, name: &str, passed: TimeDelta) {
    let path = database.data.join("keys.json");
    let text = std::fs::read_to_string(&path).expect("the keys");
    let mut keys: Value = serde_json::from_str(&text).expect("json");
    for key in keys[name].as_array_mut().expect("keys of one purpose") {
        let from: DateTime<Utc> =
            key["from"].as_str().and_then(|at| at.parse().ok()).expect("a time");
        key["from"] = json!(from - passed);
    }
    std::fs::write(&path, keys.to_string()).expect("the keys are written");
}

/// Asks until it is so.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..300 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("half a minute passed, and not yet: {what}");
}

fn is_signed_by(tokens: &Tokens, keys: &Keys, id: &str) -> bool {
    let key = keys.refresh_tokens.all().into_iter().find(|dated| dated.key.id == id);
    let ring = KeyRing::new(key.into_iter().collect()).expect("the key is there");
    RefreshToken::read(&tokens.refresh, &ring).is_some()
}

#[tokio::test]
async fn sessions_go_on_across_a_new_key_for_refresh_tokens_and_end_with_the_old_one_at_once() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    let left = register(&server, "left@example.com").await;
    let body = json!({ "email": ADA, "password": PASSWORD, "tokens": "cookies" });
    let (cookie, csrf) = cookies(&post(&server, "/auth/login", &body).await);

    let [old, new] = rotate(&database, Purpose::RefreshTokens, "refresh-tokens");
    let keys = keys(&database);
    assert!(is_signed_by(&ada, &keys, &old));
    until("the node that runs signs with the new key", async || {
        is_signed_by(&Tokens::of(&login(&server, ADA, PASSWORD).await), &keys, &new)
    })
    .await;
    let ada = Tokens::of(&refresh(&server, &ada.refresh).await);
    assert!(is_signed_by(&ada, &keys, &new));
    let sent = [("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str())];
    let renewed = post_with(&server, "/auth/refresh", &sent, &json!({})).await;
    assert_eq!(renewed.status, StatusCode::OK, "{:?}", renewed.body);
    assert_ne!(cookies(&renewed).1, csrf);

    let (done, said) = database.run(&["keys", "retire", "refresh-tokens"]);
    assert!(!done && goes_in(7 * 24 * 60 + 1, &said), "what it signed is good for a week: {said}");
    let (done, said) = database.run(&["keys", "retire", "refresh-tokens", "--at-once"]);
    assert!(done && said.contains(&old), "{said}");
    until("the node that runs knows the old key no more", async || {
        refresh(&server, &left.refresh).await.status == StatusCode::UNAUTHORIZED
    })
    .await;
    assert_eq!(refresh(&server, &ada.refresh).await.status, StatusCode::OK);
    database.remove().await;
}

/// The key that the node seals with: what a browser keeps while it is at a provider's begins with it.
async fn seals_with(server: &Server) -> String {
    let begin = format!("{}/api/v1/auth/oauth/github", server.url);
    let (_, cookie) = Browser::led(&Browser::new().get(&begin, "").await);
    let kept = cookie.strip_prefix("__Host-saldo_attempt=").expect("what is kept");
    kept.split('.').next().expect("an id").to_owned()
}

async fn sealing_keys_of_identities(database: &Database) -> Vec<String> {
    let pool = database.pool().await;
    let ids = "select split_part(unnest(array[sealed, tokens]), '.', 1) from identities";
    let ids = sqlx::query_scalar(ids).fetch_all(&pool).await.expect("rows");
    pool.close().await;
    ids
}

#[tokio::test]
async fn what_is_sealed_is_sealed_again_before_the_old_key_goes_and_links_are_waited_for() {
    let database = Database::in_memory().await;
    let github = github(7, ADA, true).await;
    let server = server(&database, &github);
    let ada = Tokens::of(&Browser::new().sign_in(&server).await);
    register(&server, "grace@example.com").await;
    post(&server, "/auth/password/forgot", &json!({ "email": "grace@example.com" })).await;
    let token = link(&server, "grace@example.com", 1).await;

    let [old, new] = rotate(&database, Purpose::Sealing, "sealing");
    assert_eq!(seals_with(&server).await, old);
    until("the node that runs seals with the new key", async || seals_with(&server).await == new)
        .await;
    let identities = ask(&server, Method::GET, "/me/identities", &ada.access).await;
    assert_eq!(identities.body["items"][0]["name"], "Ada Lovelace", "{:?}", identities.body);
    let (done, said) = database.run(&["keys", "retire", "sealing"]);
    assert!(!done && goes_in(61, &said), "browsers may be at a provider's: {said}");

    later(&database, "sealing", TimeDelta::hours(2));
    let (done, said) = database.run(&["keys", "retire", "sealing"]);
    assert!(!done && said.contains("1 codes, links and messages still need"), "{said}");
    let body = json!({ "token": token, "password": "another good one, too" });
    let reset = post(&server, "/auth/password/reset", &body).await;
    assert_eq!(reset.status, StatusCode::NO_CONTENT, "the old key opens it: {:?}", reset.body);
    assert_eq!(sealing_keys_of_identities(&database).await, [new.clone(), new.clone()]);
    let (done, said) = database.run(&["keys", "retire", "sealing"]);
    assert!(done && said.contains(&old), "{said}");
    drop(server);

    assert_eq!(keys(&database).sealing.all().len(), 1);
    let server = crate::providers::server(&database, &github);
    let again = ask(&server, Method::GET, "/me/identities", &ada.access).await;
    assert_eq!(again.body, identities.body);
    let id = again.body["items"][0]["id"].as_str().expect("an id");
    let path = format!("/me/identities/{id}/refresh");
    let looked = ask(&server, Method::POST, &path, &ada.access).await;
    assert_eq!(looked.status, StatusCode::OK, "the provider's tokens are there");
    database.remove().await;
}
