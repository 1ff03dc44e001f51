//! AI calls for credits: summarise and analyse a text.

use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::caller::{Ai as UseAi, Allowed, Caller};
use super::idempotency::{IdempotencyKey, Intent, Replayable};
use super::json::{Json, Path};
use super::page::{Page, PageQuery};
use super::position::At;
use super::prefer::RespondAsync;
use super::timing;
use crate::app::App;
use crate::clients::llm::Task;
use crate::error::{Problem, Result};
use crate::metering::{self, Delivered, Entry, Failure, Order, Payer, Queued, State as Progress};

/// Characters of a text.
const TEXT: std::ops::RangeInclusive<usize> = 10..=2000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(summarize))
        .routes(routes!(analyze))
        .routes(routes!(analyses))
        .routes(routes!(analysis))
}

/// A text to work on.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Text {
    /// 10 to 2000 characters.
    #[schema(min_length = 10, max_length = 2000, example = "The cat sat on the mat. It was warm.")]
    text: String,
}

/// An AI call: how far it is, what it delivered, and what it cost.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Analysis {
    id: Uuid,
    state: AnalysisState,
    /// `summarize` or `analyze`.
    feature: String,
    /// When it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
    /// When it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<AnalysisUsage>,
    /// When it has failed: then it cost nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<AnalysisFailure>,
    created_at: DateTime<Utc>,
}

/// How far an AI call is.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum AnalysisState {
    /// It waits, or is being made.
    Queued,
    /// It is done and paid.
    Done,
    /// It failed.
    Failed,
}

/// Why an AI call failed.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct AnalysisFailure {
    /// `provider_failed`, `provider_refused`, `expired` (it waited for too long), `interrupted`, `unreadable` or
    /// `given_up`.
    #[schema(value_type = String, example = "provider_failed")]
    code: Failure,
    /// What happened, and what to do.
    detail: &'static str,
}

/// What an AI call used.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct AnalysisUsage {
    #[schema(example = 10)]
    credits: i64,
    #[schema(example = "local-1")]
    model: String,
    /// Absent when the provider did not say, which is not zero.
    input_tokens: Option<u64>,
    /// Absent when the provider did not say, which is not zero.
    output_tokens: Option<u64>,
}

/// A page of AI calls.
#[derive(Serialize, ToSchema)]
struct Analyses {
    items: Vec<Analysis>,
    next_cursor: Option<Uuid>,
}

/// An answer that was paid for.
struct Paid(Delivered);

/// A call that is made while nobody waits.
struct Accepted(Queued);

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        let Self(Queued { entry, position, replayed }) = self;
        let location = HeaderValue::try_from(format!("/api/v1/ai/analyses/{}", entry.id));
        let answer = (StatusCode::ACCEPTED, axum::Json(Analysis::from(entry)));
        let mut response = Replayable { answer: At(position, answer), replayed }.into_response();
        let headers = response.headers_mut();
        headers.insert("preference-applied", HeaderValue::from_static(RespondAsync::NAME));
        if let Ok(location) = location {
            headers.insert(LOCATION, location);
        }
        response
    }
}

impl IntoResponse for Paid {
    fn into_response(self) -> Response {
        let Self(delivered) = self;
        let charged = HeaderValue::from(delivered.record.credits);
        let (remaining, took) = (HeaderValue::from(delivered.remaining.get()), delivered.took);
        let answer = axum::Json(Analysis::from(delivered.record));
        let mut response =
            Replayable { answer: At(delivered.position, answer), replayed: delivered.replayed }
                .into_response();
        let headers = response.headers_mut();
        headers.insert("credits-charged", charged);
        headers.insert("credits-remaining", remaining);
        if let Some(took) = took {
            timing::tell(headers, &took);
        }
        response
    }
}

/// Summarises a text, for 10 credits. A call that fails costs nothing.
#[utoipa::path(post, path = "/ai/summarize", tag = "ai", request_body = Text,
    params(("Idempotency-Key" = Option<String>, Header, description = "the same key and body call and charge once"),
        ("Prefer" = Option<String>, Header, description = "respond-async: 202 at once, and the answer at Location later")),
    responses((status = 200, body = Analysis), (status = 202, body = Analysis), (status = 402, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn summarize(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<UseAi>,
    key: Option<IdempotencyKey>,
    prefers: Option<RespondAsync>,
    Json(body): Json<Text>,
) -> Result<Response> {
    call(app, caller, key, prefers, (Task::Summarize, body)).await
}

/// Analyses a text, for 25 credits: language, sentiment, keywords, readability. A call that fails
/// costs nothing.
#[utoipa::path(post, path = "/ai/analyze", tag = "ai", request_body = Text,
    params(("Idempotency-Key" = Option<String>, Header, description = "the same key and body call and charge once"),
        ("Prefer" = Option<String>, Header, description = "respond-async: 202 at once, and the answer at Location later")),
    responses((status = 200, body = Analysis), (status = 202, body = Analysis), (status = 402, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn analyze(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<UseAi>,
    key: Option<IdempotencyKey>,
    prefers: Option<RespondAsync>,
    Json(body): Json<Text>,
) -> Result<Response> {
    call(app, caller, key, prefers, (Task::Analyze, body)).await
}

/// The caller's AI calls, newest first: what they delivered, which wait, and which waited and failed.
#[utoipa::path(get, path = "/ai/analyses", tag = "ai", params(PageQuery),
    responses((status = 200, body = Analyses), (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn analyses(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<UseAi>,
    page: Page<Uuid>,
) -> Result<axum::Json<Analyses>> {
    let entries = metering::entries(&app, caller.user, page.cursor, page.limit).await?;
    let next_cursor = page.next(&entries, |entry| entry.id);
    let items = entries.into_iter().map(Analysis::from).collect();
    Ok(axum::Json(Analyses { items, next_cursor }))
}

/// One of the caller's AI calls: how far it is, and what it delivered.
#[utoipa::path(get, path = "/ai/analyses/{id}", tag = "ai", params(("id" = Uuid, Path,)),
    responses((status = 200, body = Analysis), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn analysis(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<UseAi>,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<Analysis>> {
    let entry = metering::entry(&app, caller.user, id).await?.ok_or_else(Problem::not_found)?;
    Ok(axum::Json(entry.into()))
}

async fn call(
    app: App,
    caller: Caller,
    key: Option<IdempotencyKey>,
    prefers: Option<RespondAsync>,
    (task, body): (Task, Text),
) -> Result<Response> {
    if !TEXT.contains(&body.text.chars().count()) {
        return Err(Problem::field("text", "must have 10 to 2000 characters"));
    }
    let intent = Intent::new(&caller, task.name(), key.as_ref(), &body)?;
    let payer = payer(&caller, &intent);
    let order = Order { payer, task, text: body.text };
    match prefers {
        Some(RespondAsync) => {
            metering::queue(&app, order).await.map(|queued| Accepted(queued).into_response())
        }
        None => metering::call(app, order).await.map(|delivered| Paid(delivered).into_response()),
    }
}

/// Who pays for a request.
pub(super) fn payer(caller: &Caller, intent: &Intent) -> Payer {
    Payer {
        user: caller.user,
        key: caller.key,
        metadata: intent.envelope(caller, "call").metadata,
        intent: intent.id,
        may_repeat: intent.may_repeat(),
    }
}

impl From<metering::Record> for Analysis {
    fn from(record: metering::Record) -> Self {
        let metering::Record { id, feature, credits, delivery, created_at } = record;
        let usage = AnalysisUsage {
            credits,
            model: delivery.model,
            input_tokens: delivery.input_tokens,
            output_tokens: delivery.output_tokens,
        };
        let (result, usage) = (Some(delivery.result), Some(usage));
        Self { id, state: AnalysisState::Done, feature, result, usage, failure: None, created_at }
    }
}

impl From<Entry> for Analysis {
    fn from(Entry { id, feature, created_at, state }: Entry) -> Self {
        let (state, failure) = match state {
            Progress::Done(record) => return (*record).into(),
            Progress::Queued => (AnalysisState::Queued, None),
            Progress::Failed(code) => {
                (AnalysisState::Failed, Some(AnalysisFailure { code, detail: code.detail() }))
            }
        };
        Self { id, state, feature, result: None, usage: None, failure, created_at }
    }
}
