//! Why an offer refuses.

/// Why an offer refuses. Told to the client word for word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    #[error("there is an offer of that id")]
    Exists,
    #[error("there is no such offer")]
    Unknown,
    #[error("the offer has changed since it was read")]
    Moved,
    #[error("a name has 1 to 100 characters")]
    Name,
    #[error("a price is more than zero: what is free is granted, not sold")]
    Price,
    #[error("an offer has at least one credit, and no more than fit a number")]
    Credits,
    #[error("credits of an offer last at least a day, and no more than ten years")]
    Lasts,
}
