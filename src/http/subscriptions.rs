//! Subscriptions to plans: beginning one, changing it, ending it.

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
use super::idempotency::{IdempotencyKey, Intent};
use super::json::Json;
use super::position::{At, MinPosition};
use crate::accounts::limits;
use crate::app::App;
use crate::billing::changes::{self, Planned, When};
use crate::billing::settle;
use crate::billing::subscribe::{self, Wanted};
use crate::clock;
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(open))
        .routes(routes!(show))
        .routes(routes!(preview_change))
        .routes(routes!(change))
        .routes(routes!(preview_cancel))
        .routes(routes!(cancel))
        .routes(routes!(preview_resume))
        .routes(routes!(resume))
        .routes(routes!(portal))
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
struct Terms {
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
struct Subscription {
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

/// Another plan.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Change {
    /// The plan's id.
    #[schema(value_type = Uuid)]
    plan: PlanId,
    /// As `at` of the preview: then it comes to the same.
    #[serde(default)]
    at: Option<DateTime<Utc>>,
}

/// What a change would come to.
#[derive(Serialize, ToSchema)]
struct ChangePreview {
    plan: Terms,
    /// `now`, or `period_end`.
    #[schema(example = "now")]
    when: &'static str,
    /// When that is.
    at: DateTime<Utc>,
    /// What is to be paid at once, in the smallest unit of the currency.
    #[schema(example = 1000)]
    due_minor: i64,
    #[schema(example = "usd")]
    currency: String,
}

/// When to end.
#[derive(Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum End {
    /// With the period that is paid for.
    #[default]
    PeriodEnd,
    /// Now. Nothing is given back; the credits that came stay as long as they would have.
    Now,
}

/// How to end it.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Cancel {
    #[serde(default)]
    when: End,
}

/// What ending, or going on, would come to.
#[derive(Serialize, ToSchema)]
struct EndPreview {
    /// When it ends; null where it goes on.
    ends_at: Option<DateTime<Utc>>,
    /// Until when what is paid for lasts.
    paid_until: DateTime<Utc>,
}

/// A page of Stripe's.
#[derive(Serialize, ToSchema)]
struct Portal {
    /// Good for some minutes.
    url: String,
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
) -> Result<At<(StatusCode, axum::Json<OpenedSubscription>)>> {
    limits::CHECKOUTS.count(&app, &caller.user.to_string()).await?;
    let intent = Intent::new(&caller, "billing/subscriptions", key.as_ref(), &body)?;
    let metadata = intent.envelope(&caller, "subscribe").metadata;
    let wanted = Wanted { user: caller.user, plan: body.plan, intent: intent.id, metadata };
    let opened = subscribe::open(&app, wanted).await?;
    let (url, expires_at) = (opened.checkout.url.map(String::from), opened.checkout.expires_at);
    let answer = axum::Json(OpenedSubscription { id: opened.id.0, url, expires_at });
    Ok(At(opened.position, (StatusCode::CREATED, answer)))
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

async fn shown(
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

/// What another plan would come to.
#[utoipa::path(post, path = "/billing/subscription/change/preview", tag = "billing", request_body = Change,
    responses((status = 200, body = ChangePreview), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn preview_change(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Change>,
) -> Result<axum::Json<ChangePreview>> {
    let Planned { plan, when, at, due_minor, currency } =
        changes::preview_change(&app, caller.user, body.plan).await?;
    let plan = Terms::of(&plan);
    Ok(axum::Json(ChangePreview { plan, when: when.name(), at, due_minor, currency }))
}

/// Changes the plan: for one that costs more at once, where the difference is paid; for one that costs
/// less when the period is over.
#[utoipa::path(post, path = "/billing/subscription/change", tag = "billing", request_body = Change,
    params(("Idempotency-Key" = Option<String>, Header,)),
    responses((status = 200, body = Subscription), (status = 401, body = Problem),
        (status = 402, description = "the card was declined", body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    key: Option<IdempotencyKey>,
    Json(body): Json<Change>,
) -> Result<axum::Json<Subscription>> {
    let intent = Intent::new(&caller, "billing/subscription/change", key.as_ref(), &body)?;
    changes::change(&app, caller.user, body.plan, body.at, &intent.id.to_string()).await?;
    shown(&app, &caller, None).await
}

/// When the subscription would end.
#[utoipa::path(post, path = "/billing/subscription/cancel/preview", tag = "billing", request_body = Cancel,
    responses((status = 200, body = EndPreview), (status = 401, body = Problem), (status = 409, body = Problem)),
    security(("bearer" = [])))]
async fn preview_cancel(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Cancel>,
) -> Result<axum::Json<EndPreview>> {
    let (paid_until, _) = changes::ends(&app, caller.user).await?;
    let ends_at = match body.when {
        End::PeriodEnd => paid_until,
        End::Now => clock::now(),
    };
    Ok(axum::Json(EndPreview { ends_at: Some(ends_at), paid_until }))
}

/// Ends the subscription.
#[utoipa::path(post, path = "/billing/subscription/cancel", tag = "billing", request_body = Cancel,
    params(("Idempotency-Key" = Option<String>, Header,)),
    responses((status = 200, body = Subscription), (status = 401, body = Problem),
        (status = 409, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    key: Option<IdempotencyKey>,
    Json(body): Json<Cancel>,
) -> Result<axum::Json<Subscription>> {
    let intent = Intent::new(&caller, "billing/subscription/cancel", key.as_ref(), &body)?;
    let when = match body.when {
        End::PeriodEnd => When::AtPeriodEnd,
        End::Now => When::Now,
    };
    changes::cancel(&app, caller.user, when, &intent.id.to_string()).await?;
    shown(&app, &caller, None).await
}

/// What going on would come to.
#[utoipa::path(post, path = "/billing/subscription/resume/preview", tag = "billing",
    responses((status = 200, body = EndPreview), (status = 401, body = Problem), (status = 409, body = Problem)),
    security(("bearer" = [])))]
async fn preview_resume(State(app): State<App>, caller: Caller) -> Result<axum::Json<EndPreview>> {
    let (paid_until, _) = changes::ends(&app, caller.user).await?;
    Ok(axum::Json(EndPreview { ends_at: None, paid_until }))
}

/// Lets a subscription that would end go on.
#[utoipa::path(post, path = "/billing/subscription/resume", tag = "billing",
    params(("Idempotency-Key" = Option<String>, Header,)),
    responses((status = 200, body = Subscription), (status = 401, body = Problem),
        (status = 409, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn resume(
    State(app): State<App>,
    caller: Caller,
    key: Option<IdempotencyKey>,
) -> Result<axum::Json<Subscription>> {
    let intent = Intent::new(&caller, "billing/subscription/resume", key.as_ref(), &())?;
    changes::resume(&app, caller.user, &intent.id.to_string()).await?;
    shown(&app, &caller, None).await
}

/// Opens Stripe's page where cards, invoices and the plan are looked after.
#[utoipa::path(post, path = "/billing/portal", tag = "billing",
    params(("Idempotency-Key" = Option<String>, Header,)),
    responses((status = 201, body = Portal), (status = 401, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn portal(
    State(app): State<App>,
    caller: Caller,
    key: Option<IdempotencyKey>,
) -> Result<(StatusCode, axum::Json<Portal>)> {
    let intent = Intent::new(&caller, "billing/portal", key.as_ref(), &())?;
    let link = changes::portal(&app, caller.user, &intent.id.to_string()).await?;
    Ok((StatusCode::CREATED, axum::Json(Portal { url: link.into() })))
}

impl Terms {
    fn of(plan: &PlanVersion) -> Self {
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

impl When {
    fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::AtPeriodEnd => "period_end",
        }
    }
}
