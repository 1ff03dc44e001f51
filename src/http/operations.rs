//! What administrators see of Stripe, and decide about payments.

use aggregates::id::WalletId;
use aggregates::purchase::Stage;
use aggregates::wallet::{Ask, Wallet, WalletCommand};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use projections::billing::{self as rows, PurchaseRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::admin::Administrator;
use super::caller::Caller;
use super::holds::checked_reason;
use super::idempotency::{IdempotencyKey, Intent, Replayable};
use super::json::{Json, Path, Query};
use super::page::{Page, PageQuery};
use super::position::{At, MinPosition};
use crate::app::App;
use crate::billing::inbox::{self, EventRow, EventState};
use crate::billing::reconcile::{self, Report};
use crate::billing::{refunds, settle};
use crate::clock;
use crate::error::{Problem, Result};
use crate::store::Envelope;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(events))
        .routes(routes!(replay))
        .routes(routes!(reports))
        .routes(routes!(reconcile))
        .routes(routes!(purchases))
        .routes(routes!(accept))
        .routes(routes!(refund))
        .routes(routes!(freeze))
        .routes(routes!(unfreeze))
}

/// What Stripe has told, the newest first.
#[derive(Serialize, ToSchema)]
struct Events {
    items: Vec<EventRow>,
    next_cursor: Option<String>,
}

/// What comparisons with Stripe found, the newest first.
#[derive(Serialize, ToSchema)]
struct Reports {
    items: Vec<Report>,
    next_cursor: Option<Uuid>,
}

/// Money that was asked for, or came.
#[derive(Serialize, ToSchema)]
struct Amount {
    /// In the smallest unit of the currency.
    #[schema(example = 900)]
    amount_minor: i64,
    #[schema(example = "usd")]
    currency: String,
}

/// Somebody's purchase.
#[derive(Serialize, ToSchema)]
struct Purchase {
    id: Uuid,
    /// Who buys.
    user: Uuid,
    /// What was ordered.
    #[schema(example = "Starter")]
    description: String,
    /// Credits that were ordered, with those on top.
    #[schema(example = 200)]
    credits: i64,
    #[schema(example = "quarantined")]
    state: String,
    asked: Amount,
    /// Null while nothing came.
    paid: Option<Amount>,
    /// Stripe's payment.
    #[schema(example = "pi_1")]
    payment: Option<String>,
    #[schema(example = 0)]
    refunded_minor: i64,
    /// What disputes have withdrawn.
    #[schema(example = 0)]
    disputed_minor: i64,
    /// Whether a dispute is open.
    disputed: bool,
    /// When an administrator last decided that it is given back.
    refund_requested_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

/// A page of purchases, the newest first.
#[derive(Serialize, ToSchema)]
struct Purchases {
    items: Vec<Purchase>,
    next_cursor: Option<Uuid>,
}

/// Which purchases.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PurchasesQuery {
    /// As a purchase's `state`; `quarantined` by default, where what was given back whole is left
    /// out.
    #[serde(default = "quarantined")]
    #[param(value_type = Option<String>, example = "quarantined")]
    state: Stage,
    /// As `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

fn quarantined() -> Stage {
    Stage::Quarantined
}

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// What became of them; all of them by default.
    state: Option<EventState>,
    /// As `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// Why something is done.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// For the log: 1 to 200 characters, no personal data.
    #[schema(
        min_length = 1,
        max_length = 200,
        example = "paid in another currency, agreed by mail"
    )]
    pub(super) reason: String,
}

/// What Stripe has told, and what became of it.
#[utoipa::path(get, path = "/admin/stripe/events", tag = "admin", params(EventsQuery),
    responses((status = 200, body = Events), (status = 403, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn events(
    State(app): State<App>,
    Administrator(_caller): Administrator,
    Query(EventsQuery { state, cursor, limit }): Query<EventsQuery>,
) -> Result<axum::Json<Events>> {
    let page: Page<String> = Page::new(cursor.as_deref(), limit)?;
    let items = inbox::list(&app, state, page.cursor.as_deref(), page.limit).await?;
    let next_cursor = page.next(&items, |row| row.event_id.clone());
    Ok(axum::Json(Events { items, next_cursor }))
}

/// Has an event of Stripe's worked off again, whatever became of it before.
#[utoipa::path(post, path = "/admin/stripe/events/{id}/replay", tag = "admin",
    params(("id" = String, Path)),
    responses((status = 202), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "nothing would follow from it", body = Problem)),
    security(("bearer" = [])))]
async fn replay(
    State(app): State<App>,
    Administrator(_caller): Administrator,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    inbox::replay(&app, &id).await?;
    Ok(StatusCode::ACCEPTED)
}

/// What the daily comparisons with Stripe found.
#[utoipa::path(get, path = "/admin/stripe/reports", tag = "admin", params(PageQuery),
    responses((status = 200, body = Reports), (status = 403, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn reports(
    State(app): State<App>,
    Administrator(_caller): Administrator,
    page: Page<Uuid>,
) -> Result<axum::Json<Reports>> {
    let items = reconcile::list(&app, page.cursor, page.limit).await?;
    let next_cursor = page.next(&items, |row| row.report_id);
    Ok(axum::Json(Reports { items, next_cursor }))
}

/// Compares payments and subscriptions with Stripe now; a report says what was found.
#[utoipa::path(post, path = "/admin/stripe/reconcile", tag = "admin",
    responses((status = 202), (status = 403, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn reconcile(
    State(app): State<App>,
    Administrator(_caller): Administrator,
) -> Result<StatusCode> {
    reconcile::start(&app).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Purchases of a state: those that wait for somebody, unless another is asked for.
#[utoipa::path(get, path = "/admin/purchases", tag = "admin",
    params(PurchasesQuery, ("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = Purchases), (status = 403, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn purchases(
    State(app): State<App>,
    Administrator(caller): Administrator,
    MinPosition(at_least): MinPosition,
    Query(PurchasesQuery { state, cursor, limit }): Query<PurchasesQuery>,
) -> Result<axum::Json<Purchases>> {
    let page = Page::new(cursor.as_deref(), limit)?;
    let (cursor, limit) = (page.cursor, page.limit);
    let rows = |db| async move { rows::in_stage(&db, state, cursor, limit).await };
    let rows = app.read("billing", caller.user, at_least, rows).await?;
    let next_cursor = page.next(&rows, |row| row.purchase_id);
    let items = rows.into_iter().map(Purchase::from).collect();
    Ok(axum::Json(Purchases { items, next_cursor }))
}

/// Takes what was paid for what was asked for, where they differ: the credits are granted as they
/// were ordered.
#[utoipa::path(post, path = "/admin/purchases/{id}/accept", tag = "admin", request_body = Why,
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "the same key and body do it once")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "it is not in quarantine", body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn accept(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
    key: Option<IdempotencyKey>,
    Json(why): Json<Why>,
) -> Result<Replayable<At<StatusCode>>> {
    let intent = Intent::new(&caller, &format!("purchases/{id}/accept"), key.as_ref(), &why)?;
    let (envelope, reason) = (intent.envelope(&caller, "accept"), checked_reason(why.reason)?);
    let accepted = settle::accept(&app, id.into(), envelope, reason).await?;
    let answer = At(accepted.position, StatusCode::NO_CONTENT);
    Ok(Replayable { answer, replayed: accepted.replayed })
}

/// Gives back what is left of a payment, soon; what became of the credits follows.
#[utoipa::path(post, path = "/admin/purchases/{id}/refund", tag = "admin", request_body = Why,
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "the same key and body do it once")),
    responses((status = 202), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "nothing was paid, or a bank decides, or it was given back", body = Problem),
        (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn refund(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
    key: Option<IdempotencyKey>,
    Json(why): Json<Why>,
) -> Result<Replayable<At<StatusCode>>> {
    let intent = Intent::new(&caller, &format!("purchases/{id}/refund"), key.as_ref(), &why)?;
    let (envelope, reason) = (intent.envelope(&caller, "refund"), checked_reason(why.reason)?);
    let asked = refunds::ask(&app, id.into(), envelope, reason).await?;
    app.wrote(caller.user, asked.position);
    let answer = At(asked.position, StatusCode::ACCEPTED);
    Ok(Replayable { answer, replayed: asked.replayed })
}

/// Stops a person's spending.
#[utoipa::path(post, path = "/admin/users/{id}/freeze", tag = "admin", request_body = Why,
    params(("id" = Uuid, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn freeze(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
    Json(Why { reason }): Json<Why>,
) -> Result<At<StatusCode>> {
    ask_wallet(&app, &caller, id, Ask::Freeze { reason: checked_reason(reason)? }).await
}

/// Lets a person spend again, whatever stopped them. What stops them by itself does so again when it
/// is looked at next.
#[utoipa::path(post, path = "/admin/users/{id}/unfreeze", tag = "admin", request_body = Why,
    params(("id" = Uuid, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn unfreeze(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
    Json(Why { reason }): Json<Why>,
) -> Result<At<StatusCode>> {
    ask_wallet(&app, &caller, id, Ask::Unfreeze { reason: checked_reason(reason)? }).await
}

async fn ask_wallet(app: &App, caller: &Caller, id: Uuid, ask: Ask) -> Result<At<StatusCode>> {
    let command = WalletCommand { now: clock::now(), ask };
    let envelope = Envelope::once(caller.metadata());
    let outcome = app.store.execute::<Wallet>(WalletId(id), envelope, command).await?;
    Ok(At(outcome.position, StatusCode::NO_CONTENT))
}

impl From<PurchaseRow> for Purchase {
    fn from(row: PurchaseRow) -> Self {
        let paid = row.paid_minor.zip(row.paid_currency);
        Self {
            id: row.purchase_id,
            user: row.user_id,
            description: row.name,
            credits: row.credits + row.bonus,
            state: row.stage,
            asked: Amount { amount_minor: row.amount_minor, currency: row.currency },
            paid: paid.map(|(amount_minor, currency)| Amount { amount_minor, currency }),
            payment: row.intent,
            refunded_minor: row.refunded_minor,
            disputed_minor: row.disputed_minor,
            disputed: row.disputed,
            refund_requested_at: row.refund_requested_at,
            created_at: row.created_at,
        }
    }
}
