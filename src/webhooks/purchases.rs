//! What of a purchase is told.

use aggregates::event::Event;
use aggregates::money::{Money, Reversal};
use aggregates::purchase::{Purchase, PurchaseEvent};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::telling::{Logged, before};
use super::{EventType, Told};
use crate::error::Result;

/// A payment as it is told, named as the history of payments names it.
pub(super) struct Payment {
    pub(super) id: String,
    /// `pack` or `plan`.
    pub(super) kind: &'static str,
    pub(super) description: String,
    pub(super) amount: Money,
    pub(super) reversal: Reversal,
}

impl Payment {
    pub(super) fn data(&self) -> Value {
        json!({
            "id": self.id, "kind": self.kind, "description": self.description,
            "amount_minor": self.amount.amount_minor, "currency": self.amount.currency,
            "refunded_minor": self.reversal.refunded_minor,
            "disputed_minor": self.reversal.disputed_minor,
        })
    }
}

/// What another part of a payment that is reversed tells.
pub(super) fn reversed(before: Reversal, now: Reversal) -> Vec<EventType> {
    let refunded = now.refunded_minor > before.refunded_minor;
    let disputed = now.disputed && !before.disputed;
    [(refunded, EventType::PaymentRefunded), (disputed, EventType::PaymentDisputed)]
        .into_iter()
        .filter_map(|(is_so, kind)| is_so.then_some(kind))
        .collect()
}

/// What the event tells.
pub(super) async fn told(
    db: &mut PgConnection,
    logged: &Logged,
    event: PurchaseEvent,
) -> Result<Vec<Told>> {
    use PurchaseEvent as E;
    let is_told = match &event {
        E::Paid { .. } | E::Accepted { .. } | E::PaymentFailed { .. } | E::ReversalSet { .. } => {
            true
        }
        E::Created { .. }
        | E::CheckoutOpened { .. }
        | E::PaymentAwaited { .. }
        | E::Expired { .. }
        | E::Quarantined { .. }
        | E::Fulfilled { .. }
        | E::RefundRequested { .. } => false,
    };
    if !is_told {
        return Ok(vec![]);
    }
    let purchase: Purchase = before(db, logged, own).await?;
    Ok(of(&purchase, event, &logged.aggregate_id, logged.recorded_at))
}

fn own(event: Event) -> Option<PurchaseEvent> {
    if let Event::Purchase(event) = event { Some(event) } else { None }
}

/// What an event of a purchase tells that was so before.
fn of(purchase: &Purchase, event: PurchaseEvent, id: &str, at: DateTime<Utc>) -> Vec<Told> {
    use PurchaseEvent as E;
    let Some(order) = purchase.order() else { return vec![] };
    let mut amount = purchase.payment().map_or(order.price, |payment| payment.paid);
    let mut reversal = purchase.reversal();
    let kinds = match event {
        E::Paid { payment, .. } => {
            amount = payment.paid;
            vec![EventType::PaymentSucceeded]
        }
        E::Accepted { .. } => vec![EventType::PaymentSucceeded],
        E::PaymentFailed { .. } => vec![EventType::PaymentFailed],
        E::ReversalSet { reversal: now, .. } => {
            reversed(std::mem::replace(&mut reversal, now), now)
        }
        _ => vec![],
    };
    let (id, description) = (id.to_owned(), order.name.clone());
    let data = Payment { id, kind: "pack", description, amount, reversal }.data();
    let told = |kind| Told { user: order.user, kind, at, data: data.clone(), fall: None };
    kinds.into_iter().map(told).collect()
}
