//! Subscriptions to plans: beginning one, and how it is.

use aggregates::catalogue::{Interval, Tier};
use aggregates::id::PlanId;
use aggregates::subscription::{PlanVersion, Status, Subscription as Known};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::caller::Caller;
use super::idempotency::{IdempotencyKey, Intent, Replayable};
use super::json::Json;
use super::position::{At, MinPosition};
use crate::accounts::limits;
use crate::app::App;
use crate::billing::settle;
use crate::billing::subscribe::{self, Wanted};
use crate::clock;
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(open)).routes(routes!(show))
}

/// What to subscribe to.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSubscription {
    /// The plan's id.
    #[schema(value_type = Uuid)]
    plan: PlanId,
}

/// A subscription that waits for its payment.
#[derive(Serialize, ToSchema)]
struct OpenedSubscription {
    id: Uuid,
    /// Stripe's page, which asks for the payment.
    #[schema(example = "https://checkout.stripe.com/c/pay/cs_test_1")]
    url: Option<String>,
    /// Until when it does.
    expires_at: DateTime<Utc>,
}

/// A plan on the terms that somebody has.
#[derive(Serialize, ToSchema)]
pub(super) struct Terms {
    id: Uuid,
    #[schema(example = "Pro")]
    name: String,
    /// `basic` or `pro`.
    #[schema(value_type = String, example = "pro")]
    tier: Tier,
    /// Credits a month.
    #[schema(example = 10_000)]
    quota: i64,
    /// In the smallest unit of the currency, for each interval.
    #[schema(example = 2900)]
    amount_minor: i64,
    #[schema(example = "usd")]
    currency: String,
    /// `month` or `year`.
    #[schema(value_type = String, example = "month")]
    interval: Interval,
}

/// A change that is to come.
#[derive(Serialize, ToSchema)]
struct Pending {
    /// What it will be.
    plan: Terms,
    /// When: with the next period, or as soon as it is paid, which it may be until then.
    at: DateTime<Utc>,
    /// Whether it waits to be paid.
    waits_for_payment: bool,
}

/// A subscription.
#[derive(Serialize, ToSchema)]
pub(super) struct Subscription {
    id: Uuid,
    /// `ordered`, `abandoned`, or as Stripe says: `incomplete`, `incomplete_expired`, `trialing`,
    /// `active`, `past_due`, `unpaid`, `paused`, `canceled`.
    #[schema(example = "active")]
    status: &'static str,
    /// What is paid for; where nothing is, what was ordered.
    plan: Terms,
    period_start: Option<DateTime<Utc>>,
    period_end: Option<DateTime<Utc>>,
    /// Whether it ends, and does not go on.
    cancel_at_period_end: bool,
    /// When it will end, where that is known.
    ends_at: Option<DateTime<Utc>>,
    pending_change: Option<Pending>,
    /// Until when something is paid for.
    entitled_until: Option<DateTime<Utc>>,
    /// When the next part of the quota comes, of what is paid already.
    next_quota_at: Option<DateTime<Utc>>,
    /// Whether there was another one when it began: it is ended, and what was paid is given back.
    duplicate: bool,
}

/// Orders a subscription, and opens Stripe's page for its payment.
#[utoipa::path(post, path = "/billing/subscriptions", tag = "billing", request_body = NewSubscription,
    params(("Idempotency-Key" = Option<String>, Header, description = "the same key and body order once")),
    responses((status = 201, body = OpenedSubscription), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "there is one that runs, or it is sold no more", body = Problem),
        (status = 502, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn open(
    State(app): State<App>,
    caller: Caller,
    key: Option<IdempotencyKey>,
    Json(body): Json<NewSubscription>,
) -> Result<Replayable<At<(StatusCode, axum::Json<OpenedSubscription>)>>> {
    limits::CHECKOUTS.count(&app, &caller.user.to_string()).await?;
    let intent = Intent::new(&caller, "billing/subscriptions", key.as_ref(), &body)?;
    let metadata = intent.envelope(&caller, "subscribe").metadata;
    let wanted = Wanted { user: caller.user, plan: body.plan, intent: intent.id, metadata };
    let opened = subscribe::open(&app, wanted).await?;
    let (url, expires_at) = (opened.checkout.url.map(String::from), opened.checkout.expires_at);
    let answer = axum::Json(OpenedSubscription { id: opened.id.0, url, expires_at });
    let answer = At(opened.position, (StatusCode::CREATED, answer));
    Ok(Replayable { answer, replayed: opened.replayed })
}

/// The subscription that runs; where none does, the last one.
#[utoipa::path(get, path = "/billing/subscription", tag = "billing",
    params(("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = Subscription), (status = 401, body = Problem),
        (status = 404, description = "there never was one", body = Problem)),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    MinPosition(at_least): MinPosition,
) -> Result<axum::Json<Subscription>> {
    shown(&app, &caller, at_least).await
}

/// The subscription that runs, or the last one, as the person sees it.
pub(super) async fn shown(
    app: &App,
    caller: &Caller,
    at_least: Option<i64>,
) -> Result<axum::Json<Subscription>> {
    app.caught_up("billing", caller.user, at_least).await?;
    let row = projections::billing::subscription_of(app.db(), caller.user.0).await?;
    let id = row.ok_or_else(Problem::not_found)?.subscription_id;
    let mut state = app.store.load::<Known>(id).await?;
    // The page that people return to asks this: what Stripe knows is looked at, told or not.
    if state.status() == Status::Ordered
        && let Some(session) = state.checkout()
        && settle::look(app, id, session).await?
    {
        state = app.store.load::<Known>(id).await?;
    }
    let shown = Subscription::of(id, &state).ok_or_else(Problem::not_found)?;
    Ok(axum::Json(shown))
}

impl Terms {
    pub(super) fn of(plan: &PlanVersion) -> Self {
        let PlanVersion { plan: id, terms, .. } = plan;
        Self {
            id: id.0,
            name: terms.name.clone(),
            tier: terms.tier,
            quota: terms.quota.get(),
            amount_minor: terms.price.amount_minor,
            currency: terms.price.currency.to_string(),
            interval: terms.interval,
        }
    }
}

impl Subscription {
    fn of(id: Uuid, state: &Known) -> Option<Self> {
        let (order, standing) = (state.order()?, state.standing());
        let shown = standing.map_or(&order.plan, |standing| &standing.plan);
        let paid = state.entitlement(clock::now());
        let plan = paid.unwrap_or(shown);
        let waits = standing.and_then(|standing| standing.change.as_ref());
        let pending = match (waits, standing) {
            (Some(change), _) => Some(Pending {
                plan: Terms::of(&change.plan),
                at: change.expires_at,
                waits_for_payment: true,
            }),
            (None, Some(standing)) if plan != shown && !state.status().is_over() => {
                let at = standing.period.end;
                Some(Pending { plan: Terms::of(shown), at, waits_for_payment: false })
            }
            _ => None,
        };
        let ends_at = standing.and_then(|standing| standing.ends_at);
        Some(Self {
            id,
            status: state.status().name(),
            plan: Terms::of(plan),
            period_start: standing.map(|standing| standing.period.start),
            period_end: standing.map(|standing| standing.period.end),
            cancel_at_period_end: ends_at.is_some(),
            ends_at,
            pending_change: pending,
            entitled_until: state.entitled_until(),
            next_quota_at: state.next_at(),
            duplicate: state.is_duplicate(),
        })
    }
}
