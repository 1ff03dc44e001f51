//! What happened to an offer. Events are for ever: see `tests/wire.rs` before changing one.

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::terms::{Listing, Terms};

/// What happened to an offer. `at` is the time the command carried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OfferEvent<T> {
    /// It was put on sale.
    Created { terms: T, at: DateTime<Utc> },
    /// It is sold on other terms.
    Changed { terms: T, at: DateTime<Utc> },
    /// It is sold no more.
    Retired { at: DateTime<Utc> },
    /// It is sold again.
    Restored { at: DateTime<Utc> },
    /// Stripe lists it.
    Listed { listing: Listing, at: DateTime<Utc> },
}

impl<T> OfferEvent<T> {
    /// The event's name, as the log's `event_type`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "Created",
            Self::Changed { .. } => "Changed",
            Self::Retired { .. } => "Retired",
            Self::Restored { .. } => "Restored",
            Self::Listed { .. } => "Listed",
        }
    }
}

impl<T: Terms> DomainEvent for OfferEvent<T> {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
