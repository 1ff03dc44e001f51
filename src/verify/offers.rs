//! Packs and plans as the oracle reads them: what they are, and as what Stripe lists them.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::purchases::Money;

/// What happened to an offer.
#[derive(Debug, Deserialize)]
pub(super) enum Fact<T> {
    Created { terms: T, at: DateTime<Utc> },
    Changed { terms: T },
    Retired {},
    Restored {},
    Listed { listing: Listing },
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct PackTerms {
    pub(super) name: String,
    pub(super) credits: i64,
    pub(super) bonus: i64,
    pub(super) price: Money,
    pub(super) lasts_days: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct PlanTerms {
    pub(super) name: String,
    pub(super) tier: String,
    pub(super) quota: i64,
    pub(super) price: Money,
    pub(super) interval: String,
    pub(super) rollover: i64,
    pub(super) trial_days: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    pub(super) product: String,
    pub(super) price: String,
    pub(super) version: i64,
    pub(super) active: bool,
}

/// An offer so far.
#[derive(Debug, Default)]
pub(super) struct Offered {
    pub(super) sequence: i64,
    made: bool,
}

impl Offered {
    /// Enters a fact; the rule that it breaks, where it breaks one.
    pub(super) fn enter<T>(&mut self, fact: &Fact<T>) -> Option<&'static str> {
        let makes = matches!(fact, Fact::Created { .. });
        if makes == self.made {
            return Some("an offer is made first, and once");
        }
        self.made = true;
        None
    }
}

impl<T> Fact<T> {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "Created",
            Self::Changed { .. } => "Changed",
            Self::Retired {} => "Retired",
            Self::Restored {} => "Restored",
            Self::Listed { .. } => "Listed",
        }
    }
}
