//! What may be spent in a day and in a month: from the wallet, and by each API key.

use aggregates::credits::Credits;
use aggregates::id::ApiKeyId;
use aggregates::wallet::{SpendWindow, Wallet};
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Allowed, Caller, WalletRead};
use super::json::Json;
use super::position::At;
use crate::accounts::spend_limits;
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, change))
}

/// How much may be spent or held: both are told, so that none is lifted by being left out. Days and
/// months are those of UTC.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SpendLimits {
    /// Credits per day; null is no limit.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(value_type = Option<i64>, required, minimum = 0, example = 100)]
    per_day: Option<Credits>,
    /// Credits per month; null is no limit.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(value_type = Option<i64>, required, minimum = 0, example = 1000)]
    per_month: Option<Credits>,
}

impl From<SpendLimits> for spend_limits::SpendLimits {
    fn from(SpendLimits { per_day, per_month }: SpendLimits) -> Self {
        Self { per_day, per_month }
    }
}

/// What may be spent in each window, and what was.
#[derive(Serialize, ToSchema)]
pub(super) struct Spending {
    per_day: Window,
    per_month: Window,
}

/// What may be spent in a window, and what was.
#[derive(Serialize, ToSchema)]
struct Window {
    /// How much may be spent or held; null is no limit.
    #[schema(value_type = Option<i64>, example = 100)]
    limit: Option<Credits>,
    /// What was spent, or is held, since the window began.
    #[schema(value_type = i64, example = 10)]
    spent: Credits,
}

impl Spending {
    /// That of the wallet, or of a key.
    pub(super) fn of(wallet: &Wallet, key: Option<ApiKeyId>, now: DateTime<Utc>) -> Self {
        let spending = wallet.spending(key);
        let of = |window| Window {
            limit: spending.and_then(|spending| spending.limit(window)),
            spent: spending.map(|spending| spending.spent(window, now)).unwrap_or_default(),
        };
        Self { per_day: of(SpendWindow::Day), per_month: of(SpendWindow::Month) }
    }
}

/// What may be spent from the wallet, by whomever, and what was.
#[utoipa::path(get, path = "/wallet/limits", tag = "wallet",
    responses((status = 200, body = Spending), (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<WalletRead>,
) -> Result<axum::Json<Spending>> {
    let wallet = app.store.load::<Wallet>(caller.wallet()).await?;
    Ok(axum::Json(Spending::of(&wallet, None, clock::now())))
}

/// Limits what may be spent from the wallet, by whomever. Both limits are replaced.
#[utoipa::path(put, path = "/wallet/limits", tag = "wallet", request_body = SpendLimits,
    responses((status = 200, body = Spending), (status = 401, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Json(limits): Json<SpendLimits>,
) -> Result<At<axum::Json<Spending>>> {
    let (visitor, user) = (&caller.visitor, caller.user);
    let position = spend_limits::set(&app, visitor, user, None, limits.into()).await?;
    told(&app, &caller, None, position).await
}

/// What may be spent after the limits were set at this position.
pub(super) async fn told(
    app: &App,
    caller: &Caller,
    key: Option<ApiKeyId>,
    position: i64,
) -> Result<At<axum::Json<Spending>>> {
    let wallet = app.store.load::<Wallet>(caller.wallet()).await?;
    Ok(At(position, axum::Json(Spending::of(&wallet, key, clock::now()))))
}
