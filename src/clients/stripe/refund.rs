//! Refunds: what is given back of a payment.

use chrono::{DateTime, Utc};
use serde_json::Value;
use stripe_core::refund::{CreateRefund, ListRefund};

use super::error::StripeError;
use super::fields::Fields;
use super::send::{PAGE, id};
use super::words::words;
use super::{Metadata, Stripe, written};

/// What was given back, or is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// `re_…`.
    pub id: String,
    /// In the currency's smallest unit.
    pub amount: i64,
    /// In small letters, as Stripe writes it.
    pub currency: String,
    /// Whether it has been given back: only `Succeeded` has, and even that may fail later.
    pub status: RefundStatus,
    /// Of which payment.
    pub intent: Option<String>,
    /// When it was asked for.
    pub created: DateTime<Utc>,
}

words! {
    /// Whether something has been given back.
    RefundStatus {
        /// It is under way.
        Pending = "pending",
        /// The person must do something.
        RequiresAction = "requires_action",
        /// It has.
        Succeeded = "succeeded",
        /// It cannot be.
        Failed = "failed",
        /// It is not to be any more.
        Canceled = "canceled",
    }
}

/// What is to be given back.
#[derive(Clone, Debug)]
pub struct NewRefund<'a> {
    /// Of which payment.
    pub intent: &'a str,
    /// How much, in the currency's smallest unit; None for all that is left.
    pub amount: Option<i64>,
    /// What we write on it.
    pub metadata: Metadata,
}

impl Refund {
    fn read(answer: &Value) -> Result<Self, StripeError> {
        let fields = Fields::of(answer)?;
        Ok(Self {
            id: fields.id()?,
            amount: fields.amount("amount")?,
            currency: fields.required("currency")?,
            status: fields.required("status")?,
            intent: fields.maybe_reference("payment_intent")?,
            created: fields.required("created")?,
        })
    }
}

impl Stripe {
    /// Gives something back. Never of a payment under dispute: the bank gives it back then.
    pub async fn create_refund(
        &self,
        refund: &NewRefund<'_>,
        key: &str,
    ) -> Result<Refund, StripeError> {
        let mut request = CreateRefund::new().payment_intent(id("intent", refund.intent)?);
        if let Some(metadata) = written(&refund.metadata) {
            request = request.metadata(metadata);
        }
        if let Some(amount) = refund.amount {
            request = request.amount(amount);
        }
        Refund::read(&self.write(&request, key).await?)
    }

    /// All refunds of a payment.
    pub(super) async fn refunds(&self, intent: &str) -> Result<Vec<Refund>, StripeError> {
        let page = |after: Option<String>| {
            let list = ListRefund::new().payment_intent(intent).limit(PAGE);
            match after {
                Some(after) => list.starting_after(after),
                None => list,
            }
        };
        self.all(page).await?.iter().map(Refund::read).collect()
    }
}
