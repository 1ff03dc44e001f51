//! What may be spent in a day and in a month: from the wallet, and by each API key.

use aggregates::credits::Credits;
use aggregates::id::{ApiKeyId, CommandId};
use aggregates::wallet::{Ask, SpendWindow, Wallet, WalletCommand};
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::caller::{Allowed, Caller, WalletRead};
use super::json::Json;
use super::position::At;
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::store::Envelope;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, change))
}

/// How much may be spent or held. Days and months are those of UTC.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SpendLimits {
    /// Credits per day; null is no limit.
    #[schema(value_type = Option<i64>, minimum = 0, example = 100)]
    per_day: Option<Credits>,
    /// Credits per month; null is no limit.
    #[schema(value_type = Option<i64>, minimum = 0, example = 1000)]
    per_month: Option<Credits>,
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
    let At(position, spending) = set(&app, &caller, None, limits).await?;
    Ok(At(position, axum::Json(spending)))
}

/// Replaces the limits of the caller's wallet, or of a key to it.
pub(super) async fn set(
    app: &App,
    caller: &Caller,
    key: Option<ApiKeyId>,
    SpendLimits { per_day, per_month }: SpendLimits,
) -> Result<At<Spending>> {
    let now = clock::now();
    let envelope = Envelope::new(CommandId(Uuid::now_v7()), caller.metadata());
    let ask = Ask::SetSpendLimits { key, per_day, per_month };
    let command = WalletCommand { now, ask };
    let outcome = app.store.execute::<Wallet>(caller.wallet(), envelope, command).await?;
    let wallet = app.store.load::<Wallet>(caller.wallet()).await?;
    Ok(At(outcome.position, Spending::of(&wallet, key, now)))
}
