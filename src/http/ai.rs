//! AI calls for credits: summarise and analyse a text.

use axum::extract::State;
use axum::http::HeaderValue;
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
use super::timing;
use crate::app::App;
use crate::clients::llm::Task;
use crate::error::{Problem, Result};
use crate::metering::{self, Delivered, Order, Payer};

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

/// What an AI call delivered, and what it cost.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Analysis {
    id: Uuid,
    /// `summarize` or `analyze`.
    feature: String,
    #[schema(value_type = Object)]
    result: Value,
    usage: Usage,
    created_at: DateTime<Utc>,
}

/// What an AI call used.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Usage {
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
    params(("Idempotency-Key" = Option<String>, Header, description = "the same key and body call and charge once")),
    responses((status = 200, body = Analysis), (status = 402, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn summarize(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<UseAi>,
    key: Option<IdempotencyKey>,
    Json(body): Json<Text>,
) -> Result<Paid> {
    call(app, caller, key, Task::Summarize, body).await
}

/// Analyses a text, for 25 credits: language, sentiment, keywords, readability. A call that fails
/// costs nothing.
#[utoipa::path(post, path = "/ai/analyze", tag = "ai", request_body = Text,
    params(("Idempotency-Key" = Option<String>, Header, description = "the same key and body call and charge once")),
    responses((status = 200, body = Analysis), (status = 402, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn analyze(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<UseAi>,
    key: Option<IdempotencyKey>,
    Json(body): Json<Text>,
) -> Result<Paid> {
    call(app, caller, key, Task::Analyze, body).await
}

/// Everything the caller's AI calls delivered, newest first.
#[utoipa::path(get, path = "/ai/analyses", tag = "ai", params(PageQuery),
    responses((status = 200, body = Analyses), (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn analyses(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<UseAi>,
    page: Page<Uuid>,
) -> Result<axum::Json<Analyses>> {
    let records = metering::list(&app, caller.user, page.cursor, page.limit).await?;
    let next_cursor = page.next(&records, |record| record.id);
    let items = records.into_iter().map(Analysis::from).collect();
    Ok(axum::Json(Analyses { items, next_cursor }))
}

/// What one of the caller's AI calls delivered.
#[utoipa::path(get, path = "/ai/analyses/{id}", tag = "ai", params(("id" = Uuid, Path,)),
    responses((status = 200, body = Analysis), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn analysis(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<UseAi>,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<Analysis>> {
    let record = metering::find(&app, caller.user, id).await?.ok_or_else(Problem::not_found)?;
    Ok(axum::Json(record.into()))
}

async fn call(
    app: App,
    caller: Caller,
    key: Option<IdempotencyKey>,
    task: Task,
    body: Text,
) -> Result<Paid> {
    if !TEXT.contains(&body.text.chars().count()) {
        return Err(Problem::field("text", "must have 10 to 2000 characters"));
    }
    let intent = Intent::new(&caller, task.name(), key.as_ref(), &body)?;
    let payer = payer(&caller, &intent);
    let order = Order { payer, task, text: body.text };
    metering::call(app, order).await.map(Paid)
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
        let usage = Usage {
            credits,
            model: delivery.model,
            input_tokens: delivery.input_tokens,
            output_tokens: delivery.output_tokens,
        };
        Self { id, feature, result: delivery.result, usage, created_at }
    }
}
