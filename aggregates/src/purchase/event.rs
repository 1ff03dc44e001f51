//! What happened to a purchase. Events are for ever: see `tests/wire.rs` before changing one.

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::terms::{Order, Payment};
use crate::money::Reversal;

/// What happened to a purchase. `at` is the time the command carried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PurchaseEvent {
    /// It was ordered.
    Created { order: Order, at: DateTime<Utc> },
    /// Stripe asks for the payment.
    CheckoutOpened {
        checkout: String,
        expires_at: DateTime<Utc>,
        /// Whether the card may be charged later without the person, who was told so.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps_card: bool,
        at: DateTime<Utc>,
    },
    /// The payment is under way.
    PaymentAwaited { at: DateTime<Utc> },
    /// The payment failed.
    PaymentFailed { at: DateTime<Utc> },
    /// Nobody paid in time.
    Expired { at: DateTime<Utc> },
    /// It was paid.
    Paid { payment: Payment, at: DateTime<Utc> },
    /// What was paid is not what was asked for.
    Quarantined { payment: Payment, at: DateTime<Utc> },
    /// An administrator took what was paid for what was asked for.
    Accepted { reason: String, at: DateTime<Utc> },
    /// Its credits are in the wallet.
    Fulfilled { at: DateTime<Utc> },
    /// Another part of the payment is reversed than before.
    ReversalSet { reversal: Reversal, at: DateTime<Utc> },
    /// An administrator decided that what is left of the payment is given back.
    RefundRequested { reason: String, at: DateTime<Utc> },
}

impl PurchaseEvent {
    /// The event's name, as the log's `event_type`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "Created",
            Self::CheckoutOpened { .. } => "CheckoutOpened",
            Self::PaymentAwaited { .. } => "PaymentAwaited",
            Self::PaymentFailed { .. } => "PaymentFailed",
            Self::Expired { .. } => "Expired",
            Self::Paid { .. } => "Paid",
            Self::Quarantined { .. } => "Quarantined",
            Self::Accepted { .. } => "Accepted",
            Self::Fulfilled { .. } => "Fulfilled",
            Self::ReversalSet { .. } => "ReversalSet",
            Self::RefundRequested { .. } => "RefundRequested",
        }
    }
}

impl DomainEvent for PurchaseEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
