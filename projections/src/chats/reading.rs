//! What is asked of the chats.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

/// A chat, without its title, which is beside the log.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ChatRow {
    /// Its id, and that of its title.
    pub chat_id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When something was said, or it was called something else.
    pub updated_at: DateTime<Utc>,
    /// How many messages there are, replies that came to nothing included.
    pub messages: i32,
    /// Replies that came since the person has looked.
    pub unread: i32,
    /// The last that has something to read.
    pub last_message: Option<Uuid>,
    /// Who said it: `user` or `assistant`.
    pub last_role: Option<String>,
    /// The reply that is under way, or the next.
    pub waiting: Option<Uuid>,
    /// Whether it is to stop.
    pub cancel_asked: bool,
}

/// A message, without its text, which is beside the log.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct MessageRow {
    /// Its id, and that of its text.
    pub message_id: Uuid,
    /// In which chat.
    pub chat_id: Uuid,
    /// Where the log has the event that brought it.
    pub position: i64,
    /// Its place in the chat, from 1.
    pub number: i32,
    /// Who says it: `user` or `assistant`.
    pub role: String,
    /// `done`, `queued`, `failed` or `cancelled`.
    pub state: String,
    /// What a reply replies to.
    pub answers: Option<Uuid>,
    /// The reply that came after this one had come to nothing.
    pub retried_by: Option<Uuid>,
    /// The model that is to reply; once it has, the one that did.
    pub model: Option<String>,
    /// Why a reply came to its end: `stop`, `length`, `filtered` or `credits`.
    pub finish: Option<String>,
    /// The hold that paid for it.
    pub hold_id: Option<Uuid>,
    /// What it cost.
    pub credits: i64,
    /// Tokens read, where the provider said.
    pub input_tokens: Option<i64>,
    /// Tokens written, where the provider said.
    pub output_tokens: Option<i64>,
    /// Why it failed.
    pub code: Option<String>,
    /// When it was said, or asked for.
    pub created_at: DateTime<Utc>,
    /// When a reply had come to its end.
    pub completed_at: Option<DateTime<Utc>>,
}

/// A part of a conversation as a model is to read it.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Exchange {
    /// The message's id, and that of its text.
    pub message_id: Uuid,
    /// Who says it: `user` or `assistant`.
    pub role: String,
    /// Its place in the chat.
    pub number: i32,
}

/// A chat in which a reply waits.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Waiting {
    /// Which.
    pub chat_id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// The reply that is under way, or the next.
    pub reply: Uuid,
}

/// A person's chats, in which something was said last first: those after the one that was touched at
/// that time and has that id.
pub async fn chats_of(
    pool: &PgPool,
    user: Uuid,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> sqlx::Result<Vec<ChatRow>> {
    let (at, chat) = after.unzip();
    sqlx::query_as(
        "select * from chats
         where user_id = $1
           and ($2::timestamptz is null or (updated_at, chat_id) < ($2, $3::uuid))
         order by updated_at desc, chat_id desc
         limit $4",
    )
    .bind(user)
    .bind(at)
    .bind(chat)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// A chat, where it is the person's.
pub async fn chat_of(pool: &PgPool, user: Uuid, chat: Uuid) -> sqlx::Result<Option<ChatRow>> {
    sqlx::query_as("select * from chats where user_id = $1 and chat_id = $2")
        .bind(user)
        .bind(chat)
        .fetch_optional(pool)
        .await
}

/// What was said in a chat, the newest first, from before a place in it.
pub async fn messages_of(
    pool: &PgPool,
    chat: Uuid,
    before: Option<i32>,
    limit: i64,
) -> sqlx::Result<Vec<MessageRow>> {
    sqlx::query_as(
        "select * from messages
         where chat_id = $1 and number < coalesce($2, 2147483647)
         order by number desc
         limit $3",
    )
    .bind(chat)
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// A message, where it is in the chat.
pub async fn message_of(
    pool: &PgPool,
    chat: Uuid,
    message: Uuid,
) -> sqlx::Result<Option<MessageRow>> {
    sqlx::query_as("select * from messages where chat_id = $1 and message_id = $2")
        .bind(chat)
        .bind(message)
        .fetch_optional(pool)
        .await
}

/// What was said and replied in a chat, the newest first, from before a place in it: what a model reads
/// that is to reply there.
pub async fn conversation(
    pool: &PgPool,
    chat: Uuid,
    before: i32,
    limit: i64,
) -> sqlx::Result<Vec<Exchange>> {
    sqlx::query_as(
        "select message_id, role, number from messages
         where chat_id = $1 and number < $2 and state = 'done'
         order by number desc
         limit $3",
    )
    .bind(chat)
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Chats in which a reply waits, the one that has waited longest first.
pub async fn waiting(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<Waiting>> {
    sqlx::query_as(
        "select c.chat_id, c.user_id, c.waiting as reply
         from chats c join messages m on m.message_id = c.waiting
         where c.waiting is not null
         order by m.position
         limit $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await
}
