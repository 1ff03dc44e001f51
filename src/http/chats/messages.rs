//! What is said in a chat, and what is replied.

use aggregates::id::{ChatId, MessageId};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::chats::{self, Post, Posted, Said};
use crate::error::{Problem, Result};
use crate::http::caller::Caller;
use crate::http::idempotency::{IdempotencyKey, Intent, Replayable};
use crate::http::json::{Json, Path};
use crate::http::page::{Page, PageQuery};
use crate::http::position::{At, MinPosition};

/// Characters of a message: some 8,000 tokens, and less than a body may have.
const TEXT: usize = 16_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, post))
        .routes(routes!(show))
        .routes(routes!(cancel))
        .routes(routes!(retry))
}

/// Something that was said, or is to be.
#[derive(Serialize, ToSchema)]
struct Message {
    id: Uuid,
    /// Its place in the chat, from 1.
    number: i32,
    /// `user` or `assistant`.
    #[schema(example = "assistant")]
    role: String,
    /// `done`, `queued`, `failed` or `cancelled`.
    #[schema(example = "done")]
    state: String,
    /// What was said; null where nothing came, or not yet.
    text: Option<String>,
    /// What a reply replies to.
    answers: Option<Uuid>,
    /// The reply that was made in the place of one that failed.
    retried_by: Option<Uuid>,
    model: Option<String>,
    /// Why a reply came to its end: `stop`, `length`, `filtered` or `credits`.
    finish: Option<String>,
    /// Why a reply failed.
    code: Option<String>,
    /// What it cost.
    credits: i64,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    created_at: DateTime<Utc>,
    completed_at: Option<DateTime<Utc>>,
}

impl From<Said> for Message {
    fn from(Said { row, text }: Said) -> Self {
        Self {
            id: row.message_id,
            number: row.number,
            role: row.role,
            state: row.state,
            text,
            answers: row.answers,
            retried_by: row.retried_by,
            model: row.model,
            finish: row.finish,
            code: row.code,
            credits: row.credits,
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            created_at: row.created_at,
            completed_at: row.completed_at,
        }
    }
}

/// A page of messages.
#[derive(Serialize, ToSchema)]
struct Messages {
    items: Vec<Message>,
    next_cursor: Option<String>,
}

/// What was said in a chat, newest first.
#[utoipa::path(get, path = "/chats/{id}/messages", tag = "chats",
    params(("id" = Uuid, Path,), PageQuery, ("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = Messages), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    MinPosition(at_least): MinPosition,
    Path(chat): Path<ChatId>,
    page: Page<i32>,
) -> Result<axum::Json<Messages>> {
    app.caught_up("chats", caller.user, at_least).await?;
    let said = chats::messages(&app, caller.user, chat, page.cursor, page.limit).await?;
    let next_cursor = page.next(&said, |said| said.row.number.to_string());
    let items = said.into_iter().map(Message::from).collect();
    Ok(axum::Json(Messages { items, next_cursor }))
}

/// Something to say.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Say {
    /// 1 to 16,000 characters.
    text: String,
    /// Which model is to reply; the usual one of the caller's tier, where none is named.
    model: Option<String>,
}

/// What was said, and the reply that waits for its turn: see `events`, or ask for the message.
#[derive(Serialize, ToSchema)]
struct Accepted {
    /// What was said; null where a reply is tried again.
    #[schema(value_type = Option<Uuid>)]
    message_id: Option<MessageId>,
    reply: Queued,
}

/// A reply that waits.
#[derive(Serialize, ToSchema)]
struct Queued {
    #[schema(value_type = Uuid)]
    id: MessageId,
    #[schema(example = "queued")]
    state: &'static str,
}

type Answer = Result<(StatusCode, Replayable<At<axum::Json<Accepted>>>)>;

/// Says something. The reply is queued: one comes after the other, in the order in which they were asked for,
/// and is charged by its tokens. One that fails is free, and does not count as one of the day's.
#[utoipa::path(post, path = "/chats/{id}/messages", tag = "chats", request_body = Say,
    params(("id" = Uuid, Path,), ("Idempotency-Key" = Option<String>, Header,)),
    responses((status = 202, body = Accepted), (status = 402, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, description = "too many replies wait", body = Problem),
        (status = 422, body = Problem), (status = 429, description = "the day's messages are used up", body = Problem)),
    security(("bearer" = [])))]
async fn post(
    State(app): State<App>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    key: Option<IdempotencyKey>,
    Json(body): Json<Say>,
) -> Answer {
    if body.text.trim().is_empty() || body.text.chars().count() > TEXT {
        return Err(Problem::field("text", format!("must have 1 to {TEXT} characters")));
    }
    let intent = Intent::new(&caller, &format!("chats/{chat}/messages"), key.as_ref(), &body)?;
    let envelope = intent.envelope(&caller, "post");
    let Say { text, model } = body;
    let post = Post { chat, text, model, intent: intent.id };
    Ok(accepted(chats::post(&app, caller.user, post, envelope).await?))
}

/// A message of a chat.
#[utoipa::path(get, path = "/chats/{id}/messages/{message}", tag = "chats",
    params(("id" = Uuid, Path,), ("message" = Uuid, Path,), ("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = Message), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    MinPosition(at_least): MinPosition,
    Path((chat, message)): Path<(ChatId, Uuid)>,
) -> Result<axum::Json<Message>> {
    app.caught_up("chats", caller.user, at_least).await?;
    Ok(axum::Json(chats::message(&app, caller.user, chat, message).await?.into()))
}

/// Whether a reply has stopped.
#[derive(Serialize, ToSchema)]
struct Stopped {
    #[schema(value_type = Uuid)]
    id: MessageId,
    /// `cancelled`; or `cancelling`, where it is under way and stops as soon as its maker hears.
    state: &'static str,
}

/// Stops a reply. What came until then stays, and is charged; one that cost nothing does not count as one of the
/// day's.
#[utoipa::path(post, path = "/chats/{id}/messages/{message}/cancel", tag = "chats",
    params(("id" = Uuid, Path,), ("message" = Uuid, Path, description = "the reply")),
    responses((status = 202, body = Stopped), (status = 404, body = Problem),
        (status = 409, description = "it does not wait any more", body = Problem)),
    security(("bearer" = [])))]
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path((chat, reply)): Path<(ChatId, MessageId)>,
) -> Result<(StatusCode, At<axum::Json<Stopped>>)> {
    let envelope = Intent::new(&caller, "chats/cancel", None, &())?.envelope(&caller, "cancel");
    let outcome = chats::cancel(&app, caller.user, chat, reply, envelope).await?;
    let state = if chats::is_cancelled(&outcome) { "cancelled" } else { "cancelling" };
    let answer = At(outcome.position, axum::Json(Stopped { id: reply, state }));
    Ok((StatusCode::ACCEPTED, answer))
}

/// Has the last reply tried again, which failed or was cancelled: of the same model, or of the usual one where the
/// caller may not ask for that any more.
#[utoipa::path(post, path = "/chats/{id}/messages/{message}/retry", tag = "chats",
    params(("id" = Uuid, Path,), ("message" = Uuid, Path, description = "the reply"),
        ("Idempotency-Key" = Option<String>, Header,)),
    responses((status = 202, body = Accepted), (status = 404, body = Problem),
        (status = 409, description = "it cannot be tried again", body = Problem),
        (status = 429, description = "the day's messages are used up", body = Problem)),
    security(("bearer" = [])))]
async fn retry(
    State(app): State<App>,
    caller: Caller,
    Path((chat, reply)): Path<(ChatId, MessageId)>,
    key: Option<IdempotencyKey>,
) -> Answer {
    let route = format!("chats/{chat}/messages/{reply}/retry");
    let intent = Intent::new(&caller, &route, key.as_ref(), &())?;
    let envelope = intent.envelope(&caller, "retry");
    Ok(accepted(chats::retry(&app, caller.user, chat, reply, intent.id, envelope).await?))
}

fn accepted(posted: Posted) -> (StatusCode, Replayable<At<axum::Json<Accepted>>>) {
    let Posted { message, reply, position, replayed } = posted;
    let reply = Queued { id: reply, state: "queued" };
    let accepted = Accepted { message_id: message, reply };
    (StatusCode::ACCEPTED, Replayable { answer: At(position, axum::Json(accepted)), replayed })
}
