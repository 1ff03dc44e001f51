//! What is on sale.

use std::borrow::Borrow;

use aggregates::catalogue::{Offer, PackTerms, PlanTerms};
use axum::extract::State;
use projections::billing::{self as rows, PackRow, PlanRow};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::admin::Administrator;
use super::json::Path;
use super::position::MinPosition;
use super::tagged::Tagged;
use crate::app::App;
use crate::billing::offers::Sold;
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(packs))
        .routes(routes!(plans))
        .routes(routes!(all_packs))
        .routes(routes!(all_plans))
        .routes(routes!(one_pack))
        .routes(routes!(one_plan))
}

/// A pack of credits on sale.
#[derive(Serialize, ToSchema)]
pub(super) struct Pack {
    id: Uuid,
    #[schema(example = "Starter")]
    name: String,
    #[schema(example = 200)]
    credits: i64,
    /// Credits that come on top.
    #[schema(example = 0)]
    bonus: i64,
    /// In the smallest unit of the currency.
    #[schema(example = 900)]
    amount_minor: i64,
    #[schema(example = "usd")]
    currency: String,
    /// How many days the credits last; null is for ever.
    lasts_days: Option<i32>,
    on_sale: bool,
}

/// A plan on sale.
#[derive(Serialize, ToSchema)]
pub(super) struct Plan {
    id: Uuid,
    #[schema(example = "Pro")]
    name: String,
    /// `basic` or `pro`.
    #[schema(example = "pro")]
    tier: String,
    /// Credits a month.
    #[schema(example = 10_000)]
    quota: i64,
    /// In the smallest unit of the currency, for each interval.
    #[schema(example = 2900)]
    amount_minor: i64,
    #[schema(example = "usd")]
    currency: String,
    /// `month` or `year`.
    #[schema(example = "month")]
    interval: String,
    /// How much of a month's unused quota is carried into the next, at most.
    rollover: i64,
    trial_days: i32,
    on_sale: bool,
}

/// Packs, the cheapest first.
#[derive(Serialize, ToSchema)]
struct Packs {
    items: Vec<Pack>,
    next_cursor: Option<String>,
}

/// Plans, the cheapest first.
#[derive(Serialize, ToSchema)]
struct Plans {
    items: Vec<Plan>,
    next_cursor: Option<String>,
}

/// Packs of credits that can be bought.
#[utoipa::path(get, path = "/billing/packs", tag = "billing", responses((status = 200, body = Packs)))]
async fn packs(State(app): State<App>) -> Result<axum::Json<Packs>> {
    let items = rows::packs(app.db(), false).await?.into_iter().map(Pack::from).collect();
    Ok(axum::Json(Packs { items, next_cursor: None }))
}

/// Plans that can be subscribed to.
#[utoipa::path(get, path = "/billing/plans", tag = "billing", responses((status = 200, body = Plans)))]
async fn plans(State(app): State<App>) -> Result<axum::Json<Plans>> {
    let items = rows::plans(app.db(), false).await?.into_iter().map(Plan::from).collect();
    Ok(axum::Json(Plans { items, next_cursor: None }))
}

/// All packs, those that are sold no more, too.
#[utoipa::path(get, path = "/admin/packs", tag = "admin",
    params(("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = Packs), (status = 403, body = Problem)),
    security(("bearer" = [])))]
async fn all_packs(
    State(app): State<App>,
    Administrator(caller): Administrator,
    MinPosition(at_least): MinPosition,
) -> Result<axum::Json<Packs>> {
    app.caught_up("billing", caller.user, at_least).await?;
    let items = rows::packs(app.db(), true).await?.into_iter().map(Pack::from).collect();
    Ok(axum::Json(Packs { items, next_cursor: None }))
}

/// All plans, those that are sold no more, too.
#[utoipa::path(get, path = "/admin/plans", tag = "admin",
    params(("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = Plans), (status = 403, body = Problem)),
    security(("bearer" = [])))]
async fn all_plans(
    State(app): State<App>,
    Administrator(caller): Administrator,
    MinPosition(at_least): MinPosition,
) -> Result<axum::Json<Plans>> {
    app.caught_up("billing", caller.user, at_least).await?;
    let items = rows::plans(app.db(), true).await?.into_iter().map(Plan::from).collect();
    Ok(axum::Json(Plans { items, next_cursor: None }))
}

/// A pack as it is now. Its tag is for `If-Match`.
#[utoipa::path(get, path = "/admin/packs/{id}", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 200, body = Pack, headers(("ETag" = String, description = "for If-Match"))),
        (status = 403, body = Problem), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn one_pack(
    State(app): State<App>,
    Administrator(_caller): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Tagged<Pack>> {
    Ok(Tagged(now::<PackTerms>(&app, id).await?.told))
}

/// A plan as it is now. Its tag is for `If-Match`.
#[utoipa::path(get, path = "/admin/plans/{id}", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 200, body = Plan, headers(("ETag" = String, description = "for If-Match"))),
        (status = 403, body = Problem), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn one_plan(
    State(app): State<App>,
    Administrator(_caller): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Tagged<Plan>> {
    Ok(Tagged(now::<PlanTerms>(&app, id).await?.told))
}

/// What is told of an offer that is made of these terms.
pub(super) trait Told: Sold {
    type Told: Serialize;

    fn told(&self, id: Uuid, on_sale: bool) -> Self::Told;
}

impl Told for PackTerms {
    type Told = Pack;

    fn told(&self, id: Uuid, on_sale: bool) -> Pack {
        PackRow::of(id, self, on_sale).into()
    }
}

impl Told for PlanTerms {
    type Told = Plan;

    fn told(&self, id: Uuid, on_sale: bool) -> Plan {
        PlanRow::of(id, self, on_sale).into()
    }
}

/// An offer as the log has it.
pub(super) struct Now<T: Told> {
    pub(super) told: T::Told,
    /// How often its terms were set.
    pub(super) version: u32,
}

/// The offer as it is now; 404 where there is none.
pub(super) async fn now<T: Told>(app: &App, id: Uuid) -> Result<Now<T>> {
    let offer = app.store.load::<T::Offer>(id).await?;
    let offer: &Offer<T> = offer.borrow();
    let terms = offer.terms().ok_or_else(Problem::not_found)?;
    Ok(Now { told: terms.told(id, offer.is_on_sale()), version: offer.version() })
}

impl From<PackRow> for Pack {
    fn from(row: PackRow) -> Self {
        let PackRow {
            pack_id: id,
            name,
            credits,
            bonus,
            amount_minor,
            currency,
            lasts_days,
            on_sale,
        } = row;
        Self { id, name, credits, bonus, amount_minor, currency, lasts_days, on_sale }
    }
}

impl From<PlanRow> for Plan {
    fn from(row: PlanRow) -> Self {
        Self {
            id: row.plan_id,
            name: row.name,
            tier: row.tier,
            quota: row.quota,
            amount_minor: row.amount_minor,
            currency: row.currency,
            interval: row.pay_interval,
            rollover: row.rollover,
            trial_days: row.trial_days,
            on_sale: row.on_sale,
        }
    }
}
