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
    /// Whether it takes a part of a period back. Not by the amount alone: that of a part is what is left
    /// of it after discounts, and may be nothing.
    pub gives_back: bool,
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
        let amount = line.required("amount")?;
        Ok(Self {
            gives_back: proration && gives_back(line, amount)?,
            price,
            amount,
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
    match details_of(line)? {
        Some(details) => details.required("proration").map(Some),
        None => line.optional("proration"),
    }
}

/// What a credit takes back, it names; where there is nothing to tell it by, it must not pass for what
/// was bought.
fn gives_back(line: &Fields<'_>, amount: i64) -> Result<bool, StripeError> {
    if amount != 0 {
        return Ok(amount < 0);
    }
    let details = match details_of(line)? {
        Some(details) => details.maybe_object("proration_details")?,
        None => line.maybe_object("proration_details")?,
    };
    let details = details.ok_or_else(|| line.wrong("proration_details"))?;
    Ok(details.maybe_object("credited_items")?.is_some())
}

fn details_of<'a>(line: &Fields<'a>) -> Result<Option<Fields<'a>>, StripeError> {
    let Some(parent) = line.maybe_object("parent")? else { return Ok(None) };
    for kind in ["subscription_item_details", "invoice_item_details"] {
        if let Some(details) = parent.maybe_object(kind)? {
            return Ok(Some(details));
        }
    }
    Ok(None)
}
