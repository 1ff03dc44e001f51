//! The words of auto-recharge.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::error::RechargeError;
use crate::credits::Credits;
use crate::id::{PackId, PurchaseId};
use crate::money::{Currency, Money};
use crate::pii::Pii;
use crate::purchase::Order;

/// How long after a recharge no other follows: whatever spends faster than that is looked at by a
/// person, not paid by their card.
pub(super) const COOL_DOWN: TimeDelta = TimeDelta::minutes(1);
/// How long after each decline in a row the card is left alone; after one more it is turned off.
pub(super) const BACK_OFF: [TimeDelta; 3] =
    [TimeDelta::hours(1), TimeDelta::hours(6), TimeDelta::hours(24)];

/// What a person wants, and agrees to pay for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Which pack is bought.
    pub pack: PackId,
    /// What it cost when they agreed: it is never charged dearer.
    pub price: Money,
    /// It is bought when less than this is available.
    pub threshold: Credits,
    /// What is charged in a calendar month (UTC) at most, in the currency of the price.
    pub monthly_cap: Money,
}

/// That the person agreed, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The version of what they were told.
    pub wording: String,
    /// The address in the network, where it is known.
    pub address: Pii<Option<String>>,
}

/// What was charged in a calendar month, with what is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charged {
    /// The month's first day, in UTC.
    pub month: NaiveDate,
    /// How much.
    pub total: Money,
}

/// Why a wallet should be recharged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// What it has.
    pub available: Credits,
    /// Where the log has its last spend.
    pub spent: i64,
}

/// A recharge whose end is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// Its number: they are counted from 1.
    pub number: u32,
    /// The purchase that it pays for.
    pub purchase: PurchaseId,
    /// What is bought.
    pub order: Order,
    /// Where the log has the spend that caused it.
    pub spent: i64,
    /// Since when.
    pub at: DateTime<Utc>,
    /// Whether the bank wants to see the person: they have a link.
    pub waits_for_person: bool,
}

/// Whether a card that was declined may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finality {
    /// Later, perhaps.
    ForNow,
    /// Never: it was lost, stolen, or is gone.
    ForGood,
}

/// Why it was turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OffReason {
    /// The person wants it so.
    Asked,
    /// The card was declined for good, or too often in a row.
    Declined,
    /// The pack is sold no more.
    Retired,
    /// The pack costs more than they agreed to.
    Dearer,
}

/// Why a recharge was called off, with nothing charged in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOff {
    /// It was turned off meanwhile.
    TurnedOff,
    /// The balance is not below the threshold any more.
    Enough,
    /// The wallet is frozen or in debt: what is bought could not be spent.
    WalletStopped,
    /// The account rests, or is gone.
    AccountClosed,
    /// What was paid was not what was asked for, and was given back.
    GivenBack,
}

impl Terms {
    /// Refuses what would never be bought.
    pub(super) fn check(&self) -> Result<(), RechargeError> {
        if self.threshold.is_zero() {
            return Err(RechargeError::Threshold);
        }
        let Money { amount_minor, currency } = self.monthly_cap;
        if amount_minor < self.price.amount_minor || currency != self.price.currency {
            return Err(RechargeError::Cap);
        }
        Ok(())
    }

    /// Whether this is what they agreed to buy, for what they agreed to pay or less.
    #[must_use]
    pub fn allow(&self, order: &Order) -> bool {
        order.pack == self.pack
            && order.price.currency == self.price.currency
            && order.price.amount_minor <= self.price.amount_minor
    }
}

impl Charged {
    /// What was charged in this currency in the month of `now`, by what was charged last. A node
    /// whose clock is behind is still in the month that others have begun.
    pub(super) fn now(last: Option<Self>, currency: Currency, now: DateTime<Utc>) -> Self {
        let day = now.date_naive();
        let month = day.with_day(1).unwrap_or(day);
        last.filter(|last| last.month >= month && last.total.currency == currency)
            .unwrap_or(Self { month, total: Money { amount_minor: 0, currency } })
    }

    /// The same with this on top; none when it is too much to count.
    pub(super) fn with(self, price: Money) -> Option<Self> {
        let amount_minor = self.total.amount_minor.checked_add(price.amount_minor)?;
        Some(Self { total: Money { amount_minor, ..self.total }, ..self })
    }

    /// The same without this, which was counted before.
    pub(super) fn without(self, price: Money) -> Self {
        let amount_minor = (self.total.amount_minor - price.amount_minor).max(0);
        Self { total: Money { amount_minor, ..self.total }, ..self }
    }
}

impl OffReason {
    /// The name as the API has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Declined => "declined",
            Self::Retired => "retired",
            Self::Dearer => "dearer",
        }
    }
}

impl CallOff {
    /// The name as the API has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TurnedOff => "turned_off",
            Self::Enough => "enough",
            Self::WalletStopped => "wallet_stopped",
            Self::AccountClosed => "account_closed",
            Self::GivenBack => "given_back",
        }
    }
}
