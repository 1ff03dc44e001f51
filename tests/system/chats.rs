//! What stands beside the log of chats: texts, what is told as it happens, and the day's allowance.

use std::sync::Arc;

use aggregates::chat::Ask;
use aggregates::credits::Credits;
use aggregates::id::{CommandId, HoldId};
use saldo::store::{ExecuteError, SideRow};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use uuid::Uuid;

use crate::lives;
use crate::support::Database;
use crate::talks::{Said, Talk, day, message};

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.expect(sql)
}

/// How many rows there are of texts, of what is told, and of chats that are kept.
async fn kept(pool: &PgPool) -> [i64; 3] {
    [
        count(pool, "select count(*) from chat_texts").await,
        count(pool, "select count(*) from chat_stream").await,
        count(pool, "select count(*) from chat_streams").await,
    ]
}

#[tokio::test]
async fn a_chat_that_is_deleted_leaves_no_word_and_nothing_late_brings_one_back() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    let (store, pool) = (lives::store(&database).await, database.pool().await);
    let (talk, other) = (Talk::begin(&store, ada.id).await, Talk::begin(&store, ada.id).await);
    for talk in [&talk, &other] {
        let reply = talk.post().await;
        talk.complete(reply, HoldId(Uuid::now_v7()), Credits::ZERO).await.expect("a reply");
        for title in ["a title", "another"] {
            talk.ask(Ask::Retitle, [talk.text(talk.chat, title)]).await.expect("a title");
        }
    }
    assert_eq!(kept(&pool).await, [6, 2, 2]);
    let title = "select sealed from chat_texts where text_id = $1";
    let title: String =
        sqlx::query_scalar(title).bind(talk.chat.0).fetch_one(&pool).await.expect("a title");
    assert_eq!(title, "another");

    let stolen = talk.text(other.chat, "of another chat");
    talk.ask(Ask::Retitle, [stolen]).await.expect("a title");
    let foreign = "select count(*) from chat_texts where sealed = 'of another chat'";
    assert_eq!(count(&pool, foreign).await, 0);

    let forgotten = SideRow::ChatForgotten { chat_id: talk.chat };
    talk.ask(Ask::Delete, [forgotten]).await.expect("it is deleted");
    assert_eq!(kept(&pool).await, [3, 1, 1]);
    // Another aggregate's unit brings what a reply that was under way would.
    let late = [talk.text(message(), "late"), talk.told("late")];
    other.ask(Ask::Retitle, late).await.expect("its own events are written");
    let told: Option<i64> = sqlx::query_scalar("select append_chat_stream($1, 'late', null, null)")
        .bind(talk.chat.0)
        .fetch_one(&pool)
        .await
        .expect("an answer");
    assert_eq!((told, kept(&pool).await), (None, [3, 1, 1]));
    store.pool().close().await;
    pool.close().await;
    drop(server);
    database.remove().await;
}

#[tokio::test]
async fn a_title_by_the_first_message_stands_only_where_there_is_none_and_the_chat_is_kept() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    let (store, pool) = (lives::store(&database).await, database.pool().await);
    let (talk, other) = (Talk::begin(&store, ada.id).await, Talk::begin(&store, ada.id).await);
    let titled = async |row: SideRow| {
        talk.ask(Ask::Retitle, [row]).await.expect("it is written");
        let titles = "select sealed from chat_texts order by sealed";
        sqlx::query_scalar::<_, String>(titles).fetch_all(&pool).await.expect("titles")
    };
    assert_eq!(titled(talk.first_title("said first")).await, ["said first"]);
    assert_eq!(titled(talk.first_title("said second")).await, ["said first"]);
    assert_eq!(titled(talk.text(talk.chat, "given")).await, ["given"]);
    assert_eq!(titled(talk.first_title("said late")).await, ["given"]);
    let forgotten = SideRow::ChatForgotten { chat_id: other.chat };
    other.ask(Ask::Delete, [forgotten]).await.expect("it is deleted");
    assert_eq!(titled(other.first_title("of none")).await, ["given"]);
    store.pool().close().await;
    pool.close().await;
    drop(server);
    database.remove().await;
}

#[tokio::test]
async fn of_a_person_who_is_erased_no_word_is_left_and_none_comes_later() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    let ben = server.register("ben@example.com").await;
    let (store, pool) = (lives::store(&database).await, database.pool().await);
    let (talk, other) = (Talk::begin(&store, ada.id).await, Talk::begin(&store, ben.id).await);
    let reply = talk.post().await;
    other.post().await;
    for talk in [&talk, &other] {
        let (message, reply, model) = (message(), message(), "local-1".to_owned());
        let side = [talk.allowance(9), talk.text(message, "said")];
        talk.ask(Ask::Post { message, reply, model }, side).await.expect("it is said");
    }
    lives::erase(&store, talk.user).await;
    talk.complete(reply, HoldId(Uuid::now_v7()), Credits::ZERO).await.expect("the log takes it");
    Talk::begin(&store, ada.id).await.post().await;
    assert_eq!(kept(&pool).await, [2, 0, 1]);
    let theirs = "select count(*) from chat_texts t join chat_days d using (user_id)";
    assert_eq!(count(&pool, theirs).await, 2);
    assert_eq!(count(&pool, "select count(*) from chat_days").await, 1);
    store.pool().close().await;
    pool.close().await;
    drop(server);
    database.remove().await;
}

/// Posts in a chat of its own, which all together may do so often.
async fn post_within(talk: Talk, most: u32) -> Said {
    let (message, reply, model) = (message(), message(), "local-1".to_owned());
    let side = [talk.text(message, "said"), talk.allowance(most)];
    talk.ask(Ask::Post { message, reply, model }, side).await
}

#[tokio::test]
async fn no_more_is_said_on_a_day_than_allowed_whatever_is_asked_at_once_on_however_many_nodes() {
    let database = Database::in_memory().await;
    let server = database.server();
    let (ada, ben) =
        (server.register("ada@example.com").await, server.register("ben@example.com").await);
    let nodes = Arc::new([lives::store(&database).await, lives::store(&database).await]);
    let mut posts = tokio::task::JoinSet::new();
    for number in 0..60 {
        let person = if number % 3 == 0 { &ben } else { &ada };
        let talk = Talk::begin(&nodes[0], person.id).await.on(&nodes[number % 2]);
        posts.spawn(post_within(talk, 10));
    }
    let said = posts.join_all().await;
    let spent = said.iter().filter(|said| matches!(said, Err(ExecuteError::Spent))).count();
    assert_eq!((said.iter().filter(|said| said.is_ok()).count(), spent), (20, 40), "{said:?}");
    let pool = database.pool().await;
    assert_eq!(count(&pool, "select count(*) from events where event_type = 'Posted'").await, 20);
    assert_eq!(count(&pool, "select count(*) from chat_texts").await, 20);
    assert_eq!(count(&pool, "select count(*) from chat_days where used = 10").await, 2);
    let talk = Talk::begin(&nodes[0], ada.id).await;
    what_is_given_back_may_be_used_again(&pool, &talk).await;
    for node in nodes.iter() {
        node.pool().close().await;
    }
    pool.close().await;
    drop(server);
    database.remove().await;
}

/// Of ten, which are used up.
async fn what_is_given_back_may_be_used_again(pool: &PgPool, talk: &Talk) {
    let used = async || {
        let used = "select used from chat_days where user_id = $1";
        let used: i32 =
            sqlx::query_scalar(used).bind(talk.user.0).fetch_one(pool).await.expect("a row");
        used
    };
    assert!(matches!(post_within(talk.clone(), 10).await, Err(ExecuteError::Spent)));
    let back = || SideRow::ChatAllowanceBack { user_id: talk.user, day: day() };
    talk.ask(Ask::Retitle, [back()]).await.expect("a title");
    assert_eq!(used().await, 9);
    let (id, message, reply) = (CommandId(Uuid::now_v7()), message(), message());
    let post = || Ask::Post { message, reply, model: "local-1".to_owned() };
    for _ in 0..2 {
        talk.ask_as(id, post(), [talk.allowance(10)]).await.expect("what was said once");
    }
    assert_eq!(used().await, 10);
    // On another plan there is more of it; on none, nothing.
    post_within(talk.clone(), 11).await.expect("there is one more");
    assert!(matches!(post_within(talk.clone(), 0).await, Err(ExecuteError::Spent)));
    for _ in 0..12 {
        talk.ask(Ask::Retitle, [back()]).await.expect("a title");
    }
    assert_eq!(used().await, 0);
    assert!(matches!(post_within(talk.clone(), 0).await, Err(ExecuteError::Spent)));
}

#[tokio::test]
async fn whoever_listens_to_a_chat_misses_nothing_that_many_tell_at_once() {
    const TELLERS: i64 = 6;
    const TOLD: i64 = 40;
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    let (store, pool) = (lives::store(&database).await, database.pool().await);
    let talk = Talk::begin(&store, ada.id).await;
    let mut listener = PgListener::connect_with(&pool).await.expect("a listener");
    listener.listen("chat").await.expect("it listens");
    let tellers = sqlx::postgres::PgPoolOptions::new().max_connections(6);
    let tellers = tellers.connect_with(database.options()).await.expect("the database answers");
    let mut telling = tokio::task::JoinSet::new();
    for teller in 0..TELLERS {
        let (tellers, talk) = (tellers.clone(), talk.clone());
        telling.spawn(async move {
            for _ in 0..TOLD {
                if teller == 0 {
                    talk.ask(Ask::Retitle, [talk.told("unit")]).await.expect("a title");
                    continue;
                }
                let tell =
                    "select append_chat_stream($1, 'text', null, 'sealed'), pg_sleep(0.0005)";
                sqlx::query(tell).bind(talk.chat.0).execute(&tellers).await.expect("it is told");
            }
        });
    }
    let mut heard = 0;
    while heard < TELLERS * TOLD {
        let told = listener.recv().await.expect("a word");
        assert_eq!(told.payload(), talk.chat.to_string());
        let new = "select seq from chat_stream where chat_id = $1 and seq > $2 order by seq";
        let new: Vec<i64> = sqlx::query_scalar(new)
            .bind(talk.chat.0)
            .bind(heard)
            .fetch_all(&pool)
            .await
            .expect("what is new");
        for number in new {
            assert_eq!(number, heard + 1, "something was told behind the listener's back");
            heard = number;
        }
    }
    telling.join_all().await;
    drop(listener);
    for pool in [store.pool(), &tellers, &pool] {
        pool.close().await;
    }
    drop(server);
    database.remove().await;
}
