//! What of a subscription, and of its invoices, is told.

use aggregates::event::Event;
use aggregates::id::{SubscriptionId, UserId};
use aggregates::money::Money;
use aggregates::subscription::{
    Invoice, InvoiceReason, InvoiceState, Status, Subscription, SubscriptionEvent,
};
use cqrs_es::Aggregate;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::purchases::{Payment, reversed};
use super::telling::{Logged, before};
use super::{EventType, Told};
use crate::app::App;
use crate::error::Result;

/// What the event tells.
pub(super) async fn told(
    app: &App,
    db: &mut PgConnection,
    logged: &Logged,
    event: SubscriptionEvent,
) -> Result<Vec<Told>> {
    use SubscriptionEvent as E;
    let subscription: Subscription = before(db, logged, own).await?;
    let Some(user) = subscription.order().map(|order| order.user) else { return Ok(vec![]) };
    let mut after = subscription.clone();
    after.apply(event.clone());
    let mut told = Vec::new();
    let mut tell = |kinds: Vec<EventType>, data: Value| {
        let told_of =
            |kind| Told { user, kind, at: logged.recorded_at, data: data.clone(), fall: None };
        told.extend(kinds.into_iter().map(told_of));
    };
    if let E::Invoiced { invoice, .. } = &event {
        tell(paid_or_not(&subscription, invoice), payment(&after, invoice));
    }
    if let E::ReversalSet { invoice, reversal, .. } = &event
        && let Some(known) = after.invoices().iter().find(|known| known.id == *invoice)
    {
        let kinds = reversed(subscription.reversal(invoice), *reversal);
        tell(kinds, payment(&after, known));
    }
    // One that was a mistake brings nothing, and is nobody's business but for what it cost.
    let id = SubscriptionId(logged.id()?);
    if let Some(kind) = changed(&subscription, &event)
        && !is_duplicate(app, &after, id).await?
    {
        tell(vec![kind], standing(&after, id, user));
    }
    Ok(told)
}

fn own(event: Event) -> Option<SubscriptionEvent> {
    if let Event::Subscription(event) = event { Some(*event) } else { None }
}

/// Whether it is known by now that the person had another one.
async fn is_duplicate(app: &App, after: &Subscription, id: SubscriptionId) -> Result<bool> {
    Ok(after.is_duplicate() || app.store.load::<Subscription>(id).await?.is_duplicate())
}

/// What an event tells of the subscription that was so before.
fn changed(before: &Subscription, event: &SubscriptionEvent) -> Option<EventType> {
    use SubscriptionEvent as E;
    match event {
        E::Began { .. } => Some(EventType::SubscriptionCreated),
        E::StatusChanged { status, .. } => Some(turned(before.status(), *status)),
        E::PeriodAdvanced { .. }
        | E::PlanChanged { .. }
        | E::EndScheduled { .. }
        | E::EndUnscheduled { .. }
        | E::ChangeAwaited { .. }
        | E::ChangeClosed { .. } => Some(EventType::SubscriptionUpdated),
        E::Invoiced { invoice, .. } => {
            let is_renewed = invoice.reason == InvoiceReason::Cycle && is_paid_now(before, invoice);
            is_renewed.then_some(EventType::SubscriptionRenewed)
        }
        E::Ordered { .. }
        | E::CheckoutOpened { .. }
        | E::Abandoned { .. }
        | E::Duplicated { .. }
        | E::ReversalSet { .. }
        | E::QuotaReleased { .. }
        | E::QuotaGranted { .. }
        | E::Managed { .. } => None,
    }
}

fn turned(before: Status, status: Status) -> EventType {
    match (status.is_over(), status.is_behind() && !before.is_behind()) {
        (true, _) => EventType::SubscriptionCanceled,
        (false, true) => EventType::SubscriptionPastDue,
        (false, false) => EventType::SubscriptionUpdated,
    }
}

fn known<'a>(before: &'a Subscription, invoice: &Invoice) -> Option<&'a Invoice> {
    before.invoices().iter().find(|known| known.id == invoice.id)
}

/// Whether it was not paid before, and is.
fn is_paid_now(before: &Subscription, invoice: &Invoice) -> bool {
    let was = known(before, invoice).is_some_and(|known| known.state == InvoiceState::Paid);
    invoice.state == InvoiceState::Paid && !was
}

/// What an invoice tells of its payment. One that comes to nothing is paid without any.
fn paid_or_not(before: &Subscription, invoice: &Invoice) -> Vec<EventType> {
    let tried = known(before, invoice).map_or(0, |known| known.attempts);
    if is_paid_now(before, invoice) && invoice.paid_minor > 0 {
        vec![EventType::PaymentSucceeded]
    } else if invoice.state == InvoiceState::Open && invoice.attempts > tried {
        vec![EventType::PaymentFailed]
    } else {
        vec![]
    }
}

fn payment(after: &Subscription, invoice: &Invoice) -> Value {
    let plan = invoice.brings().map(|line| line.plan.terms.name.clone());
    let ordered = || after.order().map(|order| order.plan.terms.name.clone());
    let amount_minor = match invoice.state {
        InvoiceState::Paid => invoice.paid_minor,
        InvoiceState::Open | InvoiceState::Void | InvoiceState::Uncollectible => {
            invoice.total.amount_minor
        }
    };
    Payment {
        id: invoice.id.clone(),
        kind: "plan",
        description: plan.or_else(ordered).unwrap_or_default(),
        amount: Money { amount_minor, currency: invoice.total.currency },
        reversal: after.reversal(&invoice.id),
    }
    .data()
}

fn standing(after: &Subscription, id: SubscriptionId, user: UserId) -> Value {
    let standing = after.standing();
    let plan = standing.map(|standing| &standing.plan);
    json!({
        "id": id, "user_id": user, "status": after.status().name(),
        "plan_id": plan.map(|plan| plan.plan), "plan": plan.map(|plan| &plan.terms.name),
        "period_start": standing.map(|standing| standing.period.start),
        "period_end": standing.map(|standing| standing.period.end),
        "ends_at": standing.and_then(|standing| standing.ends_at),
    })
}
