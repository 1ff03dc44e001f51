//! Stripe's pages about what was paid: asked for each time, since whoever has an address is in, and
//! an address is good for some time only.

use aggregates::id::UserId;
use projections::billing::PaymentRow;

use super::{customers, stripe};
use crate::app::App;
use crate::clients::stripe::{Invoice, Link};
use crate::error::Result;

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

/// All invoices of a person, the newest first; none of who is no customer yet.
pub async fn invoices(app: &App, user: UserId) -> Result<Vec<Invoice>> {
    match customers::known(app, user).await? {
        Some(customer) => Ok(stripe(app)?.invoices_of_customer(&customer).await?),
        None => Ok(vec![]),
    }
}
