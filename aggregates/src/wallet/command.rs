//! What may be asked of a wallet. A command carries its time, its ids and its prices.

use chrono::{DateTime, Utc};

use super::terms::{GrantTerms, Origin, Price, SpendWindow, Usage};
use crate::credits::Credits;
use crate::id::{DebitId, GrantId, HoldId, ReversalGroup, UserId};

/// What may be asked of a wallet, at the time `now`.
#[derive(Clone, Debug, PartialEq)]
pub struct WalletCommand {
    /// The time that decides what has expired.
    pub now: DateTime<Utc>,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Open the wallet.
    Open { owner: UserId },

    /// Add a bucket of credits.
    Grant { grant: GrantTerms, reason: String },
    /// Withdraw what remains of a grant, or `amount` of it; what is held stays.
    VoidGrant { grant: GrantId, amount: Option<Credits>, reason: String },
    /// Book that a grant's time is over.
    ExpireGrant { grant: GrantId },

    /// Set credits aside.
    Authorize {
        hold: HoldId,
        origin: Origin,
        amount: Credits,
        expires_at: DateTime<Utc>,
        price: Price,
        reason: String,
    },
    /// Set more aside.
    Increment { hold: HoldId, origin: Origin, amount: Credits },
    /// Keep it longer.
    Extend { hold: HoldId, origin: Origin, expires_at: DateTime<Utc> },
    /// Spend what was set aside; the last capture releases the rest.
    Capture { hold: HoldId, origin: Origin, amount: Credits, last: bool, usage: Option<Usage> },
    /// Give it back.
    Release { hold: HoldId, origin: Origin, reason: String },
    /// Book that a hold's time is over.
    ExpireHold { hold: HoldId },
    /// Charge what an expired hold had delivered. `expired` is what the hold's `HoldExpired`
    /// event says it gave back: the most that can be charged.
    CaptureLate { hold: HoldId, amount: Credits, expired: Credits, usage: Option<Usage> },

    /// Spend in one step.
    Debit { debit: DebitId, origin: Origin, amount: Credits, price: Price, reason: String },
    /// Give spent credits back. `spent` is what the debit's (or the final capture's) event says
    /// it took, by grant, in burn order.
    ReverseDebit { debit: DebitId, amount: Credits, spent: Vec<(GrantId, Credits)>, reason: String },

    /// Let `reversed_minor` of the `paid_minor` of a payment be reversed: neither more nor less.
    SetReversalTarget { group: ReversalGroup, reversed_minor: i64, paid_minor: i64 },
    /// Give up debt; an administrator's.
    WriteOffDebt { amount: Credits, reason: String },

    /// Stop spending.
    Freeze { reason: String },
    /// Allow spending.
    Unfreeze { reason: String },
    /// Limit what may be spent in a window; none lifts the limit.
    SetSpendLimit { window: SpendWindow, limit: Option<Credits> },
}
