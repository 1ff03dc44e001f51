//! Changing the plan of a subscription, ending it, and going on; each told beforehand.

use aggregates::id::PlanId;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::idempotency::{IdempotencyKey, Intent, Replayable};
use super::json::Json;
use super::position::At;
use super::subscriptions::{Subscription, Terms, shown};
use crate::accounts::limits;
use crate::app::App;
use crate::billing::changes::{self, Done, Planned, Request, When};
use crate::clock;
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(preview_change))
        .routes(routes!(change))
        .routes(routes!(preview_cancel))
        .routes(routes!(cancel))
        .routes(routes!(preview_resume))
        .routes(routes!(resume))
        .routes(routes!(portal))
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
    limits::STRIPE.count(&app, &caller.user.to_string()).await?;
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
) -> Result<Replayable<At<axum::Json<Subscription>>>> {
    let request = request(&app, &caller, "change", key.as_ref(), &body).await?;
    let done = changes::change(&app, caller.user, body.plan, body.at, request).await?;
    managed(&app, &caller, done).await
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
) -> Result<Replayable<At<axum::Json<Subscription>>>> {
    let request = request(&app, &caller, "cancel", key.as_ref(), &body).await?;
    let when = match body.when {
        End::PeriodEnd => When::AtPeriodEnd,
        End::Now => When::Now,
    };
    let done = changes::cancel(&app, caller.user, when, request).await?;
    managed(&app, &caller, done).await
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
) -> Result<Replayable<At<axum::Json<Subscription>>>> {
    let request = request(&app, &caller, "resume", key.as_ref(), &()).await?;
    let done = changes::resume(&app, caller.user, request).await?;
    managed(&app, &caller, done).await
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
    limits::CHANGES.count(&app, &caller.user.to_string()).await?;
    let intent = Intent::new(&caller, "billing/portal", key.as_ref(), &())?;
    let link = changes::portal(&app, caller.user, &intent.id.to_string()).await?;
    Ok((StatusCode::CREATED, axum::Json(Portal { url: link.into() })))
}

/// What a request to manage a subscription is known by. Each costs Stripe a call, and the log an event.
async fn request(
    app: &App,
    caller: &Caller,
    what: &str,
    key: Option<&IdempotencyKey>,
    body: &(impl Serialize + Sync),
) -> Result<Request> {
    limits::CHANGES.count(app, &caller.user.to_string()).await?;
    let intent = Intent::new(caller, &format!("billing/subscription/{what}"), key, body)?;
    Ok(Request { key: intent.id.to_string(), envelope: intent.envelope(caller, what) })
}

/// The subscription as it is after a request.
async fn managed(
    app: &App,
    caller: &Caller,
    done: Done,
) -> Result<Replayable<At<axum::Json<Subscription>>>> {
    let answer = At(done.position, shown(app, caller, Some(done.position)).await?);
    Ok(Replayable { answer, replayed: done.replayed })
}

impl When {
    fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::AtPeriodEnd => "period_end",
        }
    }
}
