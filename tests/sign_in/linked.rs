//! Accounts elsewhere that belong to one person: several, told of, and not an attacker's.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use saldo::clients::oauth::Provider;
use serde_json::json;

use crate::double::{CLIENT_ID, CLIENT_SECRET, Double};
use crate::providers::{Browser, github, link};
use crate::support::{Database, Server};
use crate::world::{ADA, Tokens, ask, code, cool_down, message, post, register, send, verify};

/// Somebody at X, who is known there by no address.
async fn x(subject: &str) -> Double {
    let double = Double::of(Provider::X).await;
    let user = json!({ "data": { "id": subject, "username": "ada", "name": "Ada" } });
    double.world().api.insert("/2/users/me", user);
    double
}

fn server(database: &Database, github: &Double, x: &Double) -> Server {
    let urls = |double: &Double| format!("{0}/authorize,{0}/token,{0}", double.url);
    let (github_urls, x_urls) = (urls(github), urls(x));
    let settings = [
        ("SALDO_RATE_LIMITS", "off"),
        ("SALDO_GITHUB_CLIENT_ID", CLIENT_ID),
        ("SALDO_GITHUB_CLIENT_SECRET", CLIENT_SECRET),
        ("SALDO_GITHUB_URLS", &github_urls),
        ("SALDO_X_CLIENT_ID", CLIENT_ID),
        ("SALDO_X_CLIENT_SECRET", CLIENT_SECRET),
        ("SALDO_X_URLS", &x_urls),
    ];
    let server = database.server_with(&database.url(), &settings);
    for (double, provider) in [(github, Provider::Github), (x, Provider::X)] {
        let back = format!("{}/api/v1/auth/oauth/{provider}/callback", server.url);
        double.world().back = Some(back);
    }
    server
}

#[tokio::test]
async fn a_person_has_several_identities_and_is_told_of_each() {
    let database = Database::in_memory().await;
    let (github, x) = (github(7, "elsewhere@example.com", true).await, x("2244994945").await);
    let server = server(&database, &github, &x);
    let ada = register(&server, ADA).await;
    verify(&server, &ada, ADA).await;
    for (count, provider, name) in [(2, Provider::Github, "GitHub"), (3, Provider::X, "X")] {
        assert!(link(&server, &ada, provider).await.starts_with("code="));
        let told = message(&server, ADA, count).await;
        let text = told["text"].as_str().expect("a text");
        assert!(text.contains(name), "{told}");
        let entered = Tokens::of(&Browser::new().sign_in_with(&server, provider).await);
        assert_eq!(entered.user["id"], ada.user["id"]);
    }
    let list = ask(&server, Method::GET, "/me/identities", &ada.access).await;
    let items = list.body["items"].as_array().expect("a list");
    assert_eq!((&items[0]["provider"], &items[1]["provider"]), (&json!("github"), &json!("x")));
    let path = format!("/me/identities/{}", items[0]["id"].as_str().expect("an id"));
    let unlinked = ask(&server, Method::DELETE, &path, &ada.access).await;
    assert_eq!(unlinked.status, StatusCode::NO_CONTENT);
    let told = message(&server, ADA, 4).await;
    assert!(told["text"].as_str().expect("a text").contains("GitHub"), "{told}");

    // What is refused tells nobody: the letter is of the unit that did not come to be.
    let grace = register(&server, "grace@example.com").await;
    verify(&server, &grace, "grace@example.com").await;
    assert_eq!(link(&server, &grace, Provider::X).await, "error=taken");
    let pool = database.pool().await;
    let letters: i64 = sqlx::query_scalar(
        "select (select count(*) from dev_inbox where sent_to = 'grace@example.com')
             + (select count(*) from graphile_worker._private_jobs)",
    )
    .fetch_one(&pool)
    .await
    .expect("a count");
    pool.close().await;
    assert_eq!(letters, 1, "the link to verify, and nothing else");
    database.remove().await;
}

/// T26: not only the password is gone.
#[tokio::test]
async fn who_registered_another_s_address_keeps_no_way_in() {
    let database = Database::in_memory().await;
    let (github, x) = (github(7, "eve@example.com", true).await, x("2244994945").await);
    let server = server(&database, &github, &x);
    let eve = register(&server, ADA).await;
    assert!(link(&server, &eve, Provider::Github).await.starts_with("code="));
    let key = json!({ "name": "laptop", "scopes": ["wallet_read"] });
    let key = send(&server, Method::POST, "/me/api-keys", &eve.access, &key).await;
    let key = key.body["secret"].as_str().expect("a secret").to_owned();
    let phone =
        json!({ "channel": "sms", "to": "+15551234567", "password": crate::world::PASSWORD });
    let sent = send(&server, Method::POST, "/me/contacts", &eve.access, &phone).await;
    let typed = json!({
        "challenge_id": sent.body["challenge_id"],
        "code": code(&server, "+15551234567", 1).await,
    });
    let proved = send(&server, Method::POST, "/me/contacts/verify", &eve.access, &typed).await;
    assert_eq!(proved.status, StatusCode::NO_CONTENT, "{:?}", proved.body);

    // The owner of the address comes by a code.
    cool_down(&database).await;
    let sent = post(&server, "/auth/otp", &json!({ "channel": "email", "to": ADA })).await;
    let typed = json!({
        "challenge_id": sent.body["challenge_id"],
        "code": code(&server, ADA, 1).await,
    });
    let ada = Tokens::of(&post(&server, "/auth/otp/verify", &typed).await);
    assert_eq!(ada.user["id"], eve.user["id"]);

    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!eve.are_good(&server).await && ada.are_good(&server).await);
    let by_key = ask(&server, Method::GET, "/wallet", &key).await;
    assert_eq!(by_key.status, StatusCode::UNAUTHORIZED);
    let by_github = Tokens::of(&Browser::new().sign_in(&server).await);
    assert_ne!(by_github.user["id"], ada.user["id"]);
    cool_down(&database).await;
    let sent = post(&server, "/auth/otp", &json!({ "channel": "sms", "to": "+15551234567" })).await;
    let typed = json!({
        "challenge_id": sent.body["challenge_id"],
        "code": code(&server, "+15551234567", 2).await,
    });
    let by_phone = Tokens::of(&post(&server, "/auth/otp/verify", &typed).await);
    assert_ne!(by_phone.user["id"], ada.user["id"]);
    drop(server);
    let (clean, said) = database.run(&["verify"]);
    assert!(clean, "{said}");
    database.remove().await;
}
