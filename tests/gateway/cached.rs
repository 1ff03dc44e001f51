//! Lists of chats that are kept in Redis: seldom read from the database, and never old.

use std::time::{Duration, Instant};

use aggregates::id::UserId;
use reqwest::StatusCode;
use saldo::chats::cached::{Kept, forget, keep, look};
use saldo::clients::redis::Redis;
use serde_json::json;
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use crate::chats::says;
use crate::house::House;
use crate::nodes::Nodes;
use crate::redis_server::RedisServer;
use crate::script::Step;

#[tokio::test]
async fn a_list_that_was_read_is_served_from_redis_where_nobody_can_read_it() {
    let Some(redis) = RedisServer::start().await else { return };
    let nodes = Nodes::open(&redis.url()).await;
    let house = &nodes.house;
    house.script.answer("Hello, zebra!", says("Good day, giraffe."));
    let chat = house.chat().await;
    let reply = house.say(&chat, "Hello, zebra!").await;
    house.until(&chat, &reply, "done").await;
    house.settled().await;
    nodes.dropped().await;

    nodes.until_kept(&redis, 7).await;
    let first = nodes.truth("/chats?limit=7").await;
    let kept = redis.kept().await;
    assert_eq!(kept.len(), 2, "a page and its lease: {kept:?}");
    let said = format!("{kept:?}");
    for word in ["zebra", "giraffe", chat.as_str()] {
        assert!(first.to_string().contains(word) && !said.contains(word), "{word}: {said}");
    }
    let lasts: i64 = redis.ask(&["PTTL", &kept[0].0]).await;
    assert!((1..=600_000).contains(&lasts), "{lasts}");

    // Nothing happened, so nobody looks.
    let pool = house.pool().await;
    let harmless = "update chats.chats set messages = 77";
    sqlx::query(harmless).execute(&pool).await.expect("an update");
    pool.close().await;
    assert_eq!(nodes.truth("/chats?limit=7").await["items"][0]["messages"], 77);
    nodes.until_said(&house.server, "/chats?limit=7", &first).await;
    nodes.until_said(&nodes.other, "/chats?limit=7", &first).await;
    let read = house.post(&format!("/chats/{chat}/read"), &json!({})).await;
    assert_eq!(read.status, StatusCode::NO_CONTENT);
    assert_eq!(house.get("/chats?limit=7").await["items"][0]["messages"], 77);

    // Whoever is gone leaves nothing.
    nodes.dropped().await;
    nodes.until_kept(&redis, 7).await;
    house.erase().await;
    nodes.dropped().await;
    assert_eq!(redis.kept().await, []);
    nodes.close().await;
}

/// Changes something; whether any of the nodes does something for the person by itself, too.
async fn change(house: &House, what: &str, chat: &str, other: &str) -> bool {
    let (path, read) = (format!("/chats/{chat}/messages"), format!("/chats/{chat}/read"));
    let answer = match what {
        "begun" => house.post("/chats", &json!({ "title": "new" })).await.status,
        "said" => house.post(&path, &json!({ "text": "one" })).await.status,
        "replied" => {
            house.script.go_on();
            house.until_none("select count(*) from chats.chats where waiting is not null").await;
            StatusCode::OK
        }
        "read" => house.post(&read, &json!({})).await.status,
        "called something" => {
            let (ada, path) =
                (format!("Bearer {}", house.ada.token), format!("/api/v1/chats/{chat}"));
            let (headers, title) = ([("authorization", ada.as_str())], json!({ "title": "other" }));
            let method = reqwest::Method::PATCH;
            let answer = house.server.send(method, &path, &headers, Some(&title)).await;
            answer.expect("an answer").status
        }
        _ => house.delete(&format!("/chats/{other}")).await,
    };
    assert!(answer.is_success(), "{what}: {answer}");
    // Whichever node makes the reply holds credits for it first, and knows of that.
    matches!(what, "said" | "replied")
}

#[tokio::test]
async fn every_change_is_seen_at_its_position_at_once_and_without_one_within_a_moment() {
    let Some(redis) = RedisServer::start().await else { return };
    let nodes = Nodes::open(&redis.url()).await;
    let house = &nodes.house;
    let reply = [vec![Step::Waits], says("reply")].concat();
    house.script.answer("one", reply);
    let (chat, other) = (house.chat().await, house.chat().await);
    let pool = house.pool().await;
    for what in ["begun", "said", "replied", "read", "called something", "deleted"] {
        nodes.dropped().await;
        nodes.until_kept(&redis, 7).await;
        nodes.until_kept(&redis, 50).await;
        let before = nodes.truth("/chats").await;
        // Nothing is dropped until this ends.
        let held = hold(&pool, DROPPING).await;
        let by_a_node = change(house, what, &chat, &other).await;
        let now = nodes.truth("/chats").await;
        assert_ne!(now, before, "{what}");
        let end = nodes.end().await;
        let seen = nodes.other.get_at(&house.ada, "/chats", &end).await;
        assert_eq!(seen.body, now, "{what}, at its position");
        // Any node makes a reply, and knows of it.
        if !by_a_node {
            assert_eq!(house.get("/chats").await, now, "{what}, by who did it");
            nodes.until_said(&nodes.other, "/chats?limit=7", &before).await;
        }
        held.rollback().await.expect("an end");
        nodes.agree("/chats?limit=7").await;
    }
    pool.close().await;
    nodes.close().await;
}

#[tokio::test]
async fn what_was_read_before_a_drop_or_a_loss_is_not_kept_after_it() {
    let Some(mut server) = RedisServer::start().await else { return };
    let url = server.url().parse().expect("an address");
    let (redis, user) = (Redis::new(&url, "one"), UserId(Uuid::now_v7()));
    let page = |position| Kept { position, sealed: format!("page {position}") };
    let late = look(&redis, user, 50).await.expect("an answer");
    assert_eq!(late.kept, None);
    assert_eq!(keep(&redis, user, 50, &late, &page(1)).await, Ok(true));
    let found = look(&redis, user, 50).await.expect("an answer");
    assert_eq!(found.kept, Some(page(1)));
    assert_eq!(look(&redis, user, 7).await.expect("an answer").kept, None);

    forget(&redis, &[user]).await.expect("an answer");
    assert_eq!(keep(&redis, user, 50, &late, &page(1)).await, Ok(false));
    let new = look(&redis, user, 50).await.expect("an answer");
    assert_eq!(new.kept, None);
    assert_eq!(keep(&redis, user, 50, &late, &page(1)).await, Ok(false), "another has a lease");
    server.ask::<()>(&["FLUSHALL"]).await;
    assert_eq!(keep(&redis, user, 50, &new, &page(2)).await, Ok(false), "it was lost");

    // What is kept later does not make it last longer.
    let found = look(&redis, user, 50).await.expect("an answer");
    let key = server.kept().await.remove(0).0;
    server.ask::<()>(&["PEXPIRE", &key, "100000"]).await;
    assert_eq!(keep(&redis, user, 50, &found, &page(3)).await, Ok(true));
    assert!(server.ask::<i64>(&["PTTL", &key]).await <= 100_000);
    let stranger = Redis::new(&url, "two");
    assert_eq!(look(&stranger, user, 50).await.expect("an answer").kept, None);

    // What was on a disk may be older than what was dropped.
    server.save().await;
    forget(&redis, &[user]).await.expect("an answer");
    server.kill();
    server.restart().await;
    assert!(server.kept().await.iter().any(|(_, _, value)| value.contains("page 3")));
    let again = loop {
        match look(&redis, user, 50).await {
            Ok(found) => break found,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert_eq!(again.kept, None);
    assert_eq!(keep(&redis, user, 50, &found, &page(3)).await, Ok(false));
}

/// Keeps this row from whoever works on it, until it ends.
async fn hold(pool: &PgPool, row: &'static str) -> Transaction<'static, Postgres> {
    let mut held = pool.begin().await.expect("a transaction");
    sqlx::query(row).execute(&mut *held).await.expect(row);
    held
}

const DROPPING: &str = "select from process_checkpoints where name = 'drop_chat_lists' for update";
const PROJECTING: &str = "select from projections.checkpoints where name = 'chats' for update";

/// What is read before the read model has a change would be kept after the drop, and stay.
#[tokio::test]
async fn a_list_is_dropped_only_when_the_read_model_has_the_change() {
    let Some(redis) = RedisServer::start().await else { return };
    let nodes = Nodes::open(&redis.url()).await;
    let pool = nodes.house.pool().await;
    nodes.dropped().await;
    nodes.until_kept(&redis, 7).await;
    // One change is there to be dropped, and another comes that the read model has not yet.
    let dropping = hold(&pool, DROPPING).await;
    nodes.house.chat().await;
    nodes.truth("/chats").await;
    let projecting = hold(&pool, PROJECTING).await;
    nodes.house.chat().await;
    dropping.rollback().await.expect("an end");
    // Time enough to drop both.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        let listed = nodes.elsewhere("/chats?limit=7").await;
        assert!(listed["items"].as_array().is_some_and(|items| items.len() < 2), "{listed}");
    }
    projecting.rollback().await.expect("an end");
    pool.close().await;
    nodes.agree("/chats?limit=7").await;
    nodes.close().await;
}

#[tokio::test]
async fn what_redis_could_not_be_told_it_is_told_later() {
    let Some(redis) = RedisServer::start().await else { return };
    let nodes = Nodes::open(&redis.url()).await;
    nodes.dropped().await;
    nodes.until_kept(&redis, 7).await;
    let old = redis.kept().await;
    assert_eq!(old.len(), 2, "{old:?}");
    redis.ask::<()>(&["ACL", "SETUSER", "default", "-unlink"]).await;
    nodes.house.chat().await;
    for _ in 0..200 {
        if !redis.ask::<Vec<redis::Value>>(&["ACL", "LOG"]).await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!redis.ask::<Vec<redis::Value>>(&["ACL", "LOG"]).await.is_empty(), "it was tried");
    assert!(redis.kept().await.contains(&old[0]), "it was not done");
    redis.ask::<()>(&["ACL", "SETUSER", "default", "+unlink"]).await;
    nodes.dropped().await;
    let now = redis.kept().await;
    assert!(old.iter().all(|old| !now.contains(old)), "{now:?}");
    nodes.agree("/chats").await;
    nodes.close().await;
}
