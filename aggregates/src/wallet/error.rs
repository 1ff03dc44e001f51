//! Why a wallet refuses.

use super::terms::SpendWindow;
use crate::credits::{Credits, NotCredits};
use crate::id::ApiKeyId;

/// Why a wallet refuses. Told to the client word for word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    #[error("the wallet is not open")]
    NotOpen,
    #[error("the wallet belongs to somebody else")]
    AlreadyOpen,
    #[error("the amount must be at least 1")]
    NothingAsked,
    #[error("{required} credits are required, {available} are available and {held} are held")]
    InsufficientCredits { required: Credits, available: Credits, held: Credits },
    #[error("the wallet owes {debt} credits; nothing can be spent until they are repaid")]
    InDebt { debt: Credits, required: Credits, available: Credits, held: Credits },
    #[error("the wallet is frozen: {reason}")]
    Frozen { reason: String, required: Credits, available: Credits, held: Credits },
    #[error(
        "the {}'s spend limit per {} is {limit} credits, and {spent} are spent or held",
        if key.is_some() { "API key" } else { "wallet" },
        window.name()
    )]
    OverSpendLimit {
        key: Option<ApiKeyId>,
        window: SpendWindow,
        limit: Credits,
        spent: Credits,
        required: Credits,
        available: Credits,
        held: Credits,
    },
    #[error("there is no such grant")]
    UnknownGrant,
    #[error("the grant would expire in the past")]
    ExpiryPast,
    #[error("the grant has not expired yet")]
    GrantNotDue,
    #[error("the hold does not exist or is closed")]
    HoldNotOpen,
    #[error("this is of somebody else: an API key changes its own holds and debits only")]
    OfAnother,
    #[error("the hold's id is used by another hold")]
    HoldIdTaken,
    #[error("the hold has not expired yet")]
    HoldNotDue,
    #[error("the hold must end in the future, and not before it does now")]
    HoldExpiryPast,
    #[error("{asked} credits are asked for, and the hold has {open} left")]
    MoreThanHeld { asked: Credits, open: Credits },
    #[error("the expired hold was charged already")]
    AlreadyLateCaptured,
    #[error("{asked} credits are to be reversed, and {left} of the debit are left")]
    MoreThanDebited { asked: Credits, left: Credits },
    #[error("{asked} credits are to be written off, and the debt is {debt}")]
    MoreThanOwed { asked: Credits, debt: Credits },
    #[error("a reversal must be between nothing and what was paid")]
    ReversalOutOfRange,
    #[error(transparent)]
    Amount(#[from] NotCredits),
}

/// Why credits were refused to a spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decline {
    /// `wallet`: there are too few; `debt`, `frozen`, `limit`: there may be enough, and they are not to be spent.
    pub reason: &'static str,
    /// What the spend needed.
    pub required: Credits,
    /// What the wallet had available.
    pub available: Credits,
    /// What of it was held.
    pub held: Credits,
}

impl WalletError {
    /// Why credits were refused; none where something else is wrong.
    #[must_use]
    pub fn decline(&self) -> Option<Decline> {
        let (reason, required, available, held) = match *self {
            Self::InsufficientCredits { required, available, held } => {
                ("wallet", required, available, held)
            }
            Self::InDebt { required, available, held, .. } => ("debt", required, available, held),
            Self::Frozen { required, available, held, .. } => ("frozen", required, available, held),
            Self::OverSpendLimit { required, available, held, .. } => {
                ("limit", required, available, held)
            }
            _ => return None,
        };
        Some(Decline { reason, required, available, held })
    }
}

impl SpendWindow {
    /// The window as people say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}
