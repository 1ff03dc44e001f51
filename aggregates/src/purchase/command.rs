//! What may be asked of a purchase.

use chrono::{DateTime, Utc};

use super::terms::{Order, Payment};
use crate::money::Reversal;

/// What may be asked of a purchase, at the time `now`.
#[derive(Clone, Debug, PartialEq)]
pub struct PurchaseCommand {
    /// The time the events will carry.
    pub now: DateTime<Utc>,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked. Webhook, return page and reconciler all ask the same.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Order it.
    Create { order: Order },
    /// Note that Stripe asks for the payment, until `expires_at`, and whether it keeps the card.
    OpenCheckout { checkout: String, expires_at: DateTime<Utc>, keeps_card: bool },
    /// Note that the payment is under way, by a method that takes days.
    AwaitPayment,
    /// Note that the payment failed.
    Fail,
    /// Note that nobody paid in time.
    Expire,
    /// Note that it was paid.
    Pay { payment: Payment },
    /// Take what was paid for what was asked for; an administrator's.
    Accept { reason: String },
    /// Give back what is left of the payment; an administrator's.
    Refund { reason: String },
    /// Note that its credits are in the wallet.
    Fulfil,
    /// Note what of the payment is reversed, as it was read when that had changed `after` times.
    SetReversal { reversal: Reversal, after: u32 },
}
