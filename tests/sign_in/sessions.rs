//! Sessions: refresh tokens, lists, ends, cookies.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Database, Server};
use crate::world::{
    ADA, PASSWORD, Tokens, ask, change, limited, login, post, post_with, refresh, register,
};

#[tokio::test]
async fn ten_parallel_refreshes_of_one_token_are_one_family_and_nobody_is_logged_out() {
    let database = Database::in_memory().await;
    let (one, other) = (database.server(), database.server());
    let tokens = register(&one, ADA).await;
    let asked = (0..10).map(|turn| {
        let server = if turn % 2 == 0 { &one } else { &other };
        refresh(server, &tokens.refresh)
    });
    let answers = futures_util::future::join_all(asked).await;
    let renewed: Vec<Tokens> = answers.iter().map(Tokens::of).collect();
    assert!(renewed.iter().all(|tokens| tokens.refresh == renewed[0].refresh));
    assert_ne!(renewed[0].refresh, tokens.refresh);
    for tokens in &renewed {
        assert!(tokens.are_good(&one).await && tokens.are_good(&other).await);
    }
    let next = Tokens::of(&refresh(&other, &renewed[3].refresh).await);
    assert_ne!(next.refresh, renewed[0].refresh);
    database.remove().await;
}

#[tokio::test]
async fn a_refresh_token_that_is_used_again_later_ends_the_session() {
    let database = Database::in_memory().await;
    let server = database.server();
    let tokens = register(&server, ADA).await;
    let renewed = Tokens::of(&refresh(&server, &tokens.refresh).await);
    change(&database, "update sessions set rotated_at = rotated_at - interval '1 minute'").await;
    assert_eq!(refresh(&server, &tokens.refresh).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refresh(&server, &renewed.refresh).await.status, StatusCode::UNAUTHORIZED);
    assert!(!renewed.are_good(&server).await);
    let again = Tokens::of(&login(&server, ADA, PASSWORD).await);
    assert!(again.are_good(&server).await);
    database.remove().await;
}

#[tokio::test]
async fn a_refresh_token_that_we_did_not_sign_is_refused() {
    let database = Database::in_memory().await;
    let server = database.server();
    let tokens = register(&server, ADA).await;
    let mut forged = tokens.refresh.clone();
    let at = forged.len() - 6..forged.len() - 5;
    let other = if &forged[at.clone()] == "A" { "B" } else { "A" };
    forged.replace_range(at, other);
    for wrong in [forged.as_str(), "", "srt_", "srt_AAAA", tokens.access.as_str()] {
        assert_eq!(refresh(&server, wrong).await.status, StatusCode::UNAUTHORIZED, "{wrong}");
    }
    assert!(refresh(&server, &tokens.refresh).await.status.is_success());
    database.remove().await;
}

#[tokio::test]
async fn a_session_that_nobody_refreshes_is_over_after_seven_days() {
    let database = Database::in_memory().await;
    let server = database.server();
    let tokens = register(&server, ADA).await;
    let pool = database.pool().await;
    let days: i32 = sqlx::query_scalar(
        "select extract(day from expires_at - last_used_at + interval '1 second')::int from sessions",
    )
    .fetch_one(&pool)
    .await
    .expect("a session");
    assert_eq!(days, 7);
    pool.close().await;
    change(&database, "update sessions set expires_at = expires_at - interval '7 days'").await;
    assert_eq!(refresh(&server, &tokens.refresh).await.status, StatusCode::UNAUTHORIZED);
    database.remove().await;
}

#[tokio::test]
async fn refreshes_of_one_session_are_limited_over_all_nodes() {
    let database = Database::in_memory().await;
    let servers = [limited(&database), limited(&database)];
    let mut tokens = register(&servers[0], ADA).await;
    for n in 0..30 {
        let answer = refresh(&servers[n % 2], &tokens.refresh).await;
        assert!(answer.status.is_success(), "the {n}th: {:?}", answer.body);
        tokens = Tokens::of(&answer);
    }
    let refused =
        [refresh(&servers[0], &tokens.refresh).await, refresh(&servers[1], &tokens.refresh).await];
    for answer in refused {
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    }
    database.remove().await;
}

/// How long until a server refuses the tokens.
async fn refused_after(server: &Server, tokens: &Tokens, began: Instant) -> Duration {
    while tokens.are_good(server).await {
        assert!(began.elapsed() < Duration::from_secs(5), "the token is good for ever");
    }
    began.elapsed()
}

#[tokio::test]
async fn an_ended_session_s_access_token_fails_within_a_second_on_every_node() {
    let database = Database::in_memory().await;
    let (one, other) = (database.server(), database.server());
    let tokens = register(&one, ADA).await;
    let stays = Tokens::of(&login(&one, ADA, PASSWORD).await);
    assert!(tokens.are_good(&other).await);
    let began = Instant::now();
    let out = post(&one, "/auth/logout", &json!({ "refresh_token": tokens.refresh })).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert!(!tokens.are_good(&one).await, "the node that ended it knows at once");
    let took = refused_after(&other, &tokens, began).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(refresh(&other, &tokens.refresh).await.status, StatusCode::UNAUTHORIZED);
    assert!(stays.are_good(&one).await && stays.are_good(&other).await);
    // A node that starts later knows, too.
    assert!(!tokens.are_good(&database.server()).await);
    database.remove().await;
}

fn ids(answer: &Answer) -> Vec<Value> {
    let items = answer.body["items"].as_array().expect("a list");
    items.iter().map(|item| item["id"].clone()).collect()
}

#[tokio::test]
async fn a_person_lists_sessions_ends_one_and_ends_the_others() {
    let database = Database::in_memory().await;
    let server = database.server();
    let first = register(&server, ADA).await;
    let second = Tokens::of(&login(&server, ADA, PASSWORD).await);
    let third = Tokens::of(&login(&server, ADA, PASSWORD).await);
    let stranger = register(&server, "grace@example.com").await;

    let list = ask(&server, Method::GET, "/me/sessions", &second.access).await;
    let sessions = ids(&list);
    assert_eq!(sessions.len(), 3);
    assert_eq!(list.body["items"][1]["current"], true);
    assert_eq!(list.body["items"][0]["address"], "127.0.0.1");

    let of_first = format!("/me/sessions/{}", sessions[2].as_str().expect("an id"));
    let theirs = ask(&server, Method::DELETE, &of_first, &stranger.access).await;
    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
    let ended = ask(&server, Method::DELETE, &of_first, &second.access).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert!(!first.are_good(&server).await && third.are_good(&server).await);

    let began = Instant::now();
    let ended = ask(&server, Method::DELETE, "/me/sessions", &second.access).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert!(refused_after(&server, &third, began).await < Duration::from_secs(1));
    assert!(second.are_good(&server).await && stranger.are_good(&server).await);
    let left = ids(&ask(&server, Method::GET, "/me/sessions", &second.access).await);
    assert_eq!(left, sessions[1..2]);
    database.remove().await;
}

/// The cookies that an answer sets, as a browser sends them back.
pub fn cookies(answer: &Answer) -> (String, String) {
    let set = answer.headers.get_all("set-cookie").iter();
    let set: Vec<&str> = set.map(|value| value.to_str().expect("text")).collect();
    assert_eq!(set.len(), 3, "{set:?}");
    for cookie in &set {
        assert!(cookie.starts_with("__Host-saldo_"), "{cookie}");
        for word in ["Secure", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(word), "{cookie} without {word}");
        }
        assert_eq!(cookie.contains("HttpOnly"), !cookie.contains("_csrf="), "{cookie}");
    }
    let pairs: Vec<&str> = set.iter().filter_map(|cookie| cookie.split(';').next()).collect();
    let csrf = pairs.iter().find_map(|pair| pair.strip_prefix("__Host-saldo_csrf="));
    (pairs.join("; "), csrf.expect("a word").to_owned())
}

#[tokio::test]
async fn a_browser_s_session_is_in_cookies_and_needs_its_word_to_change_anything() {
    let database = Database::in_memory().await;
    let server = database.server();
    register(&server, ADA).await;
    let body = json!({ "email": ADA, "password": PASSWORD, "tokens": "cookies" });
    let entered = post(&server, "/auth/login", &body).await;
    assert_eq!(entered.status, StatusCode::OK);
    assert!(
        entered.body.get("access_token").is_none() && entered.body.get("refresh_token").is_none()
    );
    let (cookie, csrf) = cookies(&entered);

    let with_cookie = [("cookie", cookie.as_str())];
    let seen = server.send(Method::GET, "/api/v1/me", &with_cookie, None).await.expect("an answer");
    assert_eq!(seen.status, StatusCode::OK);
    let debit = json!({ "amount": 1, "reason": "test" });
    let refused = post_with(&server, "/wallet/debits", &with_cookie, &debit).await;
    assert_eq!((refused.status, &refused.body["code"]), (StatusCode::FORBIDDEN, &json!("csrf")));
    let other = Tokens::of(&login(&server, ADA, PASSWORD).await);
    assert!(other.are_good(&server).await);
    let wrong = [("cookie", cookie.as_str()), ("x-csrf-token", "0123")];
    let refused = post_with(&server, "/wallet/debits", &wrong, &debit).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let right = [("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str())];
    let spent = post_with(&server, "/wallet/debits", &right, &debit).await;
    assert_eq!(spent.status, StatusCode::CREATED, "{:?}", spent.body);

    let refused = post_with(&server, "/auth/refresh", &with_cookie, &json!({})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let renewed = post_with(&server, "/auth/refresh", &right, &json!({})).await;
    assert_eq!(renewed.status, StatusCode::OK);
    let (cookie, csrf) = cookies(&renewed);
    let right = [("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str())];
    let out = post_with(&server, "/auth/logout", &right, &json!({})).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    let (gone, _) = cookies(&out);
    assert!(gone.split("; ").all(|pair| pair.ends_with('=')), "{gone}");
    let with_cookie = [("cookie", cookie.as_str())];
    let seen = server.send(Method::GET, "/api/v1/me", &with_cookie, None).await.expect("an answer");
    assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
    database.remove().await;
}

#[tokio::test]
async fn whoever_has_the_published_keys_can_check_an_access_token() {
    let database = Database::in_memory().await;
    let server = database.server();
    let tokens = register(&server, ADA).await;
    let keys = server.send(Method::GET, "/.well-known/jwks.json", &[], None).await.expect("keys");
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_value(keys.body).expect("a set of keys");
    let header = jsonwebtoken::decode_header(&tokens.access).expect("a header");
    assert_eq!(header.alg, jsonwebtoken::Algorithm::EdDSA);
    let key = keys.find(&header.kid.expect("a kid")).expect("the key of that kid");
    let key = jsonwebtoken::DecodingKey::from_jwk(key).expect("a key");
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_audience(&["saldo"]);
    let claims = jsonwebtoken::decode::<Value>(&tokens.access, &key, &validation).expect("a token");
    assert_eq!(claims.claims["sub"], tokens.user["id"]);
    let lasts = claims.claims["exp"].as_i64().zip(claims.claims["iat"].as_i64());
    let minutes = lasts.map(|(end, start)| (end - start) / 60).expect("two times");
    assert!((10..=30).contains(&minutes), "{minutes}");
    database.remove().await;
}
