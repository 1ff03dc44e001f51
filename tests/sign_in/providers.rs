//! Signing in with an account elsewhere, as a browser goes: there, back, and the exchange.

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, StatusCode, redirect};
use saldo::clients::oauth::Provider;
use serde_json::{Value, json};

use crate::double::{CLIENT_ID, CLIENT_SECRET, Double};
use crate::support::{Answer, Database, Server};
use crate::world::{
    ADA, PASSWORD, Tokens, ask, cool_down, login, post, post_with, register, send, verify,
};

/// Somebody at GitHub.
pub async fn github(subject: i64, email: &str, verified: bool) -> Double {
    let double = Double::of(Provider::Github).await;
    let user = json!({ "id": subject, "login": "ada", "name": "Ada Lovelace" });
    let emails = json!([{ "email": email, "primary": true, "verified": verified }]);
    double.world().api.insert("/user", user);
    double.world().api.insert("/user/emails", emails);
    double
}

pub fn server(database: &Database, github: &Double) -> Server {
    let urls = format!("{0}/authorize,{0}/token,{0}", github.url);
    let settings = [
        ("SALDO_RATE_LIMITS", "off"),
        ("SALDO_GITHUB_CLIENT_ID", CLIENT_ID),
        ("SALDO_GITHUB_CLIENT_SECRET", CLIENT_SECRET),
        ("SALDO_GITHUB_URLS", &urls),
    ];
    let server = database.server_with(&database.url(), &settings);
    github.world().back = Some(format!("{}/api/v1/auth/oauth/github/callback", server.url));
    server
}

/// A browser that follows nothing by itself.
pub struct Browser(reqwest::Client);

impl Browser {
    pub fn new() -> Self {
        Self(saldo::clients::http().redirect(redirect::Policy::none()).build().expect("a client"))
    }

    pub async fn get(&self, url: &str, cookie: &str) -> reqwest::Response {
        self.0.get(url).header(COOKIE, cookie).send().await.expect("an answer")
    }

    /// Where an answer leads, and the cookie that it sets.
    pub fn led(response: &reqwest::Response) -> (String, String) {
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let cookie = text(SET_COOKIE).unwrap_or_default().split(';').next().unwrap_or_default();
        (text(LOCATION).unwrap_or_default().to_owned(), cookie.to_owned())
    }

    /// From a provider back to our page: what stands behind its `#`, and the cookie beside it.
    async fn return_from(&self, provider: &str, cookie: &str) -> (String, String) {
        let (back, _) = Self::led(&self.get(provider, "").await);
        self.come_back(&back, cookie).await
    }

    /// The same, from where the provider has sent it.
    pub async fn come_back(&self, back: &str, cookie: &str) -> (String, String) {
        let answer = self.get(back, cookie).await;
        let set = answer.headers().get_all(SET_COOKIE).iter();
        let set = set.filter_map(|value| value.to_str().ok()?.split(';').next());
        let set: Vec<String> = set.map(str::to_owned).collect();
        assert!(
            set.contains(&"__Host-saldo_attempt=".to_owned()),
            "the attempt is forgotten: {set:?}"
        );
        let kept = set.into_iter().find(|cookie| cookie.starts_with("__Host-saldo_returned="));
        let (page, _) = Self::led(&answer);
        let word = page.split_once("/signed-in#").map(|(_, word)| word.to_owned());
        (word.expect("our page"), kept.unwrap_or_default())
    }

    /// A sign-in by a browser that begins here.
    pub async fn sign_in(&self, server: &Server) -> Answer {
        self.sign_in_with(server, Provider::Github).await
    }

    pub async fn sign_in_with(&self, server: &Server, provider: Provider) -> Answer {
        let begun = self.get(&format!("{}/api/v1/auth/oauth/{provider}", server.url), "").await;
        assert_eq!(begun.status(), StatusCode::SEE_OTHER);
        let (there, cookie) = Self::led(&begun);
        assert!(cookie.starts_with("__Host-saldo_attempt="));
        let (word, kept) = self.return_from(&there, &cookie).await;
        exchange(server, &word, &kept).await
    }
}

/// Links what the provider says to the account; what the way back says.
pub async fn link(server: &Server, tokens: &Tokens, provider: Provider) -> String {
    let body = json!({ "provider": provider.to_string(), "password": PASSWORD });
    let away = send(server, Method::POST, "/me/identities", &tokens.access, &body).await;
    let there = away.body["url"].as_str().expect("an address").to_owned();
    let cookie = away.header("set-cookie").split(';').next().expect("a cookie").to_owned();
    Browser::new().return_from(&there, &cookie).await.0
}

pub async fn exchange(server: &Server, word: &str, kept: &str) -> Answer {
    let code = word.strip_prefix("code=").unwrap_or_else(|| panic!("{word}"));
    let body = json!({ "code": code });
    post_with(server, "/auth/oauth/exchange", &[("cookie", kept)], &body).await
}

#[tokio::test]
async fn somebody_new_gets_an_account_and_is_known_the_next_time() {
    let database = Database::in_memory().await;
    let github = github(7, ADA, true).await;
    let server = server(&database, &github);
    let new = Tokens::of(&Browser::new().sign_in(&server).await);
    assert_eq!((&new.user["email"], &new.user["email_verified"]), (&json!(ADA), &json!(true)));
    assert_eq!(new.user["name"], "Ada Lovelace");
    let wallet = ask(&server, Method::GET, "/wallet", &new.access).await;
    assert_eq!(wallet.body["available"], 100);
    let again = Tokens::of(&Browser::new().sign_in(&server).await);
    assert_eq!(again.user["id"], new.user["id"]);
    database.remove().await;
}

#[tokio::test]
async fn an_answer_belongs_to_the_browser_that_asked() {
    let database = Database::in_memory().await;
    let github = github(7, ADA, true).await;
    let server = server(&database, &github);
    let browser = Browser::new();
    let begin = format!("{}/api/v1/auth/oauth/github", server.url);
    let (there, _) = Browser::led(&browser.get(&begin, "").await);
    let (_, other) = Browser::led(&browser.get(&begin, "").await);
    for cookie in ["", "__Host-saldo_attempt=forged", other.as_str()] {
        assert_eq!(browser.return_from(&there, cookie).await.0, "error=sign_in_failed");
    }
    let pool = database.pool().await;
    let people: i64 =
        sqlx::query_scalar("select count(*) from events").fetch_one(&pool).await.expect("a count");
    pool.close().await;
    assert_eq!(people, 0);
    database.remove().await;
}

#[tokio::test]
async fn a_word_is_exchanged_once() {
    let database = Database::in_memory().await;
    let github = github(7, ADA, true).await;
    let server = server(&database, &github);
    let browser = Browser::new();
    let begin = format!("{}/api/v1/auth/oauth/github", server.url);
    let (there, cookie) = Browser::led(&browser.get(&begin, "").await);
    let (word, kept) = browser.return_from(&there, &cookie).await;
    assert_eq!(exchange(&server, &word, &kept).await.status, StatusCode::OK);
    assert_eq!(exchange(&server, &word, &kept).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    // Another's browser, which was sent the word, is not signed in by it.
    let (there, cookie) = Browser::led(&browser.get(&begin, "").await);
    let (word, _) = browser.return_from(&there, &cookie).await;
    let forced = exchange(&server, &word, "__Host-saldo_returned=forged").await;
    assert_eq!(forced.status, StatusCode::UNPROCESSABLE_ENTITY);
    database.remove().await;
}

#[tokio::test]
async fn who_registered_another_s_address_is_out_when_its_owner_comes_by_a_provider() {
    let database = Database::in_memory().await;
    let github = github(7, ADA, true).await;
    let server = server(&database, &github);
    let attacker = register(&server, ADA).await;
    let owner = Tokens::of(&Browser::new().sign_in(&server).await);
    assert_eq!(owner.user["id"], attacker.user["id"]);
    assert_eq!(login(&server, ADA, PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(!attacker.are_good(&server).await && owner.are_good(&server).await);
    let told = crate::world::message(&server, ADA, 1).await;
    assert!(told["text"].as_str().expect("a text").contains("password"), "{told}");
    database.remove().await;
}

#[tokio::test]
async fn both_verified_are_one_account_and_the_password_stays() {
    let database = Database::in_memory().await;
    let github = github(7, ADA, true).await;
    let server = server(&database, &github);
    let ada = register(&server, ADA).await;
    verify(&server, &ada, ADA).await;
    let by_github = Tokens::of(&Browser::new().sign_in(&server).await);
    assert_eq!(by_github.user["id"], ada.user["id"]);
    assert_eq!(login(&server, ADA, PASSWORD).await.status, StatusCode::OK);
    assert!(ada.are_good(&server).await);
    database.remove().await;
}

#[tokio::test]
async fn an_address_that_the_provider_did_not_verify_joins_nothing() {
    let database = Database::in_memory().await;
    let github = github(7, ADA, false).await;
    let server = server(&database, &github);
    let ada = register(&server, ADA).await;
    let other = Tokens::of(&Browser::new().sign_in(&server).await);
    assert_ne!(other.user["id"], ada.user["id"]);
    assert_eq!(other.user["email"], Value::Null);
    assert!(ada.are_good(&server).await);
    database.remove().await;
}

#[tokio::test]
async fn identities_are_linked_and_unlinked_but_never_the_last_way_in() {
    let database = Database::in_memory().await;
    let github = github(7, "elsewhere@example.com", true).await;
    let server = server(&database, &github);
    let ada = register(&server, ADA).await;
    let browser = Browser::new();
    let word = link(&server, &ada, Provider::Github).await;
    assert!(word.starts_with("code="), "{word}");
    let list = ask(&server, Method::GET, "/me/identities", &ada.access).await;
    let items = list.body["items"].as_array().expect("a list").clone();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["email"], "elsewhere@example.com");
    let entered = Tokens::of(&browser.sign_in(&server).await);
    assert_eq!(entered.user["id"], ada.user["id"]);

    // Another person cannot have it, too.
    let grace = register(&server, "grace@example.com").await;
    assert_eq!(link(&server, &grace, Provider::Github).await, "error=taken");
    // Nor does a link end well whose session was ended meanwhile.
    let gone = Tokens::of(&login(&server, "grace@example.com", PASSWORD).await);
    let body = json!({ "provider": "github", "password": PASSWORD });
    let away = send(&server, Method::POST, "/me/identities", &gone.access, &body).await;
    let there = away.body["url"].as_str().expect("an address").to_owned();
    let cookie = away.header("set-cookie").split(';').next().expect("a cookie").to_owned();
    post(&server, "/auth/logout", &json!({ "refresh_token": gone.refresh })).await;
    assert_eq!(browser.return_from(&there, &cookie).await.0, "error=unauthorized");

    let path = format!("/me/identities/{}", items[0]["id"].as_str().expect("an id"));
    let theirs = ask(&server, Method::DELETE, &path, &grace.access).await;
    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
    let unlinked = ask(&server, Method::DELETE, &path, &ada.access).await;
    assert_eq!(unlinked.status, StatusCode::NO_CONTENT, "{:?}", unlinked.body);

    // Whoever has nothing else keeps it.
    cool_down(&database).await;
    github.world().api.insert("/user/emails", json!([]));
    let only = Tokens::of(&browser.sign_in(&server).await);
    assert_ne!(only.user["id"], ada.user["id"]);
    let list = ask(&server, Method::GET, "/me/identities", &only.access).await;
    let path = format!("/me/identities/{}", list.body["items"][0]["id"].as_str().expect("an id"));
    let refused = ask(&server, Method::DELETE, &path, &only.access).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::CONFLICT, &json!("last_way_in"))
    );
    database.remove().await;
}

#[tokio::test]
async fn a_provider_s_tokens_are_kept_encrypted() {
    let database = Database::in_memory().await;
    let github = github(7, ADA, true).await;
    let server = server(&database, &github);
    Tokens::of(&Browser::new().sign_in(&server).await);
    let pool = database.pool().await;
    let kept: (String, String) = sqlx::query_as("select identities::text, tokens from identities")
        .fetch_one(&pool)
        .await
        .expect("a row");
    pool.close().await;
    assert!(!kept.0.contains("access-") && !kept.0.contains("refresh-") && !kept.0.contains(ADA));
    let (key, sealed) = kept.1.split_once('.').expect("the key's id and the tokens");
    assert!(key.len() == 16 && sealed.len() > 60, "{}", kept.1);
    database.remove().await;
}
