//! Auto-recharge: buying a pack by a card that was kept, when the balance runs low.

use aggregates::credits::Credits;
use aggregates::id::PackId;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use projections::billing::{self as rows, RechargeRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::caller::Caller;
use super::json::Json;
use super::position::{At, MinPosition};
use crate::accounts::limits;
use crate::app::App;
use crate::billing::recharge::{self, Wish};
use crate::clock;
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, change, turn_off))
}

/// What is wanted. Whoever turns it on says all of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Agreement {
    enabled: bool,
    /// The pack that is bought.
    #[schema(value_type = Option<Uuid>)]
    pack: Option<PackId>,
    /// It is bought when a spend leaves less than this available.
    #[schema(value_type = Option<i64>, minimum = 0, example = 50)]
    threshold: Option<Credits>,
    /// What is charged in a calendar month (UTC) at most, in the smallest unit of the pack's currency.
    #[schema(example = 1800)]
    monthly_cap_minor: Option<i64>,
    /// That you agree: your kept card is charged the pack's price of now or less, without you, each
    /// time that a spend leaves less than the threshold, up to the cap, until you turn it off.
    #[serde(default)]
    consent: bool,
}

/// Auto-recharge as it is.
#[derive(Serialize, ToSchema)]
struct AutoRecharge {
    enabled: bool,
    /// `off`, `ready`, `charging`, `authentication_required` (see `link`) or `declined` (the card is
    /// left alone until `last_failure.again_at`).
    #[schema(example = "ready")]
    state: &'static str,
    pack: Option<Uuid>,
    #[schema(example = 50)]
    threshold: Option<i64>,
    /// In the smallest unit of the currency, as `charged_minor`.
    #[schema(example = 1800)]
    monthly_cap_minor: Option<i64>,
    #[schema(example = "usd")]
    currency: Option<String>,
    /// What was charged this month, with what is in flight.
    #[schema(example = 900)]
    charged_minor: i64,
    /// When you agreed, and to which version of its terms.
    consented_at: Option<DateTime<Utc>>,
    terms_version: Option<String>,
    /// Stripe's page, where your bank wants to see you for the payment in flight.
    link: Option<String>,
    /// The last one, unless a recharge has succeeded since.
    last_failure: Option<RechargeFailure>,
    /// Why it is off, where it was on: `asked`, `declined`, `retired` (the pack is sold no more) or
    /// `dearer` (the pack costs more than you agreed to).
    off_reason: Option<String>,
}

/// Why nothing was charged.
#[derive(Serialize, ToSchema)]
struct RechargeFailure {
    /// As the bank says, such as `insufficient_funds`; or `no_card`, `card_gone`, `turned_off`,
    /// `enough`, `wallet_stopped` or `account_closed`.
    #[schema(example = "insufficient_funds")]
    code: String,
    at: DateTime<Utc>,
    /// When it may be tried again.
    again_at: Option<DateTime<Utc>>,
}

/// Auto-recharge as it is, with what was charged this month.
#[utoipa::path(get, path = "/billing/auto-recharge", tag = "billing",
    params(("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = AutoRecharge), (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    MinPosition(at_least): MinPosition,
) -> Result<axum::Json<AutoRecharge>> {
    told(&app, &caller, at_least).await.map(axum::Json)
}

/// Turns auto-recharge on, on these terms, or off. Turning it on charges nothing: the first spend
/// afterwards that leaves less than the threshold does. A wallet that is frozen or in debt is not
/// recharged.
#[utoipa::path(put, path = "/billing/auto-recharge", tag = "billing", request_body = Agreement,
    responses((status = 200, body = AutoRecharge), (status = 401, body = Problem),
        (status = 404, description = "there is no such pack", body = Problem),
        (status = 409, description = "no card is kept, or the pack is sold no more", body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Json(agreement): Json<Agreement>,
) -> Result<At<axum::Json<AutoRecharge>>> {
    limits::CHANGES.count(&app, &caller.user.to_string()).await?;
    let position = match agreement.wish()? {
        Some(wish) => recharge::turn_on(&app, &caller.visitor, caller.user, wish).await?,
        None => recharge::turn_off(&app, &caller.visitor, caller.user).await?,
    };
    Ok(At(position, told(&app, &caller, Some(position)).await.map(axum::Json)?))
}

/// Turns auto-recharge off. What is being charged already comes to its end.
#[utoipa::path(delete, path = "/billing/auto-recharge", tag = "billing",
    responses((status = 204), (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn turn_off(State(app): State<App>, caller: Caller) -> Result<At<StatusCode>> {
    let position = recharge::turn_off(&app, &caller.visitor, caller.user).await?;
    Ok(At(position, StatusCode::NO_CONTENT))
}

impl Agreement {
    /// What it is to be turned on for; none to turn it off.
    fn wish(self) -> Result<Option<Wish>> {
        if !self.enabled {
            return Ok(None);
        }
        let missing = |field| Problem::field(field, "is required to turn auto-recharge on");
        if !self.consent {
            let detail = "must be true: your card is charged without you only if you agree";
            return Err(Problem::field("consent", detail));
        }
        Ok(Some(Wish {
            pack: self.pack.ok_or_else(|| missing("pack"))?,
            threshold: self.threshold.ok_or_else(|| missing("threshold"))?,
            monthly_cap_minor: self
                .monthly_cap_minor
                .ok_or_else(|| missing("monthly_cap_minor"))?,
        }))
    }
}

/// The caller's, as the read model has it, with the page to go to where there is one.
async fn told(app: &App, caller: &Caller, at_least: Option<i64>) -> Result<AutoRecharge> {
    app.caught_up("billing", caller.user, at_least).await?;
    let now = clock::now();
    let row = rows::recharge_of(app.db(), caller.user.0, now).await?;
    let page = row.as_ref().filter(|row| row.waits_for_person).and_then(|row| row.checkout.clone());
    let mut told = AutoRecharge::of(row, now);
    if let Some(session) = page
        && limits::LOOKS.has_room(app, &session).await?
    {
        // Without an answer of Stripe's there is no page, but all else.
        told.link = recharge::link(app, &session).await.unwrap_or_else(|problem| {
            tracing::warn!(cause = problem.cause, "Stripe could not be asked for a checkout");
            None
        });
    }
    Ok(told)
}

impl AutoRecharge {
    fn of(row: Option<RechargeRow>, now: DateTime<Utc>) -> Self {
        let Some(row) = row else { return Self::never() };
        let again_at = row.ready_at.filter(|ready_at| *ready_at > now);
        let failure = row.failure.zip(row.failed_at);
        let state = match (row.purchase_id, row.enabled) {
            (Some(_), _) if row.waits_for_person => "authentication_required",
            (Some(_), _) => "charging",
            (None, false) => "off",
            (None, true) if failure.is_some() && again_at.is_some() => "declined",
            (None, true) => "ready",
        };
        Self {
            enabled: row.enabled,
            state,
            pack: Some(row.pack_id),
            threshold: Some(row.threshold),
            monthly_cap_minor: Some(row.cap_minor),
            currency: Some(row.currency),
            charged_minor: row.charged_minor,
            consented_at: Some(row.consented_at),
            terms_version: Some(row.wording),
            link: None,
            last_failure: failure.map(|(code, at)| RechargeFailure { code, at, again_at }),
            off_reason: row.off_reason,
        }
    }

    /// Of whom it was never on.
    fn never() -> Self {
        Self {
            enabled: false,
            state: "off",
            pack: None,
            threshold: None,
            monthly_cap_minor: None,
            currency: None,
            charged_minor: 0,
            consented_at: None,
            terms_version: None,
            link: None,
            last_failure: None,
            off_reason: None,
        }
    }
}
