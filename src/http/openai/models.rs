//! The models that the caller may use.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::errors::Failure;
use crate::app::App;
use crate::error::{Problem, Result};
use crate::http::caller::{Ai, Allowed};
use crate::http::json::Path;
use crate::metering;
use crate::models::{Model, Tier};

/// 1 November 2026: clients sort by it, and it means nothing.
const CREATED: i64 = 1_793_491_200;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(models)).routes(routes!(model))
}

/// A model.
#[derive(Serialize, ToSchema)]
struct Listed {
    id: String,
    #[schema(example = "model")]
    object: &'static str,
    created: i64,
    owned_by: &'static str,
    /// From which tier on it may be used.
    tier: Tier,
    /// Credits for a million tokens read.
    input_per_million: i64,
    /// Credits for a million tokens written.
    output_per_million: i64,
    /// The longest answer, in tokens.
    max_output_tokens: u32,
}

/// Models.
#[derive(Serialize, ToSchema)]
struct List {
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<Listed>,
}

/// The models that the caller's tier has.
#[utoipa::path(get, path = "/v1/models", tag = "openai",
    responses((status = 200, body = List), (status = 401, body = Failure)),
    security(("bearer" = [])))]
async fn models(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<Ai>,
) -> Result<axum::Json<List>> {
    let tier = metering::tier_now(&app, caller.user).await?;
    let data = app.models.all().iter().filter(|model| model.tier <= tier).map(Listed::from);
    Ok(axum::Json(List { object: "list", data: data.collect() }))
}

/// One of them.
#[utoipa::path(get, path = "/v1/models/{id}", tag = "openai", params(("id" = String, Path,)),
    responses((status = 200, body = Listed), (status = 401, body = Failure), (status = 404, body = Failure)),
    security(("bearer" = [])))]
async fn model(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<Ai>,
    Path(id): Path<String>,
) -> Result<axum::Json<Listed>> {
    let tier = metering::tier_now(&app, caller.user).await?;
    let model = metering::choose(&app, tier, Some(&id)).map_err(|problem| match problem.code {
        "plan_required" => Problem::not_found(),
        _ => problem,
    })?;
    Ok(axum::Json(model.into()))
}

impl From<&Model> for Listed {
    fn from(model: &Model) -> Self {
        Self {
            id: model.id.clone(),
            object: "model",
            created: CREATED,
            owned_by: "saldo",
            tier: model.tier,
            input_per_million: model.rates.input.credits().get(),
            output_per_million: model.rates.output.credits().get(),
            max_output_tokens: model.max_output_tokens,
        }
    }
}
