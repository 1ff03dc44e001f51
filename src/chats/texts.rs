//! What was said, and what chats are called: beside the log, encrypted with the person's key.

use std::collections::HashMap;

use aggregates::id::{ChatId, UserId};
use uuid::Uuid;

use crate::app::App;
use crate::error::{Problem, Result};
use crate::store::SideRow;

/// What a text is bound to.
fn place(text: Uuid) -> String {
    format!("chat_text/{text}")
}

/// A text as a row, in the place of one of the same id.
pub(super) async fn row(
    app: &App,
    user: UserId,
    chat: ChatId,
    text_id: Uuid,
    text: &str,
) -> Result<SideRow> {
    let sealed = sealed(app, user, text_id, text).await?;
    Ok(SideRow::ChatText { text_id, chat_id: chat, user_id: user, sealed })
}

/// What the chat is called by its first message as a row, which takes the place of no other.
pub(super) async fn first_title(
    app: &App,
    user: UserId,
    chat: ChatId,
    title: &str,
) -> Result<SideRow> {
    let sealed = sealed(app, user, chat.0, title).await?;
    Ok(SideRow::ChatFirstTitle { chat_id: chat, user_id: user, sealed })
}

async fn sealed(app: &App, user: UserId, text_id: Uuid, text: &str) -> Result<String> {
    let sealed = app.store.codec().seal_value(user, &place(text_id), &text).await;
    sealed.map_err(Problem::failed)
}

/// These texts, as far as they are there.
pub(super) async fn of(app: &App, user: UserId, ids: &[Uuid]) -> Result<HashMap<Uuid, String>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(Uuid, String)> = sqlx::query_as(
        "select text_id, sealed from chat_texts where text_id = any($1) and user_id = $2",
    )
    .bind(ids)
    .bind(user.0)
    .fetch_all(app.db())
    .await?;
    let mut texts = HashMap::with_capacity(rows.len());
    for (id, sealed) in rows {
        let opened = app.store.codec().open_value::<String>(user, &place(id), &sealed).await;
        // Whose key is gone has said nothing.
        if let Some(text) = opened.map_err(Problem::failed)? {
            texts.insert(id, text);
        }
    }
    Ok(texts)
}

/// Whether the chat is called anything.
pub(super) async fn has_title(app: &App, chat: ChatId) -> Result<bool> {
    let title = sqlx::query_scalar("select exists (select from chat_texts where text_id = $1)");
    Ok(title.bind(chat.0).fetch_one(app.db()).await?)
}
