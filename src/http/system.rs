//! What this is, and whether it is well.

use axum::extract::State;
use chrono::{DateTime, Utc};
use clap::ValueEnum;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(root))
        .routes(routes!(health))
        .routes(routes!(info))
        .routes(routes!(public_keys))
}

/// What this is.
#[derive(Serialize, ToSchema)]
struct About {
    #[schema(example = "saldo")]
    name: &'static str,
    version: &'static str,
    /// Where the API is described.
    docs: &'static str,
}

/// What runs here.
#[derive(Serialize, ToSchema)]
struct Info {
    #[schema(example = "saldo")]
    name: &'static str,
    version: &'static str,
    /// `local`, `dev`, `staging` or `production`.
    environment: String,
    started_at: DateTime<Utc>,
    /// Seconds since then.
    uptime_s: i64,
    /// Whether money is taken, and whether it is real: `off`, `test` or `live`.
    stripe: &'static str,
    /// Whether nodes share a Redis.
    redis: bool,
    /// Who answers AI calls.
    ai: Vec<&'static str>,
    /// The version of the models and their prices.
    prices: String,
}

/// How the server is.
#[derive(Serialize, ToSchema)]
struct Health {
    #[schema(example = "ok")]
    status: &'static str,
    version: &'static str,
    /// The last position of the log.
    position: i64,
    /// How far each read model is behind the log.
    projections: Vec<Lag>,
}

/// How far a read model is behind the log.
#[derive(Serialize, ToSchema)]
struct Lag {
    name: String,
    events: i64,
    milliseconds: i64,
    halted: bool,
    /// Whether it stands still since an administrator wants it to.
    paused: bool,
}

/// What this is.
#[utoipa::path(get, path = "/", tag = "system", responses((status = 200, body = About)))]
async fn root() -> axum::Json<About> {
    axum::Json(About { name: "saldo", version: env!("CARGO_PKG_VERSION"), docs: "/docs" })
}

/// What runs here, and with what.
#[utoipa::path(get, path = "/info", tag = "system", responses((status = 200, body = Info)))]
async fn info(State(app): State<App>) -> axum::Json<Info> {
    let stripe = app.stripe.as_ref().map(|stripe| if stripe.is_live() { "live" } else { "test" });
    let environment = app.settings.environment.to_possible_value();
    axum::Json(Info {
        name: "saldo",
        version: env!("CARGO_PKG_VERSION"),
        environment: environment.map(|name| name.get_name().to_owned()).unwrap_or_default(),
        started_at: app.started_at,
        uptime_s: (clock::now() - app.started_at).num_seconds(),
        stripe: stripe.unwrap_or("off"),
        redis: app.redis.is_some(),
        ai: app.llm.health().into_iter().map(|provider| provider.provider).collect(),
        prices: app.models.version().to_owned(),
    })
}

/// Whether the server can do its work; asks the database.
#[utoipa::path(get, path = "/health", tag = "system",
    responses((status = 200, body = Health), (status = 503, body = Problem)))]
async fn health(State(app): State<App>) -> Result<axum::Json<Health>> {
    let (position, projections) = projections::runner::lag(app.db()).await?;
    let projections: Vec<_> = projections
        .into_iter()
        .map(|lag| Lag {
            name: lag.name,
            events: lag.events,
            milliseconds: lag.milliseconds,
            halted: lag.halted.is_some(),
            paused: lag.paused_at.is_some(),
        })
        .collect();
    if let Some(halted) = projections.iter().find(|lag| lag.halted) {
        return Err(Problem::busy(format!("the read model {} has halted", halted.name)));
    }
    let version = env!("CARGO_PKG_VERSION");
    Ok(axum::Json(Health { status: "ok", version, position, projections }))
}

/// The public keys of access tokens (RFC 7517): who checks tokens without us finds them here.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "system",
    responses((status = 200, body = serde_json::Value)))]
async fn public_keys(State(app): State<App>) -> axum::Json<serde_json::Value> {
    axum::Json(app.tokens.public_keys())
}
