//! Why a purchase refuses.

/// Why a purchase refuses. Told to the client word for word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurchaseError {
    #[error("there is another purchase of that id")]
    Exists,
    #[error("there is no such purchase")]
    Unknown,
    #[error("another checkout was opened for this purchase")]
    CheckoutOpened,
    #[error("the purchase was paid by another payment")]
    PaidAlready,
    #[error("the purchase is not paid")]
    NotPaid,
    #[error("the purchase is not in quarantine")]
    NotQuarantined,
    #[error("a payment that is disputed is not refunded: the bank decides")]
    Disputed,
    #[error("all that was paid was given back already")]
    GivenBack,
    #[error("what is reversed was read before it changed: read it again")]
    ReversalMoved,
    #[error("what is reversed must be between 0 and what was paid")]
    ReversalOutOfRange,
}
