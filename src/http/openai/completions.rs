//! Chat completions: a hold before, and what was delivered charged after.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::errors::Failure;
use super::request::Completion;
use super::stream::{self, CompletionEvent, Writer};
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::http::ai::payer;
use crate::http::body;
use crate::http::caller::{Ai, Allowed};
use crate::http::idempotency::{IdempotencyKey, Intent, Replayable};
use crate::http::json::Json;
use crate::http::position::At;
use crate::http::timing;
use crate::metering::{self, Charged, Conversation, End, Flow, Glass, Poured, Reader};

/// A long conversation: a million characters.
const LONGEST: usize = 4 * 1024 * 1024;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(complete)).layer(body::at_most(LONGEST))
}

/// An answer.
#[derive(Serialize, ToSchema)]
struct Completed {
    id: String,
    #[schema(example = "chat.completion")]
    object: &'static str,
    created: i64,
    /// The model that was asked for.
    model: String,
    choices: Vec<Choice>,
    usage: Consumed,
}

/// The one answer.
#[derive(Serialize, ToSchema)]
struct Choice {
    index: u32,
    message: Spoken,
    #[schema(value_type = Option<Object>)]
    logprobs: Option<Value>,
    /// `stop`, `length`, `content_filter`, or `insufficient_credits` where the wallet had no more.
    finish_reason: &'static str,
}

/// What was said.
#[derive(Serialize, ToSchema)]
struct Spoken {
    #[schema(example = "assistant")]
    role: &'static str,
    content: String,
    refusal: Option<String>,
}

/// What was used, and what it cost.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Consumed {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    /// What was charged.
    credits_charged: i64,
    /// What the wallet has available after it.
    credits_remaining: i64,
    /// Whether the tokens are our estimate, since the provider did not tell them.
    estimated: bool,
    /// Which model answered, as its provider calls it.
    answered_by: String,
}

impl From<&Charged> for Consumed {
    fn from(charged: &Charged) -> Self {
        let (input, output) = (charged.counted.input, charged.counted.output);
        Self {
            prompt_tokens: input,
            completion_tokens: output,
            total_tokens: input.saturating_add(output),
            credits_charged: charged.credits.get(),
            credits_remaining: charged.remaining.get(),
            estimated: charged.estimated,
            answered_by: charged.model.clone(),
        }
    }
}

/// What is said of every part of one answer.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) model: String,
}

/// Why an answer is at its end, in OpenAI's words where there is one.
pub(super) fn reason(end: End) -> &'static str {
    match end {
        End::Stop => "stop",
        End::Length => "length",
        End::Filtered => "content_filter",
        End::Credits => "insufficient_credits",
    }
}

/// Goes on with a conversation. Tokens are charged as they are delivered, `usage` always says what for; a call
/// that fails costs nothing, but for what had been streamed until then. Who hangs up while an answer is streamed
/// ends it, and is charged for what was written until then.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "openai", request_body = Completion,
    params(("Idempotency-Key" = Option<String>, Header, description = "the same key and body call and charge once")),
    responses((status = 200, content((Completed = "application/json"), (CompletionEvent = "text/event-stream"))),
        (status = 400, body = Failure), (status = 401, body = Failure), (status = 402, body = Failure),
        (status = 403, body = Failure), (status = 404, body = Failure), (status = 409, body = Failure),
        (status = 502, body = Failure)),
    security(("bearer" = [])))]
async fn complete(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<Ai>,
    key: Option<IdempotencyKey>,
    Json(body): Json<Completion>,
) -> Result<Response> {
    let model = metering::allowed_model(&app, caller.user, body.model.as_deref()).await?.clone();
    let request = body.request(&model)?;
    let intent = Intent::new(&caller, "chat/completions", key.as_ref(), &body)?;
    let (name, created) = (model.id.clone(), clock::now().timestamp());
    let payer = payer(&caller, &intent);
    let conversation = Conversation { payer, feature: "completions", model, request };
    let (is_stream, usage) = (body.stream.unwrap_or(false), body.usage_place());
    let head = |id: Uuid| Head { id: format!("chatcmpl-{}", id.simple()), created, model: name };
    let reader = if is_stream { Reader::Stream } else { Reader::Whole };
    match metering::pour(app, conversation, reader).await? {
        Flow::Now(id, glass) if is_stream => {
            Ok(stream::of(Writer { head: head(id), usage }, glass))
        }
        Flow::Now(id, glass) => whole(head(id), glass).await,
        Flow::Before(charged, kept) => {
            let (text, end) = read(kept)?;
            let head = head(charged.id);
            if is_stream {
                return Ok(stream::again(&Writer { head, usage }, text, end, *charged));
            }
            Ok(answer(head, text, end, &charged))
        }
    }
}

/// All of an answer.
async fn whole(head: Head, mut glass: Glass) -> Result<Response> {
    let mut text = String::new();
    while let Some(part) = glass.next().await {
        match part {
            Poured::Text(more) => text.push_str(&more),
            Poured::Ended(end, charged) => return Ok(answer(head, text, end, &charged)),
            Poured::Failed(problem, _) => return Err(problem),
        }
    }
    Err(Problem::failed("an answer ended without its end"))
}

/// What was kept of an answer for a repeat.
fn read(kept: Value) -> Result<(String, End)> {
    #[derive(serde::Deserialize)]
    struct Kept {
        text: String,
        end: End,
    }
    let Kept { text, end } = serde_json::from_value(kept).map_err(Problem::failed)?;
    Ok((text, end))
}

fn answer(
    Head { id, created, model }: Head,
    text: String,
    end: End,
    charged: &Charged,
) -> Response {
    let message = Spoken { role: "assistant", content: text, refusal: None };
    let choice = Choice { index: 0, message, logprobs: None, finish_reason: reason(end) };
    let usage = Consumed::from(charged);
    let (cost, left) = (usage.credits_charged, usage.credits_remaining);
    let body =
        Completed { id, object: "chat.completion", created, model, choices: vec![choice], usage };
    let answer = At(charged.position, axum::Json(body));
    let mut response = Replayable { answer, replayed: charged.replayed }.into_response();
    let headers = response.headers_mut();
    headers.insert("credits-charged", HeaderValue::from(cost));
    headers.insert("credits-remaining", HeaderValue::from(left));
    if let Some(took) = &charged.took {
        timing::tell(headers, took);
    }
    response
}
