//! What may be asked of auto-recharge.

use chrono::{DateTime, Utc};

use super::terms::{CallOff, Consent, Finality, Need, OffReason, Terms};
use crate::id::PurchaseId;
use crate::purchase::Order;

/// What may be asked of auto-recharge, at the time `now`.
#[derive(Clone, Debug, PartialEq)]
pub struct RechargeCommand {
    /// The time the events will carry.
    pub now: DateTime<Utc>,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked. Recharges are named by their numbers: what is told of one twice counts once.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Turn it on, or go on on other terms. Spends up to the position `after` of the log cause
    /// nothing.
    TurnOn { terms: Terms, consent: Consent, after: i64, card_since: Option<DateTime<Utc>> },
    /// Turn it off.
    TurnOff { why: OffReason },
    /// Begin a recharge.
    Trigger { number: u32, purchase: PurchaseId, order: Order, need: Need },
    /// Note that the bank wants to see the person, who has a link.
    RequireAuthentication { number: u32 },
    /// Note that it was paid, and is in the wallet.
    Succeed { number: u32 },
    /// Note that the card was declined: the bank's word for why.
    Decline { number: u32, code: String, finality: Finality },
    /// Note that it was called off before anything was charged.
    Withdraw { number: u32, why: CallOff },
}
