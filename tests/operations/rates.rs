//! How often the API may be asked, by whom, and what is said of it.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::redis_server::RedisServer;
use crate::scrape::{Scrape, until};
use crate::support::{Answer, Database, Person, Server};

/// Longer than a request takes that Redis keeps waiting for as long as it may.
const BOUND: Duration = Duration::from_secs(3);

async fn ask(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    server.send(Method::GET, path, headers, None).await.expect("an answer")
}

async fn wallet(server: &Server, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    ask(server, "/api/v1/wallet", &[("authorization", &bearer)]).await
}

/// How many pass of so many that come at once, in turn at each of the servers.
async fn passing(servers: &[&Server], token: &str, requests: usize) -> usize {
    let answers = servers.iter().cycle().take(requests).map(|server| wallet(server, token));
    let answers = join_all(answers).await;
    for answer in &answers {
        // To the other node, the wallet of somebody who has just come may be unknown yet.
        assert!(matches!(answer.status.as_u16(), 200 | 404 | 429), "{:?}", answer.body);
    }
    answers.iter().filter(|answer| answer.status != StatusCode::TOO_MANY_REQUESTS).count()
}

async fn key(server: &Server, person: &Person, body: serde_json::Value) -> Answer {
    server.post(person, "/me/api-keys", "", &body).await
}

#[tokio::test]
async fn a_burst_of_one_person_passes_sixty_times_and_says_what_is_left_and_when_to_come_back() {
    let database = Database::in_memory().await;
    let server = database.server_with(&database.url(), &[]);
    let (ada, ben) = (server.register("ada@example.com").await, server.register("ben@x.org").await);
    let first = wallet(&server, &ada.token).await;
    assert_eq!(first.header("ratelimit-policy"), r#""minute";q=60;w=60, "hour";q=1000;w=3600"#);
    let left = first.header("ratelimit");
    assert!(
        left.starts_with(r#""minute";r=59;t=6"#) && left.contains(r#""hour";r=999;t=3"#),
        "{left}"
    );
    assert_eq!(passing(&[&server], &ada.token, 150).await, 59);
    let refused = wallet(&server, &ada.token).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.body["code"], "rate_limited");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((50..=64).contains(&wait), "{wait}");
    // What was refused does not count.
    assert!(refused.header("ratelimit").contains(r#""hour";r=940;"#), "{:?}", refused.headers);
    assert_eq!(wallet(&server, &ben.token).await.status, StatusCode::OK, "others are not hindered");
    database.remove().await;
}

#[tokio::test]
async fn two_servers_on_one_redis_share_a_limit_and_each_has_its_own_without() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let database = Database::in_memory().await;
    let settings = [("REDIS_URL", redis.url())];
    let settings: Vec<_> = settings.iter().map(|(name, url)| (*name, url.as_str())).collect();
    let one = database.server_with(&database.url(), &settings);
    let other = database.server_with(&database.url(), &settings);
    let ben = one.register("ben@x.org").await;
    // A Redis that takes longer than a quarter of a second is away, on a machine that has much to do: then it
    // is tried with somebody else.
    let mut passed = vec![];
    for email in ["ada@example.com", "eve@example.com", "joe@example.com"] {
        let person = one.register(email).await;
        passed.push(passing(&[&one, &other], &person.token, 150).await);
        if passed.last() == Some(&60) {
            break;
        }
    }
    assert_eq!(passed.last(), Some(&60), "{passed:?}");
    // Under load, Redis dies: nobody waits, nobody is let through without a limit.
    let began = Instant::now();
    let both = [&one, &other];
    let load = passing(&both, &ben.token, 300);
    let death = async {
        // Some have been counted by then, and others are under way.
        tokio::time::sleep(Duration::from_millis(30)).await;
        redis.kill();
    };
    let (passed, ()) = tokio::join!(load, death);
    assert!((60..=180).contains(&passed), "{passed}");
    assert!(began.elapsed() < BOUND * 3, "{:?}", began.elapsed());
    let later = passing(&[&one, &other], &ben.token, 300).await;
    assert!(later <= 120, "{later}");
    assert_eq!(passing(&[&one, &other], &ben.token, 20).await, 0);
    // Sign-ins are counted in the database, for both together: five, and one more each twelve seconds.
    let mut answers = vec![];
    for server in [&one, &other].into_iter().cycle().take(12) {
        let body = json!({ "email": "nobody@example.com", "password": "no such password" });
        let path = "/api/v1/auth/login";
        let answer = server.send(Method::POST, path, &[], Some(&body)).await.expect("an answer");
        answers.push(answer.status.as_u16());
    }
    assert!(answers.iter().filter(|status| **status == 401).count() <= 6, "{answers:?}");
    for at in [0, 1] {
        assert!(answers.iter().skip(at).step_by(2).any(|status| *status == 429), "{answers:?}");
    }
    // When it is back, it counts for both again.
    redis.restart().await;
    for server in [&one, &other] {
        let came_back = async {
            while wallet(server, &ben.token).await.status != StatusCode::OK {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(BOUND, came_back).await.expect("Redis is asked again");
    }
    // Each server has let through what it found on its way back; together they have no more than one limit. Where
    // Redis takes longer than a quarter of a second meanwhile, it is away once more, for a second.
    let mut shared = 0;
    let counts_together = async {
        while shared == 0 {
            shared = passing(&both, &ben.token, 150).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(BOUND * 5, counts_together).await.expect("Redis counts again");
    shared += passing(&both, &ben.token, 150).await;
    assert!(shared <= 58, "{shared}");
    database.remove().await;
}

#[tokio::test]
async fn a_key_has_a_limit_of_its_own() {
    let database = Database::in_memory().await;
    let server = database.server_with(&database.url(), &[]);
    let ada = server.register("ada@example.com").await;
    let scopes = json!(["wallet_read"]);
    let slow =
        key(&server, &ada, json!({ "name": "slow", "scopes": scopes, "per_second": 5 })).await;
    assert_eq!((slow.status, &slow.body["per_second"]), (StatusCode::CREATED, &json!(5)));
    let usual = key(&server, &ada, json!({ "name": "usual", "scopes": scopes })).await;
    assert_eq!(usual.body["per_second"], 100);
    for wrong in [0, 1001] {
        let wrong = json!({ "name": "wrong", "scopes": scopes, "per_second": wrong });
        let refused = key(&server, &ada, wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.body["errors"]["per_second"].is_string(), "{}", refused.body);
    }
    let secret = slow.body["secret"].as_str().expect("a secret");
    let began = Instant::now();
    let passed = passing(&[&server], secret, 40).await;
    let seconds = usize::try_from(began.elapsed().as_secs()).expect("a short time") + 1;
    assert!(passed >= 5 && passed <= 5 * seconds, "{passed} in {seconds} s");
    assert_eq!(passing(&[&server], usual.body["secret"].as_str().expect("a secret"), 60).await, 60);
    let answer = wallet(&server, secret).await;
    assert_eq!(answer.header("ratelimit-policy"), r#""second";q=5;w=1"#);
    database.remove().await;
}

#[tokio::test]
async fn ai_calls_have_a_limit_besides() {
    let database = Database::in_memory().await;
    let server = database.server_with(&database.url(), &[]);
    let ada = server.register("ada@example.com").await;
    let bearer = format!("Bearer {}", ada.token);
    let headers = [("authorization", bearer.as_str())];
    for left in (0..20).rev() {
        let models = ask(&server, "/api/v1/ai/models", &headers).await;
        assert_eq!(models.status, StatusCode::OK);
        assert!(models.header("ratelimit").contains(&format!(r#""ai";r={left};"#)));
    }
    let refused = ask(&server, "/v1/models", &headers).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.body["error"]["code"] == "rate_limited", "{}", refused.body);
    assert_eq!(wallet(&server, &ada.token).await.status, StatusCode::OK, "the rest goes on");
    database.remove().await;
}

#[tokio::test]
async fn whoever_is_not_known_is_counted_by_address_and_hinders_nobody_who_is() {
    let database = Database::in_memory().await;
    let server = database.server_with(&database.url(), &[]);
    let ada = server.register("ada@example.com").await;
    let mut refused = 0;
    for number in 0..70 {
        // With what is not valid, and with nothing.
        let answer = if number % 2 == 0 {
            wallet(&server, "nonsense").await
        } else {
            ask(&server, "/openapi.json", &[]).await
        };
        refused += usize::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    // One was used to register.
    assert_eq!(refused, 70 - 59);
    // A header that nobody looks at lets nobody through.
    let bearer = format!("Bearer {}", ada.token);
    let public = ask(&server, "/openapi.json", &[("authorization", &bearer)]).await;
    assert_eq!(public.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(wallet(&server, &ada.token).await.status, StatusCode::OK);
    // Another address is another's only where the proxy that says so is ours.
    let forwarded = [("x-forwarded-for", "198.51.100.1")];
    assert_eq!(ask(&server, "/", &forwarded).await.status, StatusCode::TOO_MANY_REQUESTS);
    for _ in 0..100 {
        assert_eq!(ask(&server, "/livez", &[]).await.status, StatusCode::OK);
    }
    let ours = [("SALDO_TRUSTED_PROXIES", "127.0.0.0/8,::1/128")];
    let behind = database.server_with(&database.url(), &ours);
    for _ in 0..60 {
        assert_eq!(ask(&behind, "/", &forwarded).await.status, StatusCode::OK);
    }
    assert_eq!(ask(&behind, "/", &forwarded).await.status, StatusCode::TOO_MANY_REQUESTS);
    // Of IPv6, a network counts.
    let house = |number: u32| format!("2001:db8:1:2::{number:x}, 127.0.0.1");
    for number in 0..60 {
        let forwarded = house(number);
        let answer = ask(&behind, "/", &[("x-forwarded-for", &forwarded)]).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    let forwarded = house(999);
    let full = ask(&behind, "/", &[("x-forwarded-for", &forwarded)]).await;
    assert_eq!(full.status, StatusCode::TOO_MANY_REQUESTS);
    database.remove().await;
}

/// Stripe sends what it has to tell from few addresses, and as much of it as there is.
#[tokio::test]
async fn what_stripe_tells_is_not_counted() {
    let database = Database::in_memory().await;
    let stripe = [
        ("STRIPE_SECRET_KEY", "sk_test_1"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_1"),
        ("STRIPE_API_BASE", "http://127.0.0.1:1"),
    ];
    let server = database.server_with(&database.url(), &stripe);
    let forged = [("stripe-signature", "t=1,v1=forged")];
    let told = json!({ "id": "evt_1" });
    for turn in 0..70 {
        let path = "/api/v1/webhooks/stripe";
        let answer = server.send(Method::POST, path, &forged, Some(&told)).await;
        assert_eq!(answer.expect("an answer").status, StatusCode::BAD_REQUEST, "{turn}");
    }
    // They are limited who are: the address has used none of its sixty.
    for turn in 0..61 {
        let refused = ask(&server, "/", &[]).await.status == StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(refused, turn == 60, "{turn}");
    }
    database.remove().await;
}

/// Asks as so many clients who hang up after a second.
async fn hang_up(server: &Server, path: &str, bearer: &str, requests: usize) {
    let bearer = format!("Bearer {bearer}");
    let headers = [("authorization", bearer.as_str())];
    let asking = (0..requests).map(|_| ask(server, path, &headers));
    let hung_up = tokio::time::timeout(Duration::from_secs(1), join_all(asking)).await;
    assert!(hung_up.is_err(), "they were answered");
}

/// Keeps a table from everybody else until it is dropped.
async fn keep(
    database: &Database,
    sql: &'static str,
) -> (sqlx::PgPool, sqlx::Transaction<'static, sqlx::Postgres>) {
    let pool = database.pool().await;
    let mut tx = pool.begin().await.expect("a transaction");
    sqlx::query(sql).execute(&mut *tx).await.expect(sql);
    (pool, tx)
}

#[tokio::test]
async fn whoever_hangs_up_before_the_answer_is_counted_all_the_same() {
    let database = Database::in_memory().await;
    let server = database.server_with(&database.url(), &[]);
    let ada = server.register("ada@example.com").await;
    let slow = json!({ "name": "slow", "scopes": ["wallet_read"], "per_second": 1 });
    let slow = key(&server, &ada, slow).await;
    let limited = |by: &'static str| {
        move |scrape: &Scrape| scrape.sum("saldo_rate_limited_total", &[("by", by)]) > 0
    };
    // A route that does not look who asks counts whoever brings something only after its answer.
    let (pool, tx) = keep(&database, "lock table billing.packs in access exclusive mode").await;
    hang_up(&server, "/api/v1/billing/packs", "nonsense", 80).await;
    until(&server, "an address with too many", limited("address")).await;
    tx.rollback().await.expect("the table is free");
    pool.close().await;
    let (pool, tx) = keep(&database, "lock table api_keys in access exclusive mode").await;
    hang_up(&server, "/api/v1/wallet", slow.body["secret"].as_str().expect("a secret"), 8).await;
    tx.rollback().await.expect("the table is free");
    until(&server, "a key with too many", limited("key")).await;
    pool.close().await;
    database.remove().await;
}

#[tokio::test]
async fn a_key_that_is_not_valid_costs_no_query_however_often_it_is_tried() {
    let database = Database::in_memory().await;
    let server = database.server_with(&database.url(), &[]);
    let ada = server.register("ada@example.com").await;
    let mut secrets = vec![];
    for name in ["revoked", "good"] {
        let made = json!({ "name": name, "scopes": ["wallet_read"] });
        let made = key(&server, &ada, made).await.body;
        secrets.push(made["secret"].as_str().expect("a secret").to_owned());
        if name == "revoked" {
            let path = format!("/api/v1/me/api-keys/{}", made["id"].as_str().expect("an id"));
            let bearer = format!("Bearer {}", ada.token);
            let headers = [("authorization", bearer.as_str())];
            let revoked = server.send(Method::DELETE, &path, &headers, None).await;
            assert_eq!(revoked.expect("an answer").status, StatusCode::NO_CONTENT);
        }
    }
    let [revoked, good] = [&secrets[0], &secrets[1]];
    for _ in 0..20 {
        assert_eq!(wallet(&server, revoked).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(wallet(&server, good).await.status, StatusCode::OK, "others are not hindered");
    // Nobody who asks the database for a key gets an answer now.
    let (pool, tx) = keep(&database, "lock table api_keys in access exclusive mode").await;
    let at_once = async |secret: &str| {
        let answer = tokio::time::timeout(BOUND, wallet(&server, secret)).await;
        answer.expect("an answer without a look at the database")
    };
    let refused = at_once(revoked).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{:?}", refused.body);
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=64).contains(&wait), "{wait}");
    let mut guessed = good.clone();
    guessed.replace_range(12..13, if &good[12..13] == "A" { "B" } else { "A" });
    for guess in [guessed.as_str(), "sk_saldo_AAAA", "sk_saldo_"] {
        let refused = at_once(guess).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{guess}: {:?}", refused.body);
    }
    tx.rollback().await.expect("the table is free");
    pool.close().await;
    database.remove().await;
}
