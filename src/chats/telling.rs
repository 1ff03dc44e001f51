//! What is told of a chat as it happens: numbered, so that whoever listens on any node misses nothing
//! and hears nothing twice.

use aggregates::id::{ChatId, MessageId, UserId};
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use crate::app::App;
use crate::error::{Problem, Result};
use crate::store::SideRow;

/// Told when a reply is to stop.
pub const CANCELLING: &str = "message.cancelling";
/// Told when a reply has stopped.
pub(super) const CANCELLED: &str = "message.cancelled";
/// Told of each slice of a reply.
pub const DELTA: &str = "message.delta";
/// What one look reads at most.
const PAGE: i64 = 500;

/// Something that was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its number in the chat.
    pub seq: i64,
    /// What happened.
    pub kind: String,
    /// To which message.
    pub message: Option<Uuid>,
    /// What there is to say of it.
    pub data: Value,
}

#[derive(FromRow)]
struct Row {
    seq: i64,
    kind: String,
    message_id: Option<Uuid>,
    sealed: Option<String>,
}

fn place(chat: ChatId, message: Option<Uuid>) -> String {
    format!("chat_stream/{chat}/{}", message.unwrap_or_default())
}

async fn seal(
    app: &App,
    user: UserId,
    chat: ChatId,
    message: Option<MessageId>,
    data: &Value,
) -> Result<String> {
    let place = place(chat, message.map(|message| message.0));
    app.store.codec().seal_value(user, &place, data).await.map_err(Problem::failed)
}

/// Something told, as a row of the unit that brings it about.
pub(super) async fn row(
    app: &App,
    user: UserId,
    chat: ChatId,
    message: Option<MessageId>,
    what: &'static str,
    data: &Value,
) -> Result<SideRow> {
    let sealed = Some(seal(app, user, chat, message, data).await?);
    Ok(SideRow::ChatStream { chat_id: chat, what: what.to_owned(), message_id: message, sealed })
}

/// Tells something by itself; its number, or none where the chat is gone.
pub(super) async fn tell(
    app: &App,
    user: UserId,
    chat: ChatId,
    message: MessageId,
    what: &str,
    data: &Value,
) -> Result<Option<i64>> {
    let sealed = seal(app, user, chat, Some(message), data).await?;
    let number = sqlx::query_scalar("select append_chat_stream($1, $2, $3, $4)");
    let number = number.bind(chat.0).bind(what).bind(message.0).bind(sealed);
    Ok(number.fetch_one(app.db()).await?)
}

/// What was told after this number, in order.
pub async fn after(app: &App, user: UserId, chat: ChatId, seq: i64) -> Result<Vec<Told>> {
    let rows: Vec<Row> = sqlx::query_as(
        "select seq, kind, message_id, sealed from chat_stream
         where chat_id = $1 and seq > $2 order by seq limit $3",
    )
    .bind(chat.0)
    .bind(seq)
    .bind(PAGE)
    .fetch_all(app.db())
    .await?;
    open(app, user, chat, rows).await
}

/// What was written of a reply so far.
pub(super) async fn written(
    app: &App,
    user: UserId,
    chat: ChatId,
    reply: MessageId,
) -> Result<Vec<Told>> {
    let rows: Vec<Row> = sqlx::query_as(
        "select seq, kind, message_id, sealed from chat_stream
         where chat_id = $1 and message_id = $2 order by seq",
    )
    .bind(chat.0)
    .bind(reply.0)
    .fetch_all(app.db())
    .await?;
    open(app, user, chat, rows).await
}

async fn open(app: &App, user: UserId, chat: ChatId, rows: Vec<Row>) -> Result<Vec<Told>> {
    let mut all = Vec::with_capacity(rows.len());
    for Row { seq, kind, message_id, sealed } in rows {
        let data = match sealed {
            None => None,
            Some(sealed) => {
                let place = place(chat, message_id);
                let opened = app.store.codec().open_value::<Value>(user, &place, &sealed).await;
                opened.map_err(Problem::failed)?
            }
        };
        all.push(Told { seq, kind, message: message_id, data: data.unwrap_or_default() });
    }
    Ok(all)
}

/// From which number to which anything can be told: what was told long ago is gone. None where the chat
/// is.
pub async fn range(app: &App, chat: ChatId) -> Result<Option<(i64, i64)>> {
    let range = sqlx::query_as(
        "select coalesce((select min(seq) from chat_stream where chat_id = $1), last + 1), last
         from chat_streams where chat_id = $1",
    );
    Ok(range.bind(chat.0).fetch_optional(app.db()).await?)
}

/// Whether a reply is to stop: because the person said so, after this number, or has deleted the chat.
pub(super) async fn is_to_stop(
    app: &App,
    chat: ChatId,
    reply: MessageId,
    seq: i64,
) -> Result<bool> {
    let stop = sqlx::query_scalar(
        "select not exists (select from chat_streams where chat_id = $1)
             or exists (select from chat_stream
                 where chat_id = $1 and seq > $2 and message_id = $3 and kind = $4)",
    );
    let stop = stop.bind(chat.0).bind(seq).bind(reply.0).bind(CANCELLING);
    Ok(stop.fetch_one(app.db()).await?)
}
