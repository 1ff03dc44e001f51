//! Chats that live a random life are in their tables as the log has them, and are found there.

use chrono::{DateTime, Utc};
use projections::chats::{self as rows, ChatRow};
use projections::rebuild::rebuild;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::chat_oracle::{Oracle, id};
use crate::database::{Database, WithoutKeys, catch_up, named};
use crate::talks::Talks;
use crate::world::append;

async fn compare(pool: &PgPool) {
    let (expected, found) = (Oracle::of_log(pool).await, Oracle::of_tables(pool).await);
    for (id, expected) in expected.messages.iter().chain(&expected.chats) {
        let found = found.messages.get(id).or_else(|| found.chats.get(id));
        assert_eq!(found, Some(expected), "{id}");
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn chats_are_what_the_log_says_however_it_is_cut_and_rebuilt() {
    let database = Database::new().await;
    let pool = &database.pool;
    let mut talks = Talks::new(11, 25);
    for size in [1, 1, 2, 3, 8, 40, 400, 2_000] {
        append(pool, &talks.live(size).await).await;
        catch_up(pool).await;
        compare(pool).await;
    }
    let kinds: i64 = sqlx::query_scalar("select count(distinct event_type) from events")
        .fetch_one(pool)
        .await
        .unwrap();
    assert_eq!(kinds, 10, "whatever can happen has happened");
    let states: Vec<String> =
        sqlx::query_scalar("select distinct role || ' ' || state from messages order by 1")
            .fetch_all(pool)
            .await
            .unwrap();
    let of_replies = ["cancelled", "done", "failed", "queued"].map(|it| format!("assistant {it}"));
    assert_eq!(states, [of_replies.as_slice(), &["user done".to_owned()]].concat());
    rebuild(pool, &*named("chats"), &WithoutKeys).await.unwrap();
    compare(pool).await;
    append(pool, &talks.live(100).await).await;
    catch_up(pool).await;
    compare(pool).await;
    database.remove().await;
}

#[tokio::test]
async fn whoever_asks_for_chats_page_by_page_gets_each_once_and_the_newest_first() {
    let database = Database::new().await;
    let pool = &database.pool;
    let mut talks = Talks::new(5, 40);
    append(pool, &talks.live(900).await).await;
    catch_up(pool).await;
    let expected = Oracle::of_log(pool).await;
    for person in &talks.people {
        let mut theirs: Vec<_> =
            expected.chats.values().filter(|chat| chat["user_id"] == json!(person)).collect();
        theirs.sort_by_key(|chat| {
            let at: DateTime<Utc> = chat["updated_at"].as_str().unwrap().parse().unwrap();
            std::cmp::Reverse((at, id(&chat["chat_id"])))
        });
        let mut found: Vec<ChatRow> = vec![];
        loop {
            let after = found.last().map(|chat| (chat.updated_at, chat.chat_id));
            let page = rows::chats_of(pool, *person, after, 3).await.unwrap();
            found.extend(page.iter().cloned());
            if page.len() < 3 {
                break;
            }
        }
        assert!(found.len() > 3);
        let ids: Vec<_> = found.iter().map(|chat| chat.chat_id).collect();
        assert_eq!(ids, theirs.iter().map(|chat| id(&chat["chat_id"])).collect::<Vec<_>>());
        for chat in &found {
            let one = rows::chat_of(pool, *person, chat.chat_id).await.unwrap();
            assert_eq!(one.as_ref(), Some(chat));
            let nobody = rows::chat_of(pool, Uuid::nil(), chat.chat_id).await.unwrap();
            assert_eq!(nobody, None);
            messages_are_paged(pool, chat, &expected).await;
        }
    }
    what_waits_is_found(pool, &expected).await;
    database.remove().await;
}

async fn messages_are_paged(pool: &PgPool, chat: &ChatRow, expected: &Oracle) {
    let mut mine: Vec<_> = expected
        .messages
        .values()
        .filter(|message| message["chat_id"] == json!(chat.chat_id))
        .collect();
    mine.sort_by_key(|message| message["number"].as_i64());
    let ids = |messages: &[&Map<String, Value>]| {
        messages.iter().map(|message| id(&message["message_id"])).collect::<Vec<_>>()
    };
    let mut found = vec![];
    loop {
        let before = found.last().map(|message: &rows::MessageRow| message.number);
        let page = rows::messages_of(pool, chat.chat_id, before, 4).await.unwrap();
        found.extend(page.iter().cloned());
        if page.len() < 4 {
            break;
        }
    }
    found.reverse();
    assert_eq!(found.iter().map(|it| it.message_id).collect::<Vec<_>>(), ids(&mine));
    for message in &found {
        let one = rows::message_of(pool, chat.chat_id, message.message_id).await.unwrap();
        assert_eq!(one.as_ref(), Some(message));
        let elsewhere = rows::message_of(pool, Uuid::nil(), message.message_id).await.unwrap();
        assert_eq!(elsewhere, None);
    }
    let before = chat.messages / 2;
    mine.retain(|message| {
        message["state"] == "done" && message["number"].as_i64().unwrap() < i64::from(before)
    });
    conversation_is_paged(pool, chat.chat_id, before, &ids(&mine)).await;
}

async fn conversation_is_paged(pool: &PgPool, chat: Uuid, mut before: i32, mine: &[Uuid]) {
    let mut read = vec![];
    loop {
        let page = rows::conversation(pool, chat, before, 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(oldest) = page.last() else { break };
        before = oldest.number;
        read.extend(page.iter().map(|it| it.message_id));
    }
    read.reverse();
    assert_eq!(read, mine);
}

async fn what_waits_is_found(pool: &PgPool, expected: &Oracle) {
    let mut waiting: Vec<_> =
        expected.chats.values().filter(|chat| !chat["waiting"].is_null()).collect();
    waiting.sort_by_key(|chat| expected.messages[&id(&chat["waiting"])]["position"].as_i64());
    let found = rows::waiting(pool, 1_000).await.unwrap();
    let found: Vec<_> = found.iter().map(|it| (it.chat_id, it.user_id, it.reply)).collect();
    let of = |chat: &&Map<String, Value>| {
        (id(&chat["chat_id"]), id(&chat["user_id"]), id(&chat["waiting"]))
    };
    assert_eq!(found, waiting.iter().map(of).collect::<Vec<_>>());
    assert!(found.len() > 3, "hardly anything waits");
}
