//! Subscriptions and invoices of Stripe's, in our words.

use aggregates::money::Money;
use aggregates::subscription::{
    Change, Invoice, InvoiceReason, InvoiceState, Line, LineKind, Period, PlanVersion, Standing,
    Status,
};
use tracing::warn;

use super::stripe;
use crate::app::App;
use crate::clients::stripe::{
    self as client, BillingReason, InvoiceStatus, SubscriptionItem, SubscriptionStatus,
};
use crate::error::{Problem, Result};

/// How a subscription stands, and all its invoices that are no drafts, the oldest first.
/// `known` is the plan that it had last.
pub(super) async fn read(
    app: &App,
    id: &str,
    known: &PlanVersion,
) -> Result<(Standing, Vec<Invoice>)> {
    let subscription = stripe(app)?.subscription(id).await?;
    let standing = standing(app, &subscription, known).await?;
    let mut invoices = vec![];
    for invoice in stripe(app)?.invoices_of_subscription(id).await? {
        invoices.extend(read_invoice(app, &invoice).await?);
    }
    invoices.sort_by_key(|invoice| (invoice.created_at, invoice.id.clone()));
    Ok((standing, invoices))
}

/// Of several things that are paid for, the one that is a plan of ours, and its plan.
pub(super) async fn item_of<'a>(
    app: &App,
    subscription: &'a client::Subscription,
) -> Result<Option<(&'a SubscriptionItem, PlanVersion)>> {
    for item in &subscription.items {
        if let Some(plan) = plan_of(app, &item.price).await? {
            return Ok(Some((item, plan)));
        }
    }
    Ok(None)
}

/// How a subscription stands, as Stripe shows it. `known` is the plan that it had last.
pub(super) async fn standing(
    app: &App,
    subscription: &client::Subscription,
    known: &PlanVersion,
) -> Result<Standing> {
    let (item, plan) = if let Some(ours) = item_of(app, subscription).await? {
        ours
    } else {
        // Somebody has made a price at Stripe: how it stands is news all the same.
        let item = subscription.items.first();
        let item = item.ok_or_else(|| Problem::failed("a subscription is for nothing"))?;
        warn!(price = item.price, "a subscription has a price for no plan of ours");
        (item, known.clone())
    };
    let period = Period { start: item.period_start, end: item.period_end };
    let at_end = subscription.cancel_at_period_end.then_some(item.period_end);
    Ok(Standing {
        status: status(&subscription.status)?,
        plan,
        period,
        ends_at: subscription.cancel_at.or(at_end),
        change: change(app, subscription.pending_update.as_ref()).await?,
    })
}

async fn change(app: &App, pending: Option<&client::PendingUpdate>) -> Result<Option<Change>> {
    let Some(pending) = pending else { return Ok(None) };
    for price in &pending.prices {
        if let Some(plan) = plan_of(app, price).await? {
            return Ok(Some(Change { plan, expires_at: pending.expires_at }));
        }
    }
    Ok(None)
}

/// The plan that a price stands for. One that was listed just now may not be known yet: what is in
/// the log is waited for.
async fn plan_of(app: &App, price: &str) -> Result<Option<PlanVersion>> {
    let known = projections::billing::plan_of_price(app.db(), price).await?;
    if known.is_some() {
        return Ok(known);
    }
    app.reached("billing", app.store.head()).await?;
    Ok(projections::billing::plan_of_price(app.db(), price).await?)
}

fn status(status: &SubscriptionStatus) -> Result<Status> {
    Ok(match status {
        SubscriptionStatus::Incomplete => Status::Incomplete,
        SubscriptionStatus::IncompleteExpired => Status::IncompleteExpired,
        SubscriptionStatus::Trialing => Status::Trialing,
        SubscriptionStatus::Active => Status::Active,
        SubscriptionStatus::PastDue => Status::PastDue,
        SubscriptionStatus::Unpaid => Status::Unpaid,
        SubscriptionStatus::Paused => Status::Paused,
        SubscriptionStatus::Canceled => Status::Canceled,
        SubscriptionStatus::Unknown(word) => {
            return Err(Problem::failed(format!("a subscription's status is {word}")));
        }
    })
}

async fn read_invoice(app: &App, invoice: &client::Invoice) -> Result<Option<Invoice>> {
    let state = match &invoice.status {
        InvoiceStatus::Draft => return Ok(None),
        InvoiceStatus::Open => InvoiceState::Open,
        InvoiceStatus::Paid => InvoiceState::Paid,
        InvoiceStatus::Uncollectible => InvoiceState::Uncollectible,
        InvoiceStatus::Void => InvoiceState::Void,
        InvoiceStatus::Unknown(word) => {
            return Err(Problem::failed(format!("an invoice's status is {word}")));
        }
    };
    let mut lines = vec![];
    for line in &invoice.lines {
        lines.extend(read_line(app, line).await?);
    }
    // What is given back of a time comes before what takes its place.
    lines.sort_by_key(|line| line.kind != LineKind::GivenBack);
    let currency = invoice.currency.parse().map_err(Problem::failed)?;
    Ok(Some(Invoice {
        id: invoice.id.clone(),
        state,
        reason: reason(invoice.billing_reason.as_ref()),
        total: Money { amount_minor: invoice.total, currency },
        paid_minor: invoice.amount_paid,
        intents: invoice.payment_intents.clone(),
        attempts: u32::try_from(invoice.attempt_count).unwrap_or_default(),
        lines,
        created_at: invoice.created,
        paid_at: (state == InvoiceState::Paid).then(|| invoice.paid_at.unwrap_or(invoice.created)),
    }))
}

fn reason(reason: Option<&BillingReason>) -> InvoiceReason {
    match reason {
        Some(BillingReason::SubscriptionCreate) => InvoiceReason::Create,
        Some(BillingReason::SubscriptionCycle) => InvoiceReason::Cycle,
        Some(BillingReason::SubscriptionUpdate) => InvoiceReason::Update,
        _ => InvoiceReason::Other,
    }
}

/// A line for a plan of ours; what an operator added by hand brings nothing.
async fn read_line(app: &App, line: &client::InvoiceLine) -> Result<Option<Line>> {
    let Some(price) = &line.price else { return Ok(None) };
    let Some(plan) = plan_of(app, price).await? else {
        warn!(price, "an invoice has a line for no plan of ours: it brings nothing");
        return Ok(None);
    };
    let client::Period { start, end } = line.period;
    let kind = match (line.proration, line.amount) {
        (true, _) if line.gives_back => LineKind::GivenBack,
        (true, _) => LineKind::Rest,
        // Plans cost something, and lines of whole periods are told before discounts.
        (false, 0) => LineKind::Trial,
        (false, _) => LineKind::Whole,
    };
    Ok(Some(Line { kind, plan, period: Period { start, end } }))
}
