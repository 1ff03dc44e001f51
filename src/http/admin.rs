//! What administrators put on sale.

use aggregates::catalogue::{Ask, Interval, PackTerms, PlanTerms, Tier};
use aggregates::credits::Credits;
use aggregates::money::Money;
use aggregates::user::{Role, User};
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::caller::Caller;
use super::idempotency::{IdempotencyKey, Intent, Replayable};
use super::json::{Json, Path};
use super::offers::{Told, now};
use super::position::At;
use super::tagged::IfMatch;
use crate::app::App;
use crate::billing::offers::{self, Sold};
use crate::error::{Problem, Result};
use crate::store::Envelope;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_pack))
        .routes(routes!(change_pack))
        .routes(routes!(retire_pack))
        .routes(routes!(restore_pack))
        .routes(routes!(create_plan))
        .routes(routes!(change_plan))
        .routes(routes!(retire_plan))
        .routes(routes!(restore_plan))
}

/// Who is asking, in person, and may administer.
pub(super) struct Administrator(pub(super) Caller);

impl FromRequestParts<App> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = <Caller as FromRequestParts<App>>::from_request_parts(parts, app).await?;
        let state = app.store.load::<User>(caller.user).await?;
        if state.role() == Role::Admin {
            return Ok(Self(caller));
        }
        let detail = "this is for administrators";
        Err(Problem::new(StatusCode::FORBIDDEN, "not_an_administrator", detail))
    }
}

/// A pack as it is to be.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PackBody {
    /// 1 to 100 characters.
    #[schema(example = "Starter")]
    name: String,
    /// At least 1.
    #[schema(value_type = i64, minimum = 1, example = 200)]
    credits: Credits,
    /// Credits that come on top, and are reversed with it.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0, example = 0)]
    bonus: Credits,
    /// What it costs.
    #[schema(value_type = Price)]
    price: Money,
    /// How many days the credits last; for ever by default.
    #[schema(minimum = 1, maximum = 3653)]
    lasts_days: Option<u32>,
}

/// A plan as it is to be.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanBody {
    /// 1 to 100 characters.
    #[schema(example = "Pro")]
    name: String,
    /// `basic` or `pro`.
    #[schema(value_type = String, example = "pro")]
    tier: Tier,
    /// Credits a month; at least 1.
    #[schema(value_type = i64, minimum = 1, example = 10_000)]
    quota: Credits,
    /// What it costs for each interval.
    #[schema(value_type = Price)]
    price: Money,
    /// `month` or `year`.
    #[schema(value_type = String, example = "month")]
    interval: Interval,
    /// How much of a month's unused quota is carried into the next, at most.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0, example = 0)]
    rollover: Credits,
    /// How many days it is free at first.
    #[serde(default)]
    #[schema(maximum = 3653, example = 0)]
    trial_days: u32,
}

/// Money.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it says what `Money` looks like")]
struct Price {
    /// In the smallest unit of the currency: cents of USD, whole JPY.
    #[schema(example = 900)]
    amount_minor: i64,
    /// ISO 4217.
    #[schema(example = "usd")]
    currency: String,
}

/// An offer that was made.
#[derive(Serialize, ToSchema)]
struct Made {
    id: Uuid,
}

impl From<PackBody> for PackTerms {
    fn from(PackBody { name, credits, bonus, price, lasts_days }: PackBody) -> Self {
        Self { name, credits, bonus, price, lasts_days }
    }
}

impl From<PlanBody> for PlanTerms {
    fn from(body: PlanBody) -> Self {
        let PlanBody { name, tier, quota, price, interval, rollover, trial_days } = body;
        Self { name, tier, quota, price, interval, rollover, trial_days }
    }
}

async fn create<T: Sold>(
    app: &App,
    caller: &Caller,
    intent: &Intent,
    terms: T,
) -> Result<Replayable<At<(StatusCode, axum::Json<Made>)>>> {
    let (id, envelope) = (intent.id, intent.envelope(caller, "create"));
    let made = offers::ask(app, id, envelope, Ask::Create { terms }).await?;
    app.wrote(caller.user, made.position);
    let answer = At(made.position, (StatusCode::CREATED, axum::Json(Made { id })));
    Ok(Replayable { answer, replayed: made.replayed })
}

async fn ask<T: Sold>(app: &App, caller: &Caller, id: Uuid, ask: Ask<T>) -> Result<At<StatusCode>> {
    let asked = offers::ask(app, id, Envelope::once(caller.metadata()), ask).await?;
    app.wrote(caller.user, asked.position);
    Ok(At(asked.position, StatusCode::NO_CONTENT))
}

/// Other terms; in place of what was read, where the caller says what that was.
async fn change<T: Told>(
    app: &App,
    caller: &Caller,
    id: Uuid,
    seen: Option<IfMatch>,
    terms: T,
) -> Result<At<StatusCode>> {
    // What would be refused in any case is, before it is asked what was read (RFC 9110, 13.2.1).
    terms.check()?;
    let instead_of = match seen {
        Some(seen) if !seen.is_any() => {
            let now = now::<T>(app, id).await?;
            seen.check(&now.told)?;
            Some(now.version)
        }
        _ => None,
    };
    ask(app, caller, id, Ask::Change { terms, instead_of }).await
}

/// Puts a pack on sale; Stripe lists it soon.
#[utoipa::path(post, path = "/admin/packs", tag = "admin", request_body = PackBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "the same key and body make it once")),
    responses((status = 201, body = Made), (status = 403, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn create_pack(
    State(app): State<App>,
    Administrator(caller): Administrator,
    key: Option<IdempotencyKey>,
    Json(body): Json<PackBody>,
) -> Result<Replayable<At<(StatusCode, axum::Json<Made>)>>> {
    let intent = Intent::new(&caller, "admin/packs", key.as_ref(), &body)?;
    create(&app, &caller, &intent, PackTerms::from(body)).await
}

/// Sells a pack on other terms. What was bought before stays as it was bought.
#[utoipa::path(put, path = "/admin/packs/{id}", tag = "admin", request_body = PackBody,
    params(("id" = Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "an ETag: change only what was read")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn change_pack(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
    seen: Option<IfMatch>,
    Json(body): Json<PackBody>,
) -> Result<At<StatusCode>> {
    change(&app, &caller, id, seen, PackTerms::from(body)).await
}

/// Sells a pack no more.
#[utoipa::path(post, path = "/admin/packs/{id}/retire", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn retire_pack(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
) -> Result<At<StatusCode>> {
    ask::<PackTerms>(&app, &caller, id, Ask::Retire).await
}

/// Sells a pack again.
#[utoipa::path(post, path = "/admin/packs/{id}/restore", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn restore_pack(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
) -> Result<At<StatusCode>> {
    ask::<PackTerms>(&app, &caller, id, Ask::Restore).await
}

/// Puts a plan on sale; Stripe lists it soon.
#[utoipa::path(post, path = "/admin/plans", tag = "admin", request_body = PlanBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "the same key and body make it once")),
    responses((status = 201, body = Made), (status = 403, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn create_plan(
    State(app): State<App>,
    Administrator(caller): Administrator,
    key: Option<IdempotencyKey>,
    Json(body): Json<PlanBody>,
) -> Result<Replayable<At<(StatusCode, axum::Json<Made>)>>> {
    let intent = Intent::new(&caller, "admin/plans", key.as_ref(), &body)?;
    create(&app, &caller, &intent, PlanTerms::from(body)).await
}

/// Sells a plan on other terms. What was bought before stays as it was bought.
#[utoipa::path(put, path = "/admin/plans/{id}", tag = "admin", request_body = PlanBody,
    params(("id" = Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "an ETag: change only what was read")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn change_plan(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
    seen: Option<IfMatch>,
    Json(body): Json<PlanBody>,
) -> Result<At<StatusCode>> {
    change(&app, &caller, id, seen, PlanTerms::from(body)).await
}

/// Sells a plan no more.
#[utoipa::path(post, path = "/admin/plans/{id}/retire", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn retire_plan(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
) -> Result<At<StatusCode>> {
    ask::<PlanTerms>(&app, &caller, id, Ask::Retire).await
}

/// Sells a plan again.
#[utoipa::path(post, path = "/admin/plans/{id}/restore", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn restore_plan(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
) -> Result<At<StatusCode>> {
    ask::<PlanTerms>(&app, &caller, id, Ask::Restore).await
}
