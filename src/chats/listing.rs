//! A person's chats, and what was said in them.

use aggregates::id::{ChatId, UserId};
use chrono::{DateTime, Utc};
use projections::chats::{ChatRow, MessageRow};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{cached, texts};
use crate::app::App;
use crate::error::{Problem, Result};

/// Characters of the last message in a list.
const GLIMPSE: usize = 200;

/// A chat, with its title and what was said last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub title: Option<String>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When something was last said in it.
    pub updated_at: DateTime<Utc>,
    /// Messages, replies included.
    pub messages: i32,
    /// Replies that came since the person has looked.
    pub unread: i32,
    /// Who said the last of them.
    pub last_role: Option<String>,
    /// The beginning of it.
    pub last_text: Option<String>,
    /// The reply that is under way, or the next.
    pub waiting: Option<Uuid>,
}

/// A message, with its text.
#[derive(Clone, Debug)]
pub struct Said {
    /// What is known of it.
    pub row: MessageRow,
    /// What was said; none where nothing came, or not yet.
    pub text: Option<String>,
}

/// The person's chats, newest first, from after one of them; as of the position `seen` or later.
pub async fn chats(
    app: &App,
    user: UserId,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
    seen: i64,
) -> Result<Vec<Listed>> {
    match (&app.redis, after) {
        (Some(redis), None) => cached::first(app, redis, user, limit, seen).await,
        _ => page(app, user, after, limit).await,
    }
}

/// The same, as the database has it.
pub(super) async fn page(
    app: &App,
    user: UserId,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Listed>> {
    let rows = projections::chats::chats_of(app.db(), user.0, after, limit).await?;
    with_texts(app, user, rows).await
}

/// One of the person's chats.
pub async fn find(app: &App, user: UserId, chat: ChatId) -> Result<Listed> {
    let row = projections::chats::chat_of(app.db(), user.0, chat.0).await?;
    let row = row.ok_or_else(Problem::not_found)?;
    with_texts(app, user, vec![row]).await?.pop().ok_or_else(Problem::not_found)
}

async fn with_texts(app: &App, user: UserId, rows: Vec<ChatRow>) -> Result<Vec<Listed>> {
    let ids: Vec<_> =
        rows.iter().flat_map(|row| [Some(row.chat_id), row.last_message]).flatten().collect();
    let texts = texts::of(app, user, &ids).await?;
    let listed = rows.into_iter().map(|row| Listed {
        id: row.chat_id,
        title: texts.get(&row.chat_id).cloned(),
        created_at: row.created_at,
        updated_at: row.updated_at,
        messages: row.messages,
        unread: row.unread,
        last_role: row.last_role,
        last_text: row
            .last_message
            .and_then(|id| texts.get(&id))
            .map(|text| text.chars().take(GLIMPSE).collect()),
        waiting: row.waiting,
    });
    Ok(listed.collect())
}

/// What was said in a chat, newest first, from before a place in it.
pub async fn messages(
    app: &App,
    user: UserId,
    chat: ChatId,
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<Said>> {
    // Whose it is not sees nothing of it.
    find(app, user, chat).await?;
    let rows = projections::chats::messages_of(app.db(), chat.0, before, limit).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.message_id).collect();
    let mut texts = texts::of(app, user, &ids).await?;
    let said = rows.into_iter().map(|row| Said { text: texts.remove(&row.message_id), row });
    Ok(said.collect())
}

/// One message of a chat.
pub async fn message(app: &App, user: UserId, chat: ChatId, id: Uuid) -> Result<Said> {
    find(app, user, chat).await?;
    let row = projections::chats::message_of(app.db(), chat.0, id).await?;
    let row = row.ok_or_else(Problem::not_found)?;
    let mut texts = texts::of(app, user, &[id]).await?;
    Ok(Said { text: texts.remove(&id), row })
}
