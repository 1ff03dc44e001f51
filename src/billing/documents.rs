//! Stripe's pages about what was paid: asked for each time, since whoever has an address is in, and
//! an address is good for some time only.

use aggregates::id::UserId;
use projections::billing::PaymentRow;

use super::{customers, stripe};
use crate::app::App;
use crate::clients::stripe::{Invoice, Link, StripeError};
use crate::error::{Problem, Result};

/// Stripe's pages about a payment.
#[derive(Debug, Default)]
pub struct Documents {
    /// What was paid.
    pub receipt: Option<Link>,
    /// The invoice, where it is seen and paid.
    pub hosted_invoice: Option<Link>,
    /// The same on paper.
    pub invoice_pdf: Option<Link>,
}

/// Those of a payment.
pub async fn of(app: &App, payment: &PaymentRow) -> Result<Documents> {
    let mut documents = Documents::default();
    if let Some(intent) = &payment.intent {
        documents.receipt = stripe(app)?.payment(intent).await?.receipt_url;
    }
    if payment.kind == "plan" {
        let invoice = stripe(app)?.invoice(&payment.payment_id).await?;
        documents.hosted_invoice = invoice.hosted_invoice_url;
        documents.invoice_pdf = invoice.invoice_pdf;
    }
    Ok(documents)
}

/// A page of a person's invoices, the newest first, and what the next one begins behind; none of who is
/// no customer yet.
pub async fn invoices(
    app: &App,
    user: UserId,
    after: Option<&str>,
    limit: i64,
) -> Result<(Vec<Invoice>, Option<String>)> {
    let Some(customer) = customers::known(app, user).await? else { return Ok((vec![], None)) };
    match stripe(app)?.invoices_of_customer(&customer, after, limit).await {
        Err(StripeError::Invalid { .. } | StripeError::NotFound) if after.is_some() => {
            Err(Problem::field("cursor", "must be a next_cursor of a page"))
        }
        page => Ok(page?),
    }
}
