//! Windows as they pass, counted by a real Redis: what was used leaves them bit by bit, and the longest of them is kept
//! to, too.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use saldo::clients::redis::{Redis, RedisUrl};
use saldo::rates::{Rates, Verdict, Window};

use crate::redis_server::RedisServer;
use crate::support::{Answer, Database, Person, Server};

/// Six within three seconds: a step is a tenth of one.
const WITHIN: Duration = Duration::from_secs(3);
const WINDOW: Window = Window::new("short", 6, WITHIN);
const STEP: Duration = Duration::from_millis(100);

/// Asks three times; each must pass.
async fn three(rates: &Rates, who: &str) -> Instant {
    let began = Instant::now();
    for _ in 0..3 {
        assert!(rates.count(who, &[WINDOW]).await.passes);
    }
    began
}

/// Whether all that somebody asked is counted by one step.
async fn in_one_step(server: &RedisServer, who: &str) -> bool {
    let kept = server.kept().await;
    kept.iter().filter(|(key, _, _)| key.ends_with(&format!(":{who}"))).count() == 1
}

/// What is said to the first that passes again.
async fn passes_again(rates: &Rates, who: &str) -> Verdict {
    loop {
        let verdict = rates.count(who, &[WINDOW]).await;
        if verdict.passes {
            return verdict;
        }
        assert_eq!(verdict.standings[0].left, 0);
        tokio::time::sleep(STEP / 10).await;
    }
}

#[tokio::test]
async fn what_was_used_leaves_a_window_as_it_came_and_not_at_once() {
    let Some(server) = RedisServer::start().await else { return };
    let url: RedisUrl = server.url().parse().expect("an address");
    let redis = Redis::new(&url, "sliding");
    redis.ping().await.expect("Redis answers");
    let rates = Rates::new(Some(redis));
    // On a machine that stood still meanwhile, too much has left: then it is tried with somebody else. So it is where
    // the first three fell into two steps, which leave one after the other.
    for who in (0..30).map(|number| format!("person {number}")) {
        let who = who.as_str();
        let first = three(&rates, who).await;
        if !in_one_step(&server, who).await {
            continue;
        }
        while first.elapsed() < WITHIN / 2 {
            tokio::time::sleep(STEP / 10).await;
        }
        let second = three(&rates, who).await;
        let refused = rates.count(who, &[WINDOW]).await;
        let again = passes_again(&rates, who).await;
        if second.elapsed() >= WITHIN {
            continue;
        }
        assert!(!refused.passes && refused.retry_after() <= WITHIN / 2 + STEP, "{refused:?}");
        assert!(first.elapsed() >= WITHIN, "{:?}", first.elapsed());
        // The first three are gone, the second three still count, and so does this one.
        assert_eq!(again.standings[0].left, 6 - 3 - 1);
        for _ in 0..2 {
            assert!(rates.count(who, &[WINDOW]).await.passes);
        }
        let full = rates.count(who, &[WINDOW]).await;
        assert!(!full.passes || second.elapsed() >= WITHIN, "{full:?}");
        return;
    }
    panic!("the machine stands still");
}

async fn wallet(server: &Server, person: &Person) -> Answer {
    server.get(person, "/wallet").await
}

#[tokio::test]
async fn a_thousand_in_an_hour_are_all_however_few_they_are_in_a_minute() {
    let Some(redis) = RedisServer::start().await else { return };
    let database = Database::in_memory().await;
    let url = redis.url();
    let server = database.server_with(&database.url(), &[("REDIS_URL", &url)]);
    let ada = server.register("ada@example.com").await;
    let first = wallet(&server, &ada).await;
    assert!(first.header("ratelimit").contains(r#""hour";r=999;"#), "{:?}", first.headers);
    // As if 998 more had come earlier in this hour, and were out of the minute by now.
    let kept = redis.kept().await;
    let hers =
        |key: &str, field: &str| key.contains(&ada.id.to_string()) && field.starts_with("hour|");
    let mut hours = kept.iter().filter(|(key, field, _)| hers(key, field));
    let (key, field, used) = hours.next().expect("the hour of her first request");
    assert_eq!((used.as_str(), hours.next()), ("1", None));
    assert_eq!(redis.ask::<i64>(&["HINCRBY", key, field, "998"]).await, 999);
    let last = wallet(&server, &ada).await;
    assert_eq!(last.status, StatusCode::OK, "{:?}", last.body);
    assert!(last.header("ratelimit").contains(r#""minute";r=58;"#), "{:?}", last.headers);
    assert!(last.header("ratelimit").contains(r#""hour";r=0;"#), "{:?}", last.headers);
    let refused = wallet(&server, &ada).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{:?}", refused.body);
    assert_eq!(refused.body["code"], "rate_limited");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((3_000..=3_800).contains(&wait), "{wait}");
    let info = server.send(Method::GET, "/info", &[], None).await.expect("an answer");
    assert_eq!(info.status, StatusCode::OK, "others are not hindered");
    drop(server);
    database.remove().await;
}
