//! The words of purchases.

use serde::{Deserialize, Serialize};

use crate::credits::Credits;
use crate::id::{PackId, UserId};
use crate::money::Money;

/// Where a purchase is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// There is none.
    #[default]
    Nothing,
    /// It was ordered.
    Created,
    /// Stripe asks for the payment.
    CheckoutOpened,
    /// The payment is under way, by a method that takes days.
    AwaitingPayment,
    /// It was paid, and nothing was granted yet.
    Paid,
    /// The credits are in the wallet.
    Fulfilled,
    /// Nobody paid in time.
    Expired,
    /// The payment failed.
    PaymentFailed,
    /// What was paid is not what was asked for: an administrator decides.
    Quarantined,
}

impl Stage {
    /// The name as the API has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Created => "created",
            Self::CheckoutOpened => "checkout_opened",
            Self::AwaitingPayment => "awaiting_payment",
            Self::Paid => "paid",
            Self::Fulfilled => "fulfilled",
            Self::Expired => "expired",
            Self::PaymentFailed => "payment_failed",
            Self::Quarantined => "quarantined",
        }
    }
}

/// What was ordered, as the pack was then. Credits come from here, never from what Stripe says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Who buys.
    pub user: UserId,
    /// Which pack.
    pub pack: PackId,
    /// Which of its terms.
    pub version: u32,
    /// What it was called.
    pub name: String,
    /// What is bought.
    pub credits: Credits,
    /// What comes on top.
    pub bonus: Credits,
    /// What it costs.
    pub price: Money,
    /// How many days the credits last; for ever when none.
    pub lasts_days: Option<u32>,
}

/// Money that came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Stripe's payment intent.
    pub intent: String,
    /// How much came.
    pub paid: Money,
}
