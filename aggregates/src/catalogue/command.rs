//! What may be asked of an offer.

use chrono::{DateTime, Utc};

use super::terms::Listing;

/// What may be asked of an offer, at the time `now`.
#[derive(Clone, Debug, PartialEq)]
pub struct OfferCommand<T> {
    /// The time the events will carry.
    pub now: DateTime<Utc>,
    /// What is asked.
    pub ask: Ask<T>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask<T> {
    /// Put it on sale.
    Create { terms: T },
    /// Sell it on other terms; instead of those of a version, where it is named, and of no other. What was bought
    /// before stays as it was bought.
    Change { terms: T, instead_of: Option<u32> },
    /// Sell it no more.
    Retire,
    /// Sell it again.
    Restore,
    /// Note as what Stripe lists it.
    List { listing: Listing },
}
