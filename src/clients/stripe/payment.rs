//! Payments: what was paid, given back and taken back.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;
use stripe_core::charge::RetrieveCharge;
use stripe_core::dispute::ListDispute;
use stripe_core::payment_intent::{
    CreatePaymentIntent, CreatePaymentIntentOffSession, ListPaymentIntent, RetrievePaymentIntent,
};
use stripe_core::refund::ListRefund;
use stripe_types::RangeQueryTs;

use super::catalogue::currency;
use super::dispute::Dispute;
use super::error::{StripeError, word};
use super::fields::Fields;
use super::refund::Refund;
use super::send::{PAGE, id};
use super::words::words;
use super::{Link, Metadata, Stripe, written};

/// A payment, with all that came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// `pi_…`.
    pub intent: String,
    /// How far it is.
    pub status: IntentStatus,
    /// Who pays.
    pub customer: Option<String>,
    /// What arrived, in the currency's smallest unit.
    pub amount_received: i64,
    /// In small letters, as Stripe writes it.
    pub currency: String,
    /// The last charge, `ch_…`.
    pub charge: Option<String>,
    /// The card, for another payment.
    pub payment_method: Option<String>,
    /// What the person has for a receipt.
    pub receipt_url: Option<Link>,
    /// What was given back.
    pub refunds: Vec<Refund>,
    /// What a bank took back, or asks about.
    pub disputes: Vec<Dispute>,
    /// What we wrote on it.
    pub metadata: Metadata,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Whether money moves.
    pub livemode: bool,
}

/// A payment by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// `pi_…`.
    pub id: String,
    /// How far it is.
    pub status: IntentStatus,
    /// Who pays.
    pub customer: Option<String>,
    /// What arrived, in the currency's smallest unit.
    pub amount_received: i64,
    /// In small letters, as Stripe writes it.
    pub currency: String,
    /// The last charge, `ch_…`.
    pub charge: Option<String>,
    /// The card.
    pub payment_method: Option<String>,
    /// Why the last attempt failed, where it did.
    pub decline: Option<Decline>,
    /// What we wrote on it.
    pub metadata: Metadata,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Whether money moves.
    pub livemode: bool,
}

/// Why a bank or Stripe said no to a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decline {
    /// Why, such as `card_declined` or `authentication_required`.
    pub code: Option<String>,
    /// Why, as the bank says, such as `insufficient_funds`.
    pub decline_code: Option<String>,
}

words! {
    /// How far a payment is.
    IntentStatus {
        /// Nobody has paid, or the card was declined.
        RequiresPaymentMethod = "requires_payment_method",
        /// It has not begun.
        RequiresConfirmation = "requires_confirmation",
        /// The person must do something, such as authenticate.
        RequiresAction = "requires_action",
        /// It is under way.
        Processing = "processing",
        /// It is reserved, not taken.
        RequiresCapture = "requires_capture",
        /// It is over without.
        Canceled = "canceled",
        /// It is paid.
        Succeeded = "succeeded",
    }
}

/// A payment without the person, who agreed to it before.
#[derive(Clone, Debug)]
pub struct NewPayment<'a> {
    /// Who pays.
    pub customer: &'a str,
    /// The card, from a checkout that kept it.
    pub payment_method: &'a str,
    /// In the currency's smallest unit.
    pub amount: i64,
    /// Three letters.
    pub currency: &'a str,
    /// What people read on the receipt.
    pub description: Option<&'a str>,
    /// What we write on it.
    pub metadata: Metadata,
}

impl Intent {
    fn read(answer: &Value) -> Result<Self, StripeError> {
        let fields = Fields::of(answer)?;
        Ok(Self {
            id: fields.id()?,
            status: fields.required("status")?,
            customer: fields.maybe_reference("customer")?,
            amount_received: fields.amount("amount_received")?,
            currency: fields.required("currency")?,
            charge: charge_of(&fields)?,
            payment_method: fields.maybe_reference("payment_method")?,
            decline: decline_of(&fields)?,
            metadata: fields.metadata()?,
            created: fields.required("created")?,
            livemode: fields.required("livemode")?,
        })
    }
}

/// The last charge: since 2022-11-15 by itself, before in a list, newest first.
fn charge_of(intent: &Fields<'_>) -> Result<Option<String>, StripeError> {
    if let Some(charge) = intent.maybe_reference("latest_charge")? {
        return Ok(Some(charge));
    }
    let Some(charges) = intent.maybe_object("charges")? else { return Ok(None) };
    charges.array("data")?.first().map(Fields::id).transpose()
}

/// What is no code is not repeated.
fn decline_of(intent: &Fields<'_>) -> Result<Option<Decline>, StripeError> {
    let Some(error) = intent.maybe_object("last_payment_error")? else { return Ok(None) };
    let code = |name| -> Result<Option<String>, StripeError> {
        Ok(error.optional::<String>(name)?.as_deref().and_then(word))
    };
    Ok(Some(Decline { code: code("code")?, decline_code: code("decline_code")? }))
}

impl Stripe {
    /// A payment as it is now, with its refunds and disputes.
    pub async fn payment(&self, intent: &str) -> Result<Payment, StripeError> {
        let request = RetrievePaymentIntent::new(id("intent", intent)?);
        let request = request.expand(vec!["latest_charge".to_owned()]);
        let answer = self.read(&request).await?;
        let read = Intent::read(&answer)?;
        let receipt_url = match Fields::of(&answer)?.expanded("latest_charge")? {
            Some(charge) => charge.optional("receipt_url")?,
            None => self.receipt(read.charge.as_deref()).await?,
        };
        Ok(Payment {
            refunds: self.refunds(intent).await?,
            disputes: self.disputes(intent).await?,
            receipt_url,
            intent: read.id,
            status: read.status,
            customer: read.customer,
            amount_received: read.amount_received,
            currency: read.currency,
            charge: read.charge,
            payment_method: read.payment_method,
            metadata: read.metadata,
            created: read.created,
            livemode: read.livemode,
        })
    }

    /// The payments that have come since a time, or that something was given back or disputed of.
    pub async fn payments_moved_since(
        &self,
        since: DateTime<Utc>,
    ) -> Result<BTreeSet<String>, StripeError> {
        let since = || RangeQueryTs::gte(since.timestamp());
        let made = |after: Option<String>| {
            let list = ListPaymentIntent::new().created(since()).limit(PAGE);
            if let Some(after) = after { list.starting_after(after) } else { list }
        };
        let refunded = |after: Option<String>| {
            let list = ListRefund::new().created(since()).limit(PAGE);
            if let Some(after) = after { list.starting_after(after) } else { list }
        };
        let disputed = |after: Option<String>| {
            let list = ListDispute::new().created(since()).limit(PAGE);
            if let Some(after) = after { list.starting_after(after) } else { list }
        };
        let paid = |intent: &Value| {
            let fields = Fields::of(intent)?;
            let status: IntentStatus = fields.required("status")?;
            (status == IntentStatus::Succeeded).then(|| fields.id()).transpose()
        };
        let of = |object: &Value| Fields::of(object)?.maybe_reference("payment_intent");
        let mut moved = self.gather(made, paid).await?;
        moved.extend(self.gather(refunded, of).await?);
        moved.extend(self.gather(disputed, of).await?);
        Ok(moved.into_iter().flatten().collect())
    }

    /// The payment that a charge belongs to, as it is now.
    pub async fn payment_of_charge(&self, charge: &str) -> Result<Payment, StripeError> {
        let answer = self.read(&RetrieveCharge::new(id("charge", charge)?)).await?;
        let intent = Fields::of(&answer)?.reference("payment_intent")?;
        self.payment(&intent).await
    }

    /// The payments of a customer that were begun since a time, the newest first: unlike Stripe's
    /// search, the list has what was begun just now.
    pub async fn payments_of(
        &self,
        customer: &str,
        since: DateTime<Utc>,
    ) -> Result<Vec<Intent>, StripeError> {
        let customer = id("customer", customer)?;
        let page = |after: Option<String>| {
            let since = RangeQueryTs::gte(since.timestamp());
            let list = ListPaymentIntent::new().customer(customer).created(since).limit(PAGE);
            match after {
                Some(after) => list.starting_after(after),
                None => list,
            }
        };
        self.all(page).await?.iter().map(Intent::read).collect()
    }

    /// Charges a card without the person. `Declined` with `authentication_required` when the bank
    /// wants to see the person all the same.
    pub async fn create_payment(
        &self,
        payment: &NewPayment<'_>,
        key: &str,
    ) -> Result<Intent, StripeError> {
        let mut request = CreatePaymentIntent::new(payment.amount, currency(payment.currency)?)
            .customer(id("customer", payment.customer)?)
            .payment_method(id("payment_method", payment.payment_method)?)
            .off_session(CreatePaymentIntentOffSession::Bool(true))
            .confirm(true);
        if let Some(metadata) = written(&payment.metadata) {
            request = request.metadata(metadata);
        }
        if let Some(description) = payment.description {
            request = request.description(description);
        }
        Intent::read(&self.write(&request, key).await?)
    }

    async fn receipt(&self, charge: Option<&str>) -> Result<Option<Link>, StripeError> {
        let Some(charge) = charge else { return Ok(None) };
        let answer = self.read(&RetrieveCharge::new(id("charge", charge)?)).await?;
        Fields::of(&answer)?.optional("receipt_url")
    }

    async fn disputes(&self, intent: &str) -> Result<Vec<Dispute>, StripeError> {
        let page = |after: Option<String>| {
            let list = ListDispute::new().payment_intent(intent).limit(PAGE);
            match after {
                Some(after) => list.starting_after(after),
                None => list,
            }
        };
        self.all(page).await?.iter().map(Dispute::read).collect()
    }
}
