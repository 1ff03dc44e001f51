//! The models on offer, and what a conversation is going to cost.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Ai, Allowed};
use super::json::Json;
use crate::app::App;
use crate::clients::llm::{Message, Role, Task};
use crate::error::{Problem, Result};
use crate::metering;
use crate::models::{AUTO, Model, Tier};

/// Characters of a text that is estimated.
const LONGEST: usize = 50_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(models)).routes(routes!(estimate))
}

/// What is on offer.
#[derive(Serialize, ToSchema)]
struct Offer {
    /// The version of the prices; it stands in what is charged by them.
    #[schema(example = "2026-11")]
    version: String,
    /// The caller's tier.
    tier: Tier,
    /// The model that answers the caller where none is named.
    usual: String,
    /// Credits for a summary.
    summarize: Option<i64>,
    /// Credits for an analysis.
    analyze: Option<i64>,
    items: Vec<Item>,
}

/// A model.
#[derive(Serialize, ToSchema)]
struct Item {
    id: String,
    /// From which tier on it may be used.
    tier: Tier,
    /// Whether the caller's tier has it.
    available: bool,
    /// Credits for a million tokens read.
    input_per_million: i64,
    /// Credits for a million tokens written.
    output_per_million: i64,
    /// The longest answer, in tokens.
    max_output_tokens: u32,
}

impl Item {
    fn of(model: &Model, tier: Tier) -> Self {
        Self {
            id: model.id.clone(),
            tier: model.tier,
            available: model.tier <= tier,
            input_per_million: model.rates.input.credits().get(),
            output_per_million: model.rates.output.credits().get(),
            max_output_tokens: model.max_output_tokens,
        }
    }
}

/// The models by tier, with their prices.
#[utoipa::path(get, path = "/ai/models", tag = "ai",
    responses((status = 200, body = Offer), (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn models(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<Ai>,
) -> Result<axum::Json<Offer>> {
    let tier = metering::tier_now(&app, caller.user).await?;
    let fixed = |task| app.models.fixed(task).map(aggregates::credits::Credits::get);
    Ok(axum::Json(Offer {
        version: app.models.version().to_owned(),
        tier,
        usual: app.models.usual(tier).id.clone(),
        summarize: fixed(Task::Summarize),
        analyze: fixed(Task::Analyze),
        items: app.models.all().iter().map(|model| Item::of(model, tier)).collect(),
    }))
}

/// What is to be estimated.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    /// 1 to 50,000 characters.
    text: String,
    /// A model of the list; the caller's usual one, where none is named.
    model: Option<String>,
    /// The longest answer, in tokens; as long as the model's may be, where none is named.
    max_output_tokens: Option<u32>,
}

/// What it is going to cost.
#[derive(Serialize, ToSchema)]
struct Answer {
    model: String,
    /// The version of the prices.
    version: String,
    /// Tokens that are read, about: each provider counts them in its own way.
    input_tokens: u64,
    /// Credits with an empty answer.
    credits_at_least: i64,
    /// Credits with the longest answer.
    credits_at_most: i64,
}

/// Estimates what a message costs. Nothing is held, and nobody is asked.
#[utoipa::path(post, path = "/ai/estimate", tag = "ai", request_body = Question,
    responses((status = 200, body = Answer), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn estimate(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<Ai>,
    Json(body): Json<Question>,
) -> Result<axum::Json<Answer>> {
    if !(1..=LONGEST).contains(&body.text.chars().count()) {
        return Err(Problem::field("text", format!("must have 1 to {LONGEST} characters")));
    }
    let name = body.model.as_deref().unwrap_or(AUTO);
    let model = metering::allowed_model(&app, caller.user, Some(name)).await?;
    let longest = model.max_output_tokens;
    let most = body.max_output_tokens.map_or(longest, |most| most.min(longest));
    let messages = [Message { role: Role::User, text: body.text }];
    let estimate = metering::estimate(model, &messages, most).await;
    Ok(axum::Json(Answer {
        model: model.id.clone(),
        version: app.models.version().to_owned(),
        input_tokens: estimate.input_tokens,
        credits_at_least: estimate.least.get(),
        credits_at_most: estimate.most.get(),
    }))
}
