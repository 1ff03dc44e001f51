//! Whoever edits what was said in a chat, or what it cost, is found out.

use std::collections::BTreeSet;

use aggregates::chat::Ask;
use aggregates::credits::Credits;
use aggregates::id::{HoldId, MessageId};
use aggregates::wallet::{self, By, Origin, Price, Spend, Wallet, WalletCommand};
use chrono::TimeDelta;
use saldo::store::{Envelope, Metadata, SideRow, Store};
use saldo::verify::Kind;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::audit::{kinds, verify};
use crate::lives;
use crate::support::Database;
use crate::talks::{Talk, message};

/// Lets the wallet pay for a reply.
async fn paid(store: &Store, user: Uuid, credits: u32) -> (HoldId, Credits) {
    let (hold, amount) = (HoldId(Uuid::now_v7()), Credits::new(credits));
    let (now, by) = (saldo::clock::now(), By { origin: Origin::Gateway, key: None });
    let spend = Spend { by, amount, price: Price::Stated, reason: "chat".to_owned() };
    let expires_at = now + TimeDelta::minutes(10);
    let asks = [
        wallet::Ask::Authorize { hold, spend, expires_at },
        wallet::Ask::Capture { hold, by, amount, last: true, usage: None },
    ];
    for ask in asks {
        let envelope = Envelope::once(Metadata::default());
        let done = store.execute::<Wallet>(user, envelope, WalletCommand { now, ask }).await;
        done.expect("the wallet agrees");
    }
    (hold, amount)
}

/// A chat in which everything happened but its end.
async fn lively(store: &Store, user: Uuid) -> Talk {
    let talk = Talk::begin(store, user).await;
    talk.ask(Ask::Retitle, [talk.text(talk.chat, "a title")]).await.expect("a title");
    let replies = [talk.post().await, talk.post().await, talk.post().await];
    let (hold, credits) = paid(store, user, 5).await;
    talk.complete(replies[0], hold, credits).await.expect("a reply");
    talk.ask(Ask::Read, []).await.expect("it is read");
    talk.ask(Ask::CancelWaiting { reply: replies[2] }, []).await.expect("it is cancelled");
    talk.ask(Ask::Cancel { reply: replies[1] }, []).await.expect("it is to stop");
    let (hold, credits) = paid(store, user, 2).await;
    talk.ask(stopped(replies[1], hold, credits), []).await.expect("it is stopped");
    let again = retry(&talk, replies[2]).await;
    let failed = Ask::Fail { reply: again, code: "provider_failed".to_owned() };
    talk.ask(failed, []).await.expect("it failed");
    let again = retry(&talk, again).await;
    let (hold, credits) = paid(store, user, 3).await;
    talk.complete(again, hold, credits).await.expect("a reply");
    let waits = talk.post().await;
    talk.ask(Ask::Cancel { reply: waits }, []).await.expect("it is to stop");
    talk
}

fn stopped(reply: MessageId, hold: HoldId, credits: Credits) -> Ask {
    let (model, hold) = (Some("local-1".to_owned()), Some(hold));
    let (input_tokens, output_tokens) = (Some(1), None);
    Ask::CompleteCancelled { reply, hold, credits, model, input_tokens, output_tokens }
}

async fn retry(talk: &Talk, reply: MessageId) -> MessageId {
    let again = message();
    let ask = Ask::Retry { reply, again, model: "local-2".to_owned() };
    talk.ask(ask, []).await.expect("it is tried again");
    again
}

async fn projected(pool: &PgPool) {
    let behind = "select exists (select from projections.checkpoints c, log_head h
                  where c.position < h.position)";
    while sqlx::query_scalar(behind).fetch_one(pool).await.expect("checkpoints") {
        tokio::task::yield_now().await;
    }
}

/// A log with chats that are there, one that was deleted, and one whose owner was erased; nobody is
/// connected to it any more.
async fn lively_chats() -> Database {
    let database = Database::in_memory().await;
    let mut server = database.server();
    let ada = server.register("ada@example.com").await;
    let ben = server.register("ben@example.com").await;
    let store = lives::store(&database).await;
    lively(&store, ada.id).await;
    let gone = lively(&store, ada.id).await;
    let forgotten = SideRow::ChatForgotten { chat_id: gone.chat };
    gone.ask(Ask::Delete, [forgotten]).await.expect("it is deleted");
    let theirs = lively(&store, ben.id).await;
    lives::erase(&store, theirs.user).await;
    projected(store.pool()).await;
    store.pool().close().await;
    server.stop();
    database.disconnect().await;
    database
}

/// What a thief with the database's password may do, and what gives it away.
const TAMPERINGS: &[(&str, &str, Kind)] = &[
    (
        "a text that was removed",
        "delete from chat_texts where text_id = (select message_id from messages
             where role = 'user' limit 1)",
        Kind::Beside,
    ),
    (
        "a reply that was removed",
        "delete from chat_texts where text_id = (select message_id from messages
             where role = 'assistant' and state = 'done' limit 1)",
        Kind::Beside,
    ),
    ("a title that was removed", "delete from chat_texts where text_id = chat_id", Kind::Beside),
    (
        "a text that nobody wrote",
        "insert into chat_texts select gen_random_uuid(), chat_id, user_id, 'x' from chat_streams",
        Kind::Beside,
    ),
    (
        "a text of a reply that failed",
        "insert into chat_texts select message_id, chat_id, user_id, 'x'
         from messages join chat_streams using (chat_id) where state = 'failed'",
        Kind::Beside,
    ),
    (
        "a text that is another's",
        "update chat_texts set user_id = gen_random_uuid() where text_id = chat_id",
        Kind::Beside,
    ),
    (
        "a chat that was deleted and is kept",
        "insert into chat_streams select aggregate_id::uuid, (select user_id from chat_streams)
         from events where event_type = 'Deleted'",
        Kind::Beside,
    ),
    (
        "a chat whose owner was erased and that is kept",
        "insert into chat_streams select chat_id, user_id from chats
         where chat_id not in (select chat_id from chat_streams)",
        Kind::Beside,
    ),
    ("a chat of which nothing is kept", "delete from chat_streams", Kind::Beside),
    (
        "a reply that cost more than was captured",
        "update events set payload = replace(payload::text, '\"credits\":5', '\"credits\":6')::json
         where event_type = 'Replied'",
        Kind::Domain,
    ),
    (
        "a stopped reply that cost less than was captured",
        "update events set payload = replace(payload::text, '\"credits\":2', '\"credits\":1')::json
         where event_type = 'ReplyCancelled'",
        Kind::Domain,
    ),
    (
        "a reply that another hold paid for",
        "update events set payload = regexp_replace(payload::text, '\"hold\":\"[^\"]*\"',
             '\"hold\":\"' || gen_random_uuid() || '\"')::json where event_type = 'Replied'",
        Kind::Domain,
    ),
    (
        "two replies that one hold paid for",
        "update events set payload = regexp_replace(payload::text, '\"hold\":\"[^\"]*\"', (
             select substring(payload::text from '\"hold\":\"[^\"]*\"') from events
             where event_type = 'Replied' order by position limit 1))::json
         where event_type = 'Replied'",
        Kind::Domain,
    ),
    ("a chat that was removed", "delete from chats", Kind::ReadModel),
    ("a message that was removed", "delete from messages where state = 'failed'", Kind::ReadModel),
];

#[tokio::test]
async fn nothing_is_wrong_with_chats_in_which_everything_happened_and_every_tampering_is_found() {
    let database = lively_chats().await;
    let report = verify(&database).await;
    assert!(report.is_clean(), "{report}");
    let pool = database.pool().await;
    let types: Vec<String> =
        sqlx::query_scalar("select distinct event_type from events where aggregate_type = 'chat'")
            .fetch_all(&pool)
            .await
            .expect("the log answers");
    assert_eq!(types.len(), 10, "{types:?}");
    pool.close().await;
    for (what, sql, kind) in TAMPERINGS {
        let copy = database.copy().await;
        let pool = copy.pool().await;
        let tamper = format!("alter table events disable trigger user; {sql}");
        sqlx::raw_sql(AssertSqlSafe(tamper)).execute(&pool).await.expect(what);
        pool.close().await;
        let report = verify(&copy).await;
        assert!(kinds(&report).contains(&format!("{kind:?}")), "{what} was found as: {report}");
        copy.discard().await;
    }
    database.remove().await;
}

/// What a column does not have, in SQL.
fn another(column: &str, kind: &str) -> String {
    match kind {
        "uuid" => "gen_random_uuid()".to_owned(),
        "text" => format!("coalesce({column}, '') || 'x'"),
        "int4" | "int8" => format!("coalesce({column}, 0) + 1000"),
        "bool" => format!("not {column}"),
        "timestamptz" => format!("coalesce({column}, now()) + interval '1 microsecond'"),
        kind => panic!("nobody has thought about {kind}, of which {column} is"),
    }
}

#[tokio::test]
async fn an_edited_column_of_any_chat_or_message_is_found() {
    let database = lively_chats().await;
    let pool = database.pool().await;
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "select table_name::text, column_name::text, udt_name::text
         from information_schema.columns where table_schema = 'chats'",
    )
    .fetch_all(&pool)
    .await
    .expect("the database knows its columns");
    pool.close().await;
    assert_eq!(columns.len(), 27);
    for (table, column, kind) in columns {
        let copy = database.copy().await;
        let pool = copy.pool().await;
        let edit = format!(
            "update {table} set {column} = {} where ctid = (select min(ctid) from {table})",
            another(&column, &kind)
        );
        let done = sqlx::query(AssertSqlSafe(edit)).execute(&pool).await.expect("an edit");
        assert_eq!(done.rows_affected(), 1);
        pool.close().await;
        let report = verify(&copy).await;
        let expected = BTreeSet::from(["ReadModel".to_owned()]);
        assert_eq!(kinds(&report), expected, "{column} of {table}: {report}");
        copy.discard().await;
    }
    database.remove().await;
}
