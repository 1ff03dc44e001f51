//! What may be asked of a subscription.

use chrono::{DateTime, Utc};

use super::terms::{Invoice, Order, Standing, Wish};
use crate::id::{GrantId, SubscriptionId};
use crate::money::Reversal;

/// What may be asked of a subscription, at the time `now`.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscriptionCommand {
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
    /// Note that Stripe asks for the payment, until `expires_at`.
    OpenCheckout { checkout: String, expires_at: DateTime<Utc> },
    /// Note that nobody finished the checkout.
    Abandon,
    /// Note how it is at Stripe, with all its invoices, as it was read when that had been noted
    /// `after` times.
    Sync { stripe: String, standing: Standing, invoices: Vec<Invoice>, after: u32 },
    /// Note that the person had another one when this one began: it brings nothing.
    MarkDuplicate,
    /// Release what is due of the quota. `id` is the subscription's own.
    Release { id: SubscriptionId },
    /// Note that these are in the wallet.
    NoteGranted { grants: Vec<GrantId> },
    /// Note what of an invoice's payment is reversed, as it was read when that had changed `after`
    /// times.
    SetReversal { invoice: String, reversal: Reversal, after: u32 },
    /// Note what its owner has done with it.
    NoteManaged { wish: Wish },
}
