//! The words of offers.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::OfferError;
use crate::credits::Credits;
use crate::money::Money;

const LONGEST_NAME: usize = 100;
/// Ten years.
const LONGEST_DAYS: u32 = 3653;

/// What an offer is, and what it costs.
pub trait Terms:
    Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The aggregate's type in the log.
    const TYPE: &'static str;

    /// What it is called.
    fn name(&self) -> &str;

    /// What it costs.
    fn price(&self) -> Money;

    /// Refuses what cannot be sold.
    fn check(&self) -> Result<(), OfferError>;
}

/// A pack: so many credits, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackTerms {
    /// What it is called.
    pub name: String,
    /// What is bought.
    pub credits: Credits,
    /// What comes on top, and is reversed with it.
    pub bonus: Credits,
    /// What it costs.
    pub price: Money,
    /// How many days the credits last; for ever when none.
    pub lasts_days: Option<u32>,
}

/// Which models a plan gives access to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// The small ones.
    Basic,
    /// All.
    Pro,
}

/// How often a plan is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Every month.
    Month,
    /// Every year; its quota still comes by the month.
    Year,
}

/// A plan: so many credits a month, while it is paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanTerms {
    /// What it is called.
    pub name: String,
    /// Which models it gives access to.
    pub tier: Tier,
    /// Credits a month.
    pub quota: Credits,
    /// What it costs for each interval.
    pub price: Money,
    /// How often that is paid.
    pub interval: Interval,
    /// How much of a month's unused quota is carried into the next, at most; nothing when zero.
    pub rollover: Credits,
    /// How many days it is free at first; paid from the start when zero.
    pub trial_days: u32,
}

/// An offer as Stripe lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Stripe's product.
    pub product: String,
    /// Stripe's price, which never changes: another price has another id.
    pub price: String,
    /// Which terms they stand for.
    pub version: u32,
    /// Whether it can be bought there.
    pub active: bool,
}

impl Terms for PackTerms {
    const TYPE: &'static str = "pack";

    fn name(&self) -> &str {
        &self.name
    }

    fn price(&self) -> Money {
        self.price
    }

    fn check(&self) -> Result<(), OfferError> {
        check(&self.name, self.price, self.credits)?;
        self.credits.checked_add(self.bonus).map_err(|_| OfferError::Credits)?;
        match self.lasts_days {
            Some(days) if !(1..=LONGEST_DAYS).contains(&days) => Err(OfferError::Lasts),
            _ => Ok(()),
        }
    }
}

impl Terms for PlanTerms {
    const TYPE: &'static str = "plan";

    fn name(&self) -> &str {
        &self.name
    }

    fn price(&self) -> Money {
        self.price
    }

    fn check(&self) -> Result<(), OfferError> {
        check(&self.name, self.price, self.quota)?;
        self.quota.checked_add(self.rollover).map_err(|_| OfferError::Credits)?;
        if self.trial_days > LONGEST_DAYS { Err(OfferError::Lasts) } else { Ok(()) }
    }
}

fn check(name: &str, price: Money, credits: Credits) -> Result<(), OfferError> {
    if !(1..=LONGEST_NAME).contains(&name.chars().count()) {
        return Err(OfferError::Name);
    }
    if price.amount_minor < 1 {
        return Err(OfferError::Price);
    }
    if credits.is_zero() { Err(OfferError::Credits) } else { Ok(()) }
}
