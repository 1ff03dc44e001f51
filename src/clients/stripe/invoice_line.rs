//! A line of an invoice: what was billed for which time.

use chrono::{DateTime, Utc};

use super::error::StripeError;
use super::fields::Fields;

/// A line of an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceLine {
    /// What costs it. None for what an operator added by hand.
    pub price: Option<String>,
    /// In the currency's smallest unit; below nothing where something is given back.
    pub amount: i64,
    /// For which time.
    pub period: Period,
    /// Whether it is a part of a period, after a change.
    pub proration: bool,
}

/// A time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Since when.
    pub start: DateTime<Utc>,
    /// Until when, without that moment.
    pub end: DateTime<Utc>,
}

impl InvoiceLine {
    pub(super) fn read(line: &Fields<'_>) -> Result<Self, StripeError> {
        let price = price_of(line)?;
        let period = line.object("period")?;
        let proration = match proration_of(line)? {
            Some(proration) => proration,
            None if price.is_none() => false,
            // A part of a period must not pass for a whole one.
            None => return Err(line.wrong("proration")),
        };
        Ok(Self {
            price,
            amount: line.required("amount")?,
            period: Period { start: period.required("start")?, end: period.required("end")? },
            proration,
        })
    }
}

/// Since 2025-03-31 among the details of the pricing, before by itself, and before that a plan.
fn price_of(line: &Fields<'_>) -> Result<Option<String>, StripeError> {
    let pricing = line.maybe_object("pricing")?;
    let details = pricing.map(|pricing| pricing.maybe_object("price_details")).transpose()?;
    if let Some(details) = details.flatten() {
        return details.maybe_reference("price");
    }
    match line.maybe_reference("price")? {
        Some(price) => Ok(Some(price)),
        None => line.maybe_reference("plan"),
    }
}

/// Since 2025-03-31 among the details of the parent, of which there are two kinds; before by itself.
fn proration_of(line: &Fields<'_>) -> Result<Option<bool>, StripeError> {
    if let Some(parent) = line.maybe_object("parent")? {
        for kind in ["subscription_item_details", "invoice_item_details"] {
            if let Some(details) = parent.maybe_object(kind)? {
                return details.required("proration").map(Some);
            }
        }
    }
    line.optional("proration")
}
