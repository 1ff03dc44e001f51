//! What providers gave us to speak for people there: kept, and refreshed when it is used.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::browser::{self, BACK};
use crate::double::Broken;
use crate::node::{CLIENT_ID, CLIENT_SECRET, NodeProvider};
use crate::providers::{Browser, exchange, github, server};
use crate::support::{Answer, Database, Server};
use crate::world::{ADA, Tokens, ask, register};

/// The path of the person's only identity.
async fn identity(server: &Server, tokens: &Tokens) -> String {
    let list = ask(server, Method::GET, "/me/identities", &tokens.access).await;
    format!("/me/identities/{}/refresh", list.body["items"][0]["id"].as_str().expect("an id"))
}

async fn look_again(server: &Server, path: &str, tokens: &Tokens) -> Answer {
    ask(server, Method::POST, path, &tokens.access).await
}

#[tokio::test]
async fn a_provider_s_tokens_are_refreshed_when_they_are_used() {
    let database = Database::in_memory().await;
    let github = github(7, ADA, true).await;
    let server = server(&database, &github);
    let ada = Tokens::of(&Browser::new().sign_in(&server).await);
    let path = identity(&server, &ada).await;
    let name = |name: &str| github.world().api.insert("/user", json!({ "id": 7, "name": name }));
    name("Ada King");
    let looked = look_again(&server, &path, &ada).await;
    assert_eq!((looked.status, &looked.body["name"]), (StatusCode::OK, &json!("Ada King")));
    assert_eq!(github.calls("/token"), 1, "what is good is not refreshed");
    let list = ask(&server, Method::GET, "/me/identities", &ada.access).await;
    assert_eq!(list.body["items"][0], looked.body);

    // Taken back before its time; then over before it is used.
    github.world().revoke_access();
    github.world().lasts = Some(30);
    name("Countess of Lovelace");
    let looked = look_again(&server, &path, &ada).await;
    assert_eq!(looked.body["name"], "Countess of Lovelace", "{:?}", looked.body);
    assert_eq!(github.calls("/token"), 2);
    assert_eq!(look_again(&server, &path, &ada).await.status, StatusCode::OK);
    assert_eq!(github.calls("/token"), 3);

    let grace = register(&server, "grace@example.com").await;
    assert_eq!(look_again(&server, &path, &grace).await.status, StatusCode::NOT_FOUND);
    github.world().api.insert("/user", json!({ "id": 8, "name": "Eve" }));
    let another = look_again(&server, &path, &ada).await;
    assert_eq!(another.status, StatusCode::BAD_GATEWAY, "{:?}", another.body);
    database.remove().await;
}

#[tokio::test]
async fn a_refresh_token_of_a_provider_is_used_once_by_however_many() {
    let database = Database::in_memory().await;
    let github = github(7, ADA, true).await;
    let (one, other) = (server(&database, &github), server(&database, &github));
    github.world().back = Some(format!("{}/api/v1/auth/oauth/github/callback", one.url));
    let ada = Tokens::of(&Browser::new().sign_in(&one).await);
    let path = identity(&one, &ada).await;
    github.world().revoke_access();
    let all = (0..10).map(|n| look_again(if n % 2 == 0 { &one } else { &other }, &path, &ada));
    for answer in join_all(all).await {
        let busy = answer.status == StatusCode::SERVICE_UNAVAILABLE;
        assert!(busy || answer.status == StatusCode::OK, "{:?}", answer.body);
    }
    assert_eq!(look_again(&other, &path, &ada).await.status, StatusCode::OK);
    assert_eq!(github.calls("/token"), 2);
    database.remove().await;
}

/// The provider has given a new refresh token by the time at which the client is gone.
#[tokio::test]
async fn what_a_provider_gives_is_kept_whoever_hangs_up() {
    let database = Database::in_memory().await;
    let github = github(7, ADA, true).await;
    let server = server(&database, &github);
    let ada = Tokens::of(&Browser::new().sign_in(&server).await);
    let path = identity(&server, &ada).await;
    github.world().revoke_access();
    github.world().broken.insert("/token", Broken::Slow(Duration::from_millis(500)));
    let hung_up = timeout(Duration::from_millis(200), look_again(&server, &path, &ada)).await;
    assert!(hung_up.is_err(), "the client did not wait");
    // Nothing waits for the provider but the one who asks it.
    assert_eq!(ask(&server, Method::GET, "/wallet", &ada.access).await.status, StatusCode::OK);
    tokio::time::sleep(Duration::from_secs(1)).await;
    github.world().broken.clear();
    let looked = look_again(&server, &path, &ada).await;
    assert_eq!(looked.status, StatusCode::OK, "{:?}", looked.body);
    assert_eq!(github.calls("/token"), 2);
    database.remove().await;
}

#[tokio::test]
async fn a_provider_that_is_asked_too_often_ends_no_link() {
    let database = Database::in_memory().await;
    let github = github(7, ADA, true).await;
    let server = server(&database, &github);
    let ada = Tokens::of(&Browser::new().sign_in(&server).await);
    let path = identity(&server, &ada).await;
    for status in [403, 429, 500] {
        github.world().broken.insert("/user", Broken::Fails(status));
        let failed = look_again(&server, &path, &ada).await;
        assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE, "{:?}", failed.body);
    }
    github.world().broken.insert("/token", Broken::Fails(500));
    github.world().broken.remove("/user");
    github.world().revoke_access();
    let failed = look_again(&server, &path, &ada).await;
    assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE, "{:?}", failed.body);
    github.world().broken.clear();
    assert_eq!(look_again(&server, &path, &ada).await.status, StatusCode::OK);
    database.remove().await;
}

#[tokio::test]
async fn a_link_that_the_provider_has_ended_is_made_anew_by_signing_in() {
    let database = Database::in_memory().await;
    let github = github(7, ADA, true).await;
    let server = server(&database, &github);
    let ada = Tokens::of(&Browser::new().sign_in(&server).await);
    let path = identity(&server, &ada).await;
    github.world().revoke_all();
    for _ in 0..2 {
        let over = look_again(&server, &path, &ada).await;
        assert_eq!((over.status, &over.body["code"]), (StatusCode::CONFLICT, &json!("link_over")));
    }
    assert_eq!(github.calls("/token"), 2, "what is over is not asked for again");
    let ada = Tokens::of(&Browser::new().sign_in(&server).await);
    assert_eq!(look_again(&server, &path, &ada).await.status, StatusCode::OK);
    database.remove().await;
}

/// A browser's whole way from our server through a provider that is not ours, and back.
async fn sign_in_with_google(server: &Server) -> Answer {
    let browser = Browser::new();
    let begun = browser.get(&format!("{}/api/v1/auth/oauth/google", server.url), "").await;
    let (there, cookie) = Browser::led(&begun);
    let back = browser::Browser::new().walk_back(&there, browser::Answer::Agree).await;
    let back = back.replace("https://saldo.example", &server.url);
    let (word, kept) = browser.come_back(&back, &cookie).await;
    exchange(server, &word, &kept).await
}

#[tokio::test]
async fn somebody_comes_in_with_google_and_the_tokens_go_on_being_refreshed() {
    let Some(google) = NodeProvider::start() else { return };
    let database = Database::in_memory().await;
    let settings = [
        ("SALDO_RATE_LIMITS", "off"),
        ("SALDO_PUBLIC_URL", BACK.split_once("/api").expect("a path").0),
        ("SALDO_GOOGLE_CLIENT_ID", CLIENT_ID),
        ("SALDO_GOOGLE_CLIENT_SECRET", CLIENT_SECRET),
        ("SALDO_GOOGLE_ISSUER", google.issuer()),
    ];
    let server = database.server_with(&database.url(), &settings);
    let ada = Tokens::of(&sign_in_with_google(&server).await);
    let known = (&ada.user["email"], &ada.user["email_verified"], &ada.user["name"]);
    assert_eq!(known, (&json!(ADA), &json!(true), &json!("Ada Lovelace")));
    let again = Tokens::of(&sign_in_with_google(&server).await);
    assert_eq!(again.user["id"], ada.user["id"]);
    // Its access tokens last less than a minute, and each refresh token is good once.
    let path = identity(&server, &ada).await;
    for _ in 0..3 {
        let looked = look_again(&server, &path, &ada).await;
        let shown = (&looked.body["provider"], &looked.body["name"], &looked.body["email"]);
        let is: (&Value, &Value, &Value) = (&json!("google"), &json!("Ada Lovelace"), &json!(ADA));
        assert_eq!(shown, is, "{:?}", looked.body);
    }
    database.remove().await;
}
