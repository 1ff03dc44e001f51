//! What may be asked of a wallet. A command carries its time, its ids and its prices.

use chrono::{DateTime, Utc};

use super::terms::{By, Funding, GrantTerms, Price, Usage};
use crate::credits::Credits;
use crate::id::{ApiKeyId, DebitId, GrantId, HoldId, ReversalGroup, UserId};

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
    /// Carry what is left of these grants over, up to `most`, until `expires_at`. Each is carried
    /// once; of one whose time is over, what it lost by that.
    CarryOver { from: Vec<GrantId>, most: Credits, expires_at: DateTime<Utc>, funding: Funding },
    /// Book that a grant's time is over.
    ExpireGrant { grant: GrantId },

    /// Set credits aside.
    Authorize { hold: HoldId, spend: Spend, expires_at: DateTime<Utc> },
    /// Set more aside.
    Increment { hold: HoldId, by: By, amount: Credits },
    /// Keep it longer.
    Extend { hold: HoldId, by: By, expires_at: DateTime<Utc> },
    /// Spend what was set aside; the last capture releases the rest.
    Capture { hold: HoldId, by: By, amount: Credits, last: bool, usage: Option<Usage> },
    /// Give it back.
    Release { hold: HoldId, by: By, reason: String },
    /// Book that a hold's time is over.
    ExpireHold { hold: HoldId },
    /// Charge what an expired hold had delivered. `expired` is what the hold's `HoldExpired`
    /// event says it gave back: the most that can be charged; `key` is the hold's.
    CaptureLate {
        hold: HoldId,
        key: Option<ApiKeyId>,
        amount: Credits,
        expired: Credits,
        usage: Option<Usage>,
    },

    /// Spend in one step.
    Debit { debit: DebitId, spend: Spend },
    /// Give spent credits back. `spent` is what the debit's (or the final capture's) event says
    /// it took, by grant, in burn order.
    ReverseDebit { debit: DebitId, amount: Credits, spent: Vec<(GrantId, Credits)>, reason: String },

    /// Let `reversed_minor` of the `paid_minor` of a payment be reversed: neither more nor less.
    SetReversalTarget { group: ReversalGroup, reversed_minor: i64, paid_minor: i64 },
    /// Give up debt; an administrator's.
    WriteOffDebt { amount: Credits, reason: String },

    /// Stop spending; where it is stopped for another reason, for this one from now on.
    Freeze { reason: String },
    /// Allow spending.
    Unfreeze { reason: String },
    /// Let only what was bought, or given away, be spent: nothing that came of subscriptions.
    SuspendQuota,
    /// Let that be spent again.
    ResumeQuota,
    /// Limit what may be spent, by one key where one is named; no limit where none is told.
    SetSpendLimits { key: Option<ApiKeyId>, per_day: Option<Credits>, per_month: Option<Credits> },
}

/// What is to be spent.
#[derive(Clone, Debug, PartialEq)]
pub struct Spend {
    /// Who spends: who may end the hold or reverse the debit, and whose limits it counts against
    /// beside the wallet's.
    pub by: By,
    /// How much; more than zero.
    pub amount: Credits,
    /// What it was priced by.
    pub price: Price,
    /// What for, as the history says.
    pub reason: String,
}
