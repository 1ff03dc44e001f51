//! What happened to a subscription. Events are for ever: see `tests/wire.rs` before changing one.

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::terms::{Change, Invoice, Order, Period, PlanVersion, Standing, Status, Tranche, Wish};
use crate::id::GrantId;
use crate::money::Reversal;

/// What happened to a subscription. `at` is the time the command carried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SubscriptionEvent {
    /// It was ordered.
    Ordered { order: Order, at: DateTime<Utc> },
    /// Stripe asks for the payment.
    CheckoutOpened { checkout: String, expires_at: DateTime<Utc>, at: DateTime<Utc> },
    /// Nobody finished the checkout.
    Abandoned { at: DateTime<Utc> },
    /// Stripe has it, under this id.
    Began { stripe: String, standing: Standing, at: DateTime<Utc> },
    /// It is another way now.
    StatusChanged { status: Status, at: DateTime<Utc> },
    /// Another period runs.
    PeriodAdvanced { period: Period, at: DateTime<Utc> },
    /// Its price stands for another plan.
    PlanChanged { plan: PlanVersion, at: DateTime<Utc> },
    /// It will end.
    EndScheduled { ends_at: DateTime<Utc>, at: DateTime<Utc> },
    /// It will go on after all.
    EndUnscheduled { at: DateTime<Utc> },
    /// Another plan waits to be paid for.
    ChangeAwaited { change: Change, at: DateTime<Utc> },
    /// Nothing waits any more: it was paid, or nobody paid in time.
    ChangeClosed { at: DateTime<Utc> },
    /// The person had another one already: this one brings nothing.
    Duplicated { at: DateTime<Utc> },
    /// An invoice is there, or is another way than before.
    Invoiced { invoice: Invoice, at: DateTime<Utc> },
    /// Another part of an invoice's payment is reversed than before.
    ReversalSet { invoice: String, reversal: Reversal, at: DateTime<Utc> },
    /// What was due of the quota, and when more will be.
    QuotaReleased { tranches: Vec<Tranche>, next_at: Option<DateTime<Utc>>, at: DateTime<Utc> },
    /// These are in the wallet.
    QuotaGranted { grants: Vec<GrantId>, at: DateTime<Utc> },
    /// Its owner has done this with it at Stripe; what came of it, other events say.
    Managed { wish: Wish, at: DateTime<Utc> },
}

impl SubscriptionEvent {
    /// The event's name, as the log's `event_type`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ordered { .. } => "Ordered",
            Self::CheckoutOpened { .. } => "CheckoutOpened",
            Self::Abandoned { .. } => "Abandoned",
            Self::Began { .. } => "Began",
            Self::StatusChanged { .. } => "StatusChanged",
            Self::PeriodAdvanced { .. } => "PeriodAdvanced",
            Self::PlanChanged { .. } => "PlanChanged",
            Self::EndScheduled { .. } => "EndScheduled",
            Self::EndUnscheduled { .. } => "EndUnscheduled",
            Self::ChangeAwaited { .. } => "ChangeAwaited",
            Self::ChangeClosed { .. } => "ChangeClosed",
            Self::Duplicated { .. } => "Duplicated",
            Self::Invoiced { .. } => "Invoiced",
            Self::ReversalSet { .. } => "ReversalSet",
            Self::QuotaReleased { .. } => "QuotaReleased",
            Self::QuotaGranted { .. } => "QuotaGranted",
            Self::Managed { .. } => "Managed",
        }
    }
}

impl DomainEvent for SubscriptionEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
