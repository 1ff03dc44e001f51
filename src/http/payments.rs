//! What people have paid, and what became of it.

use axum::extract::State;
use chrono::{DateTime, Utc};
use projections::billing::{self as rows, PaymentRow};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::json::Path;
use super::page::{Page, PageQuery};
use super::position::MinPosition;
use crate::accounts::limits;
use crate::app::App;
use crate::billing::documents;
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(payments))
        .routes(routes!(payment))
        .routes(routes!(invoices))
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

/// A page of invoices, the newest first.
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
    let (user, cursor, limit) = (caller.user.0, page.cursor.as_deref(), page.limit);
    let rows = |db| async move { rows::payments_of(&db, user, cursor, limit).await };
    let rows = app.read("billing", caller.user, at_least, rows).await?;
    let next_cursor = page.next(&rows, |row| row.payment_id.clone());
    let items = rows.into_iter().map(Payment::from).collect();
    Ok(axum::Json(Payments { items, next_cursor }))
}

/// One payment, with Stripe's receipt and invoice.
#[utoipa::path(get, path = "/billing/payments/{id}", tag = "billing",
    params(("id" = String, Path), ("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = PaymentShown), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn payment(
    State(app): State<App>,
    caller: Caller,
    MinPosition(at_least): MinPosition,
    Path(id): Path<String>,
) -> Result<axum::Json<PaymentShown>> {
    app.caught_up("billing", caller.user, at_least).await?;
    limits::STRIPE.count(&app, &caller.user.to_string()).await?;
    let row = rows::payment_of(app.db(), caller.user.0, &id).await?;
    let row = row.ok_or_else(Problem::not_found)?;
    let links = Links::from(documents::of(&app, &row).await?);
    Ok(axum::Json(PaymentShown { payment: row.into(), links }))
}

/// The invoices of the person's subscriptions, as Stripe has them now.
#[utoipa::path(get, path = "/billing/invoices", tag = "billing", params(PageQuery),
    responses((status = 200, body = Invoices), (status = 401, body = Problem), (status = 422, body = Problem),
        (status = 502, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn invoices(
    State(app): State<App>,
    caller: Caller,
    page: Page<String>,
) -> Result<axum::Json<Invoices>> {
    limits::STRIPE.count(&app, &caller.user.to_string()).await?;
    let (invoices, next_cursor) =
        documents::invoices(&app, caller.user, page.cursor.as_deref(), page.limit).await?;
    let items = invoices.into_iter().map(Invoice::from).collect();
    Ok(axum::Json(Invoices { items, next_cursor }))
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
