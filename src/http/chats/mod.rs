//! Chats: begun, listed, called something, seen and deleted.

mod events;
mod messages;

use std::str::FromStr;

use aggregates::id::ChatId;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::caller::Caller;
use super::idempotency::{IdempotencyKey, Intent, Replayable};
use super::json::{Json, Path};
use super::page::{Page, PageQuery};
use super::position::{At, MinPosition};
use crate::app::App;
use crate::chats::{self, Listed};
use crate::error::{Problem, Result};

/// Characters of a title.
const TITLE: usize = 200;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(show, retitle, delete))
        .routes(routes!(read))
        .merge(messages::routes())
        .merge(events::routes())
}

/// A chat.
#[derive(Serialize, ToSchema)]
struct Chat {
    id: Uuid,
    /// What it is called; by its first message, where nobody called it anything.
    title: Option<String>,
    created_at: DateTime<Utc>,
    /// When something was last said in it.
    updated_at: DateTime<Utc>,
    /// Messages, replies included.
    messages: i32,
    /// Replies that came since it was last read.
    unread: i32,
    /// What was said last.
    last_message: Option<Last>,
    /// The reply that is under way, or the next.
    waiting: Option<Uuid>,
}

/// What was said last in a chat.
#[derive(Serialize, ToSchema)]
struct Last {
    /// `user` or `assistant`.
    role: String,
    /// Its first 200 characters.
    text: String,
}

impl From<Listed> for Chat {
    fn from(chat: Listed) -> Self {
        let Listed { id, title, created_at, updated_at, messages, unread, waiting, .. } = chat;
        let last = chat.last_role.zip(chat.last_text);
        let last_message = last.map(|(role, text)| Last { role, text });
        Self { id, title, created_at, updated_at, messages, unread, last_message, waiting }
    }
}

/// What a chat is to be called.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct New {
    /// 1 to 200 characters; the beginning of the first message, where none is given.
    title: Option<String>,
}

/// A chat that was begun.
#[derive(Serialize, ToSchema)]
struct Begun {
    #[schema(value_type = Uuid)]
    id: ChatId,
    title: Option<String>,
}

/// Begins a chat.
#[utoipa::path(post, path = "/chats", tag = "chats", request_body = New,
    params(("Idempotency-Key" = Option<String>, Header,)),
    responses((status = 201, body = Begun), (status = 401, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: Option<IdempotencyKey>,
    Json(body): Json<New>,
) -> Result<(StatusCode, Replayable<At<axum::Json<Begun>>>)> {
    let title = body.title.as_deref().map(checked_title).transpose()?;
    let intent = Intent::new(&caller, "chats", key.as_ref(), &body)?;
    let id = ChatId::derive(intent.id, "chat");
    let envelope = intent.envelope(&caller, "create");
    let outcome = chats::create(&app, caller.user, id, title, envelope).await?;
    let begun = Begun { id, title: title.map(str::to_owned) };
    let answer = At(outcome.position, axum::Json(begun));
    Ok((StatusCode::CREATED, Replayable { answer, replayed: outcome.replayed }))
}

/// A page of chats.
#[derive(Serialize, ToSchema)]
struct Chats {
    items: Vec<Chat>,
    next_cursor: Option<String>,
}

/// A chat's place in the list.
struct Cursor(DateTime<Utc>, Uuid);

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, id) = text.split_once('_').ok_or(())?;
        let at = at.parse().ok().and_then(DateTime::from_timestamp_micros).ok_or(())?;
        Ok(Self(at, id.parse().map_err(|_| ())?))
    }
}

/// The caller's chats; that in which something was said last comes first.
#[utoipa::path(get, path = "/chats", tag = "chats",
    params(PageQuery, ("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = Chats), (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    MinPosition(at_least): MinPosition,
    page: Page<Cursor>,
) -> Result<axum::Json<Chats>> {
    let seen = app.caught_up("chats", caller.user, at_least).await?;
    let after = page.cursor.as_ref().map(|Cursor(at, id)| (*at, *id));
    let chats = chats::chats(&app, caller.user, after, page.limit, seen).await?;
    let next_cursor =
        page.next(&chats, |chat| format!("{}_{}", chat.updated_at.timestamp_micros(), chat.id));
    let items = chats.into_iter().map(Chat::from).collect();
    Ok(axum::Json(Chats { items, next_cursor }))
}

/// One of the caller's chats.
#[utoipa::path(get, path = "/chats/{id}", tag = "chats",
    params(("id" = Uuid, Path,), ("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = Chat), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    MinPosition(at_least): MinPosition,
    Path(id): Path<ChatId>,
) -> Result<axum::Json<Chat>> {
    app.caught_up("chats", caller.user, at_least).await?;
    Ok(axum::Json(chats::find(&app, caller.user, id).await?.into()))
}

/// What a chat is called from now on.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Title {
    /// 1 to 200 characters.
    title: String,
}

/// Calls a chat something else.
#[utoipa::path(patch, path = "/chats/{id}", tag = "chats", request_body = Title,
    params(("id" = Uuid, Path,)),
    responses((status = 200, body = Chat), (status = 404, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn retitle(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ChatId>,
    Json(body): Json<Title>,
) -> Result<At<axum::Json<Chat>>> {
    let title = checked_title(&body.title)?;
    let envelope = Intent::new(&caller, "chats/title", None, &body)?.envelope(&caller, "retitle");
    let outcome = chats::retitle(&app, caller.user, id, title, envelope).await?;
    app.caught_up("chats", caller.user, None).await?;
    let chat = chats::find(&app, caller.user, id).await?;
    Ok(At(outcome.position, axum::Json(chat.into())))
}

/// Notes that the caller has seen what there is: nothing is unread any more.
#[utoipa::path(post, path = "/chats/{id}/read", tag = "chats", params(("id" = Uuid, Path,)),
    responses((status = 204), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ChatId>,
) -> Result<At<StatusCode>> {
    let envelope = Intent::new(&caller, "chats/read", None, &())?.envelope(&caller, "read");
    let outcome = chats::read(&app, caller.user, id, envelope).await?;
    Ok(At(outcome.position, StatusCode::NO_CONTENT))
}

/// Deletes a chat with all that was said in it, for good. A reply that is under way stops.
#[utoipa::path(delete, path = "/chats/{id}", tag = "chats", params(("id" = Uuid, Path,)),
    responses((status = 204), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ChatId>,
) -> Result<At<StatusCode>> {
    let envelope = Intent::new(&caller, "chats/delete", None, &())?.envelope(&caller, "delete");
    let outcome = chats::delete(&app, caller.user, id, envelope).await?;
    Ok(At(outcome.position, StatusCode::NO_CONTENT))
}

fn checked_title(title: &str) -> Result<&str> {
    let title = title.trim();
    let length = title.chars().count();
    if (1..=TITLE).contains(&length) && !title.chars().any(char::is_control) {
        return Ok(title);
    }
    let remedy = format!("must have 1 to {TITLE} characters, none of them control characters");
    Err(Problem::field("title", remedy))
}
