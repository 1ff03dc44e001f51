//! What is on sale, and buying it.

use aggregates::id::{PackId, PurchaseId};
use aggregates::purchase::{Purchase, Stage};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use projections::billing::{self as rows, PackRow, PaymentRow, PlanRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::caller::Caller;
use super::idempotency::{IdempotencyKey, Intent};
use super::json::{Json, Path};
use super::page::{Page, PageQuery};
use super::position::{At, MinPosition};
use crate::accounts::limits;
use crate::app::App;
use crate::billing::checkout::{self, Wanted};
use crate::billing::{documents, settle};
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(packs))
        .routes(routes!(plans))
        .routes(routes!(open))
        .routes(routes!(show))
        .routes(routes!(payments))
        .routes(routes!(payment))
        .routes(routes!(invoices))
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

/// What to buy.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    /// The pack's id.
    #[schema(value_type = Uuid)]
    pack: PackId,
    /// Whether the card may be charged later without you, as auto-recharge does: the page says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    keep_card: bool,
}

/// A purchase that waits for its payment.
#[derive(Serialize, ToSchema)]
struct Opened {
    /// The purchase.
    #[schema(value_type = Uuid)]
    id: PurchaseId,
    /// Stripe's page, which asks for the payment.
    #[schema(example = "https://checkout.stripe.com/c/pay/cs_test_1")]
    url: Option<String>,
    /// Until when it does.
    expires_at: DateTime<Utc>,
}

/// A purchase as it is.
#[derive(Serialize, ToSchema)]
struct Bought {
    #[schema(value_type = Uuid)]
    id: PurchaseId,
    /// `created`, `checkout_opened`, `awaiting_payment`, `paid`, `fulfilled` (the credits are in the
    /// wallet), `expired`, `payment_failed` or `quarantined` (somebody looks at it).
    #[schema(example = "fulfilled")]
    state: &'static str,
    /// Credits that were bought, with those on top.
    #[schema(example = 200)]
    credits: i64,
}

/// A payment, and what became of it.
#[derive(Serialize, ToSchema)]
struct Payment {
    /// The purchase, or Stripe's invoice.
    id: String,
    /// `pack` or `plan`.
    #[schema(example = "pack")]
    kind: String,
    /// What was bought.
    #[schema(example = "Starter")]
    description: String,
    /// What came of it for the wallet.
    #[schema(example = 200)]
    credits: i64,
    /// In the smallest unit of the currency; below nothing where more was given back.
    #[schema(example = 900)]
    amount_minor: i64,
    #[schema(example = "usd")]
    currency: String,
    /// Of a pack, as a purchase's `state`; of a plan `open`, `paid`, `void` or `uncollectible`.
    #[schema(example = "fulfilled")]
    state: String,
    #[schema(example = 0)]
    refunded_minor: i64,
    /// What disputes have withdrawn.
    #[schema(example = 0)]
    disputed_minor: i64,
    created_at: DateTime<Utc>,
    paid_at: Option<DateTime<Utc>>,
}

/// A payment, with Stripe's pages about it.
#[derive(Serialize, ToSchema)]
struct PaymentShown {
    #[serde(flatten)]
    payment: Payment,
    #[serde(flatten)]
    links: Links,
}

/// Stripe's pages about a payment. Whoever has an address is in: they are asked for each time.
#[derive(Default, Serialize, ToSchema)]
struct Links {
    /// What was paid.
    receipt_url: Option<String>,
    /// The invoice, where it is seen and paid.
    hosted_invoice_url: Option<String>,
    /// The same on paper.
    invoice_pdf: Option<String>,
}

/// An invoice of a subscription.
#[derive(Serialize, ToSchema)]
struct Invoice {
    /// Stripe's id.
    #[schema(example = "in_1")]
    id: String,
    /// `draft`, `open`, `paid`, `uncollectible` or `void`.
    #[schema(example = "paid")]
    state: String,
    /// What it comes to, in the smallest unit of the currency.
    #[schema(example = 900)]
    amount_minor: i64,
    #[schema(example = 900)]
    paid_minor: i64,
    #[schema(example = "usd")]
    currency: String,
    created_at: DateTime<Utc>,
    paid_at: Option<DateTime<Utc>>,
    #[serde(flatten)]
    links: Links,
}

/// All invoices, the newest first.
#[derive(Serialize, ToSchema)]
struct Invoices {
    items: Vec<Invoice>,
    next_cursor: Option<String>,
}

/// A page of payments.
#[derive(Serialize, ToSchema)]
struct Payments {
    items: Vec<Payment>,
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

/// Orders a pack, and opens Stripe's page for its payment.
#[utoipa::path(post, path = "/billing/checkout", tag = "billing", request_body = Order,
    params(("Idempotency-Key" = Option<String>, Header, description = "the same key and body order once")),
    responses((status = 201, body = Opened), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 409, description = "it is sold no more", body = Problem),
        (status = 502, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn open(
    State(app): State<App>,
    caller: Caller,
    key: Option<IdempotencyKey>,
    Json(body): Json<Order>,
) -> Result<At<(StatusCode, axum::Json<Opened>)>> {
    limits::CHECKOUTS.count(&app, &caller.user.to_string()).await?;
    let intent = Intent::new(&caller, "billing/checkout", key.as_ref(), &body)?;
    let metadata = intent.envelope(&caller, "checkout").metadata;
    let (user, keeps_card) = (caller.user, body.keep_card);
    let wanted = Wanted { user, pack: body.pack, keeps_card, intent: intent.id, metadata };
    let opened = checkout::open(&app, wanted).await?;
    let checkout = opened.checkout;
    let (url, expires_at) = (checkout.url.map(String::from), checkout.expires_at);
    let answer = axum::Json(Opened { id: opened.id, url, expires_at });
    Ok(At(opened.position, (StatusCode::CREATED, answer)))
}

/// A purchase as it is: the page that people return to asks this. What Stripe knows is looked at,
/// whether or not it was told already.
#[utoipa::path(get, path = "/billing/checkout/{id}", tag = "billing", params(("id" = Uuid, Path)),
    responses((status = 200, body = Bought), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PurchaseId>,
) -> Result<axum::Json<Bought>> {
    let mut purchase = mine(&app, &caller, id).await?;
    let open = matches!(purchase.stage(), Stage::CheckoutOpened | Stage::AwaitingPayment);
    if open
        && let Some(session) = purchase.checkout()
        && settle::look(&app, id.0, session).await?
    {
        purchase = mine(&app, &caller, id).await?;
    }
    if purchase.stage() == Stage::Paid {
        // Somebody else is about to; whoever is first, it is done once.
        settle::complete(&app, id).await?;
        purchase = mine(&app, &caller, id).await?;
    }
    let credits = purchase.order().map_or(0, |order| order.credits.get() + order.bonus.get());
    Ok(axum::Json(Bought { id, state: purchase.stage().name(), credits }))
}

/// 404 for a purchase of somebody else's.
async fn mine(app: &App, caller: &Caller, id: PurchaseId) -> Result<Purchase> {
    let purchase = app.store.load::<Purchase>(id).await?;
    let mine = purchase.order().is_some_and(|order| order.user == caller.user);
    if mine { Ok(purchase) } else { Err(Problem::not_found()) }
}

/// What the person has paid, or was to pay, the newest first.
#[utoipa::path(get, path = "/billing/payments", tag = "billing",
    params(PageQuery, ("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = Payments), (status = 401, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn payments(
    State(app): State<App>,
    caller: Caller,
    MinPosition(at_least): MinPosition,
    page: Page<String>,
) -> Result<axum::Json<Payments>> {
    app.caught_up("billing", caller.user, at_least).await?;
    let rows =
        rows::payments_of(app.db(), caller.user.0, page.cursor.as_deref(), page.limit).await?;
    let next_cursor = page.next(&rows, |row| row.payment_id.clone());
    let items = rows.into_iter().map(Payment::from).collect();
    Ok(axum::Json(Payments { items, next_cursor }))
}

/// One payment, with Stripe's receipt and invoice.
#[utoipa::path(get, path = "/billing/payments/{id}", tag = "billing", params(("id" = String, Path)),
    responses((status = 200, body = PaymentShown), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn payment(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<PaymentShown>> {
    app.caught_up("billing", caller.user, None).await?;
    let row = rows::payment_of(app.db(), caller.user.0, &id).await?;
    let row = row.ok_or_else(Problem::not_found)?;
    let links = Links::from(documents::of(&app, &row).await?);
    Ok(axum::Json(PaymentShown { payment: row.into(), links }))
}

/// The invoices of the person's subscriptions, as Stripe has them now.
#[utoipa::path(get, path = "/billing/invoices", tag = "billing",
    responses((status = 200, body = Invoices), (status = 401, body = Problem),
        (status = 502, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn invoices(State(app): State<App>, caller: Caller) -> Result<axum::Json<Invoices>> {
    let invoices = documents::invoices(&app, caller.user).await?;
    let items = invoices.into_iter().map(Invoice::from).collect();
    Ok(axum::Json(Invoices { items, next_cursor: None }))
}

impl From<documents::Documents> for Links {
    fn from(documents: documents::Documents) -> Self {
        let documents::Documents { receipt, hosted_invoice, invoice_pdf } = documents;
        Self {
            receipt_url: receipt.map(String::from),
            hosted_invoice_url: hosted_invoice.map(String::from),
            invoice_pdf: invoice_pdf.map(String::from),
        }
    }
}

impl From<crate::clients::stripe::Invoice> for Invoice {
    fn from(invoice: crate::clients::stripe::Invoice) -> Self {
        let links = documents::Documents {
            receipt: None,
            hosted_invoice: invoice.hosted_invoice_url,
            invoice_pdf: invoice.invoice_pdf,
        };
        Self {
            id: invoice.id,
            state: invoice.status.as_str().to_owned(),
            amount_minor: invoice.total,
            paid_minor: invoice.amount_paid,
            currency: invoice.currency,
            created_at: invoice.created,
            paid_at: invoice.paid_at,
            links: links.into(),
        }
    }
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

impl From<PaymentRow> for Payment {
    fn from(row: PaymentRow) -> Self {
        Self {
            id: row.payment_id,
            kind: row.kind,
            description: row.description,
            credits: row.credits,
            amount_minor: row.amount_minor,
            currency: row.currency,
            state: row.state,
            refunded_minor: row.refunded_minor,
            disputed_minor: row.disputed_minor,
            created_at: row.created_at,
            paid_at: row.paid_at,
        }
    }
}
