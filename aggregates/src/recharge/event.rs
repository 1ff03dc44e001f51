//! What happened to auto-recharge. Events are for ever: see `tests/wire.rs` before changing one.

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::terms::{CallOff, Charged, Consent, OffReason, Terms};
use crate::id::PurchaseId;
use crate::purchase::Order;

/// What happened to auto-recharge. `at` is the time the command carried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RechargeEvent {
    /// It was turned on, or goes on on other terms.
    TurnedOn {
        terms: Terms,
        consent: Consent,
        after: i64,
        /// How often in a row the card was declined before, where it has not paid since.
        #[serde(default, skip_serializing_if = "is_none_of")]
        declines: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ready_at: Option<DateTime<Utc>>,
        at: DateTime<Utc>,
    },
    /// A recharge began; `charged` has its price in it.
    Triggered {
        number: u32,
        purchase: PurchaseId,
        order: Order,
        spent: i64,
        charged: Charged,
        at: DateTime<Utc>,
    },
    /// The bank wants to see the person.
    AuthenticationRequired { number: u32, at: DateTime<Utc> },
    /// It was paid, and is in the wallet.
    Succeeded { number: u32, ready_at: DateTime<Utc>, at: DateTime<Utc> },
    /// The card was declined, so often in a row. None is to follow where there is no `ready_at`.
    Declined {
        number: u32,
        code: String,
        declines: u32,
        ready_at: Option<DateTime<Utc>>,
        charged: Charged,
        at: DateTime<Utc>,
    },
    /// It was called off, with nothing charged in the end.
    Withdrawn { number: u32, why: CallOff, charged: Charged, at: DateTime<Utc> },
    /// It was turned off. What is in flight then comes to its end.
    TurnedOff { why: OffReason, at: DateTime<Utc> },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none_of(declines: &u32) -> bool {
    *declines == 0
}

impl RechargeEvent {
    /// The event's name, as the log's `event_type`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::TurnedOn { .. } => "TurnedOn",
            Self::Triggered { .. } => "Triggered",
            Self::AuthenticationRequired { .. } => "AuthenticationRequired",
            Self::Succeeded { .. } => "Succeeded",
            Self::Declined { .. } => "Declined",
            Self::Withdrawn { .. } => "Withdrawn",
            Self::TurnedOff { .. } => "TurnedOff",
        }
    }
}

impl DomainEvent for RechargeEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
