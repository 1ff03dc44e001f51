//! The words that a wallet's commands and events share.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::credits::Credits;
use crate::id::{ApiKeyId, GrantId, ReversalGroup};

/// What a grant is; in this order grants are spent when priority and expiry are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantKind {
    /// Given away: sign-up, referral.
    Promotional,
    /// A subscription's quota.
    Quota,
    /// Quota carried over from the last period.
    Rollover,
    /// Came with a purchase, free.
    Bonus,
    /// Given by an administrator.
    Adjustment,
    /// Restored after a reversal was undone.
    Reinstated,
    /// Bought.
    Purchased,
}

impl GrantKind {
    /// Whether it came of a subscription.
    #[must_use]
    pub fn is_of_subscriptions(self) -> bool {
        match self {
            Self::Quota | Self::Rollover => true,
            Self::Promotional
            | Self::Bonus
            | Self::Adjustment
            | Self::Reinstated
            | Self::Purchased => false,
        }
    }
}

/// Which spending comes first: 0 to 100, lower first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

/// A priority above 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a priority must be between 0 and 100")]
pub struct NotPriority;

impl Default for Priority {
    fn default() -> Self {
        Self(50)
    }
}

impl TryFrom<u8> for Priority {
    type Error = NotPriority;

    fn try_from(priority: u8) -> Result<Self, NotPriority> {
        if priority > 100 { Err(NotPriority) } else { Ok(Self(priority)) }
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

/// What paid for a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Funding {
    /// Free credits for signing up.
    Signup,
    /// A credit pack, by its purchase id.
    Purchase(uuid::Uuid),
    /// A subscription's period, by its Stripe subscription id and period start.
    SubscriptionPeriod { subscription: String, period_start: DateTime<Utc> },
    /// An administrator's decision.
    Adjustment,
    /// A reversal that was undone.
    Reinstatement,
}

/// A grant as it arrives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantTerms {
    /// The grant's id; a known id is not granted again.
    pub id: GrantId,
    /// What it is.
    pub kind: GrantKind,
    /// How many credits; more than zero.
    pub amount: Credits,
    /// When it is spent, among others.
    pub priority: Priority,
    /// When what remains becomes breakage; never, when none.
    pub expires_at: Option<DateTime<Utc>>,
    /// What paid for it.
    pub funding: Funding,
    /// What it is reversed with, when its payment is refunded or disputed.
    pub reversal_group: Option<ReversalGroup>,
}

/// Who may end a hold or reverse a debit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Saldo's own AI calls.
    Gateway,
    /// A customer's own service, through the API.
    Api,
}

/// Who spends. What a key has held is ended by that key, or in person; so no key spends beyond its
/// limit what another has held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct By {
    /// Through what.
    pub origin: Origin,
    /// By which of the person's API keys; in person, or for them, when none.
    pub key: Option<ApiKeyId>,
}

impl By {
    /// In person, through the API.
    #[must_use]
    pub fn person() -> Self {
        Self { origin: Origin::Api, key: None }
    }
}

/// What a spend was priced by. A missing or negative price is an error, never free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Price {
    /// Explicitly free.
    Free,
    /// A fixed number of credits, from this version of the price list.
    Fixed { credits: Credits, version: String },
    /// The customer's own service named the amount.
    Stated,
    /// Metered, by this version of the price list.
    Metered { version: String },
}

/// What was delivered for the credits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The model that answered.
    pub model: String,
    /// Tokens read; none when the provider did not say, which is not zero.
    pub input_tokens: Option<u64>,
    /// Tokens written; none when the provider did not say, which is not zero.
    pub output_tokens: Option<u64>,
    /// What was charged by, where it was metered: the version of the price list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<String>,
    /// Whether it was charged by our estimate of what the provider did not say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

/// A window of a spend limit; days and months are those of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpendWindow {
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
}

/// A wallet after an event, expired grants left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// What grants still hold and nobody has set aside.
    pub available: Credits,
    /// What open holds have set aside.
    pub held: Credits,
    /// What was reversed after it was spent, and not repaid.
    pub debt: Credits,
}

impl Balance {
    /// What may be spent: nothing while there is debt.
    #[must_use]
    pub fn spendable(self) -> Credits {
        if self.debt.is_zero() { self.available } else { Credits::ZERO }
    }
}

/// What an event moved in one grant, and the grant afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// The grant.
    pub grant: GrantId,
    /// What the event is named for: held, captured, spent, expired, voided, recovered, repaid,
    /// reversed. Nothing for a release.
    pub amount: Credits,
    /// Held credits that went back to the grant.
    #[serde(default, skip_serializing_if = "Credits::is_zero")]
    pub released: Credits,
    /// Held or reversed credits that became breakage, since the grant had expired.
    #[serde(default, skip_serializing_if = "Credits::is_zero")]
    pub expired: Credits,
    /// Of a recovered amount, what the grant had lost to expiry before.
    #[serde(default, skip_serializing_if = "Credits::is_zero")]
    pub from_expired: Credits,
    /// What the grant has left.
    pub remaining: Credits,
    /// What open holds have of it.
    pub held: Credits,
}

/// A hold after an event: authorised = captured + released + open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldFigures {
    /// Set aside, all in all.
    pub authorized: Credits,
    /// Spent of it.
    pub captured: Credits,
    /// Given back of it.
    pub released: Credits,
    /// When it ends by itself.
    #[serde(deserialize_with = "crate::time::read")]
    pub expires_at: DateTime<Utc>,
}
