//! Why a subscription refuses.

use crate::credits::NotCredits;

/// Why a subscription refuses. Told to the client word for word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    #[error("there is another subscription of that id")]
    Exists,
    #[error("there is no such subscription")]
    Unknown,
    #[error("another checkout was opened for this subscription")]
    CheckoutOpened,
    #[error("the subscription is another one at Stripe")]
    OtherAtStripe,
    #[error("the subscription has not begun")]
    NotBegun,
    #[error("how the subscription is was read before it changed: read it again")]
    Moved,
    #[error("no invoice of that id is paid")]
    NotPaid,
    #[error("what is reversed must be between 0 and what was paid")]
    ReversalOutOfRange,
    #[error("the quota is more than a number of credits can be")]
    QuotaOutOfRange,
}

impl From<NotCredits> for SubscriptionError {
    fn from(_: NotCredits) -> Self {
        Self::QuotaOutOfRange
    }
}
