//! What endpoints can listen to.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an endpoint listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum EventType {
    /// All there is, also what is to come.
    #[serde(rename = "*")]
    All,
    /// What is available fell below the endpoint's threshold.
    #[serde(rename = "wallet.low_balance")]
    LowBalance,
    /// Nothing can be spent any more.
    #[serde(rename = "wallet.depleted")]
    Depleted,
    /// What is left of a grant will be over within three days.
    #[serde(rename = "grant.expiring")]
    GrantExpiring,
    /// The time of a hold was over.
    #[serde(rename = "hold.expired")]
    HoldExpired,
    /// A pack or an invoice was paid.
    #[serde(rename = "payment.succeeded")]
    PaymentSucceeded,
    /// It could not be collected.
    #[serde(rename = "payment.failed")]
    PaymentFailed,
    /// Some of it was given back.
    #[serde(rename = "payment.refunded")]
    PaymentRefunded,
    /// A bank disputes it.
    #[serde(rename = "payment.disputed")]
    PaymentDisputed,
    /// A subscription began.
    #[serde(rename = "subscription.created")]
    SubscriptionCreated,
    /// Something of it has changed.
    #[serde(rename = "subscription.updated")]
    SubscriptionUpdated,
    /// An invoice of it is not paid in time.
    #[serde(rename = "subscription.past_due")]
    SubscriptionPastDue,
    /// It is over.
    #[serde(rename = "subscription.canceled")]
    SubscriptionCanceled,
    /// Another period of it is paid.
    #[serde(rename = "subscription.renewed")]
    SubscriptionRenewed,
}

/// What is sent by hand, whatever an endpoint listens to.
pub(super) const TEST: &str = "endpoint.test";

impl EventType {
    /// The name as the API has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "*",
            Self::LowBalance => "wallet.low_balance",
            Self::Depleted => "wallet.depleted",
            Self::GrantExpiring => "grant.expiring",
            Self::HoldExpired => "hold.expired",
            Self::PaymentSucceeded => "payment.succeeded",
            Self::PaymentFailed => "payment.failed",
            Self::PaymentRefunded => "payment.refunded",
            Self::PaymentDisputed => "payment.disputed",
            Self::SubscriptionCreated => "subscription.created",
            Self::SubscriptionUpdated => "subscription.updated",
            Self::SubscriptionPastDue => "subscription.past_due",
            Self::SubscriptionCanceled => "subscription.canceled",
            Self::SubscriptionRenewed => "subscription.renewed",
        }
    }
}
