//! How this node is: for whoever restarts it (`/livez`), sends it requests (`/readyz`), or looks what is wrong
//! (`/healthz`).

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json::Path;
use crate::app::App;
use crate::clients::llm::BreakerState;
use crate::error::{Problem, Result};
use crate::health::{self, Finding};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(live))
        .routes(routes!(ready))
        .routes(routes!(all))
        .routes(routes!(part))
}

/// Something that is well.
#[derive(Serialize, ToSchema)]
struct Well {
    #[schema(example = "ok")]
    status: &'static str,
}

/// How a part is.
#[derive(Serialize, ToSchema)]
struct PartHealth {
    /// `ok`; `degraded`, where not all of it works; `down`; `off`, where it is not configured.
    status: &'static str,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// When that was found: what is asked is asked once a second at most.
    checked_at: DateTime<Utc>,
}

/// How all parts are.
#[derive(Serialize, ToSchema)]
struct AllHealth {
    /// `ok`, or `degraded`, where a part is.
    status: &'static str,
    db: PartHealth,
    redis: PartHealth,
    stripe: PartHealth,
    ai: PartHealth,
}

impl PartHealth {
    fn is_well(&self) -> bool {
        matches!(self.status, "ok" | "off")
    }
}

impl From<Finding> for PartHealth {
    fn from(Finding { state, detail, at }: Finding) -> Self {
        let status = match state {
            health::State::Ok => "ok",
            health::State::Degraded => "degraded",
            health::State::Down => "down",
            health::State::Off => "off",
        };
        Self { status, detail, checked_at: at }
    }
}

/// Whether the process answers. Asks nobody: what is wrong elsewhere is not mended by a restart.
#[utoipa::path(get, path = "/livez", tag = "system", responses((status = 200, body = Well)))]
async fn live() -> axum::Json<Well> {
    axum::Json(Well { status: "ok" })
}

/// Whether this node is to be sent requests: not while it stops, not without its database, and not
/// with keys that were retired elsewhere.
#[utoipa::path(get, path = "/readyz", tag = "system",
    responses((status = 200, body = Well), (status = 503, body = Problem)))]
async fn ready(State(app): State<App>) -> Result<axum::Json<Well>> {
    if *app.leaving.borrow() {
        return Err(Problem::busy("this node is about to stop"));
    }
    if database(&app).await.state == health::State::Down {
        return Err(Problem::busy("the database cannot be reached"));
    }
    if let Some(detail) = app.keys.too_old() {
        return Err(Problem::old_keys(detail));
    }
    Ok(axum::Json(Well { status: "ok" }))
}

/// How each part is. Providers of AI and Stripe are not asked for it: what the last calls met is told.
#[utoipa::path(get, path = "/healthz", tag = "system",
    responses((status = 200, body = AllHealth), (status = 503, body = AllHealth)))]
async fn all(State(app): State<App>) -> (StatusCode, axum::Json<AllHealth>) {
    let (db, redis) = tokio::join!(database(&app), redis(&app));
    let (db, redis, stripe, ai): (PartHealth, PartHealth, PartHealth, PartHealth) =
        (db.into(), redis.into(), stripe(&app).into(), ai(&app).into());
    let is_well = [&db, &redis, &stripe, &ai].iter().all(|part| part.is_well());
    let status = if is_well { "ok" } else { "degraded" };
    let code = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, axum::Json(AllHealth { status, db, redis, stripe, ai }))
}

/// How one part is: `db`, `redis`, `stripe` or `ai`.
#[utoipa::path(get, path = "/healthz/{part}", tag = "system", params(("part" = String, Path,)),
    responses((status = 200, body = PartHealth), (status = 404, body = Problem), (status = 503, body = PartHealth)))]
async fn part(
    State(app): State<App>,
    Path(part): Path<String>,
) -> Result<(StatusCode, axum::Json<PartHealth>)> {
    let finding = match part.as_str() {
        "db" => database(&app).await,
        "redis" => redis(&app).await,
        "stripe" => stripe(&app),
        "ai" => ai(&app),
        _ => return Err(Problem::not_found()),
    };
    let part = PartHealth::from(finding);
    let code = if part.is_well() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((code, axum::Json(part)))
}

async fn database(app: &App) -> Finding {
    let ask = async {
        match projections::runner::lag(&app.probes.db).await {
            Ok((_, lags)) => match lags.iter().find(|lag| lag.halted.is_some()) {
                Some(lag) => {
                    let halted = format!("the read model {} has halted", lag.name);
                    Finding::now(health::State::Degraded, Some(halted))
                }
                None => Finding::now(health::State::Ok, paused(&lags)),
            },
            Err(error) => {
                tracing::warn!(error = %error, "the database does not answer");
                let detail = "the database cannot be reached".to_owned();
                Finding::now(health::State::Down, Some(detail))
            }
        }
    };
    app.probes.database.find(ask).await
}

/// Read models that stand still since an administrator wants them to: that is well, and worth a word.
fn paused(lags: &[projections::runner::Lag]) -> Option<String> {
    let paused: Vec<_> = lags.iter().filter(|lag| lag.paused_at.is_some()).collect();
    let names = paused.iter().map(|lag| lag.name.as_str()).collect::<Vec<_>>().join(", ");
    (!paused.is_empty()).then(|| format!("read models that an administrator has paused: {names}"))
}

async fn redis(app: &App) -> Finding {
    let Some(redis) = &app.redis else { return Finding::now(health::State::Off, None) };
    let ask = async {
        match redis.ping().await {
            Ok(()) => Finding::now(health::State::Ok, None),
            Err(error) => Finding::now(health::State::Down, Some(error.to_string())),
        }
    };
    app.probes.redis.find(ask).await
}

fn stripe(app: &App) -> Finding {
    let Some(stripe) = &app.stripe else { return Finding::now(health::State::Off, None) };
    match stripe.health().error {
        None => Finding::now(health::State::Ok, None),
        Some(error) => Finding::now(health::State::Degraded, Some(error.to_string())),
    }
}

fn ai(app: &App) -> Finding {
    let resting: Vec<_> = app
        .llm
        .health()
        .into_iter()
        .filter(|provider| provider.state != BreakerState::Closed)
        .map(|provider| provider.provider)
        .collect();
    if resting.is_empty() {
        return Finding::now(health::State::Ok, None);
    }
    let detail = format!("left alone for a while, since they fail: {}", resting.join(", "));
    Finding::now(health::State::Degraded, Some(detail))
}
