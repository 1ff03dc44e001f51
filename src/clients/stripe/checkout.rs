//! Checkout: a page of Stripe's where a pack or a plan is bought.

use chrono::{DateTime, Utc};
use serde_json::Value;
use stripe_checkout::CheckoutSessionMode;
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionLineItems, CreateCheckoutSessionPaymentIntentData,
    CreateCheckoutSessionPaymentIntentDataSetupFutureUsage, CreateCheckoutSessionSubscriptionData,
    ExpireCheckoutSession, RetrieveCheckoutSession,
};

use super::error::StripeError;
use super::fields::Fields;
use super::send::id;
use super::words::words;
use super::{Link, Metadata, Stripe, written};

/// A checkout, begun or over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// `cs_…`.
    pub id: String,
    /// What it ends in.
    pub mode: CheckoutMode,
    /// How far it is.
    pub status: CheckoutStatus,
    /// Whether it is paid: `status` does not say so.
    pub payment_status: CheckoutPayment,
    /// Where the person pays, while it is open.
    pub url: Option<Link>,
    /// The payment of a pack.
    pub payment_intent: Option<String>,
    /// The subscription that it began.
    pub subscription: Option<String>,
    /// Who buys.
    pub customer: Option<String>,
    /// Our own id of what is bought.
    pub client_reference_id: Option<String>,
    /// What it costs, in the currency's smallest unit.
    pub amount_total: Option<i64>,
    /// In small letters, as Stripe writes it.
    pub currency: Option<String>,
    /// Until when it can be paid.
    pub expires_at: DateTime<Utc>,
    /// What we wrote on it.
    pub metadata: Metadata,
    /// Whether money moves.
    pub livemode: bool,
}

words! {
    /// What a checkout ends in.
    CheckoutMode {
        /// A payment: a pack.
        Payment = "payment",
        /// A subscription: a plan.
        Subscription = "subscription",
        /// A card to pay with later.
        Setup = "setup",
    }
}

words! {
    /// How far a checkout is.
    CheckoutStatus {
        /// It can be paid.
        Open = "open",
        /// It is over. The payment may still be under way.
        Complete = "complete",
        /// It was left alone for too long, or ended.
        Expired = "expired",
    }
}

words! {
    /// Whether a checkout is paid.
    CheckoutPayment {
        /// It is.
        Paid = "paid",
        /// It is not, or not yet.
        Unpaid = "unpaid",
        /// It need not be: a trial, or a price of nothing.
        NoPaymentRequired = "no_payment_required",
    }
}

/// What a checkout is made of.
#[derive(Clone, Debug)]
pub struct NewCheckout<'a> {
    /// Who buys.
    pub customer: &'a str,
    /// What for.
    pub price: &'a str,
    /// Our own id of what is bought.
    pub reference: &'a str,
    /// What we write on it, and on the payment or the subscription that follows from it: Stripe does
    /// not copy it there.
    pub metadata: Metadata,
    /// Where the person goes afterwards; Stripe puts the checkout's id for `{CHECKOUT_SESSION_ID}`.
    pub success_url: &'a str,
    /// Where the person goes who does not want to.
    pub cancel_url: &'a str,
    /// Until when it can be paid: half an hour to a day from now.
    pub expires_at: Option<DateTime<Utc>>,
    /// What is bought.
    pub sells: Sells,
}

/// What is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sells {
    /// A pack, once.
    Pack {
        /// Whether the card may be charged later without the person, who is told so.
        keeps_card: bool,
    },
    /// A plan, by subscription.
    Plan {
        /// For how many days it costs nothing.
        trial_days: Option<u32>,
    },
}

impl Checkout {
    fn read(answer: &Value) -> Result<Self, StripeError> {
        let fields = Fields::of(answer)?;
        Ok(Self {
            id: fields.id()?,
            mode: fields.required("mode")?,
            status: fields.required("status")?,
            payment_status: fields.required("payment_status")?,
            url: fields.optional("url")?,
            payment_intent: fields.maybe_reference("payment_intent")?,
            subscription: fields.maybe_reference("subscription")?,
            customer: fields.maybe_reference("customer")?,
            client_reference_id: fields.optional("client_reference_id")?,
            amount_total: fields.maybe_amount("amount_total")?,
            currency: fields.optional("currency")?,
            expires_at: fields.required("expires_at")?,
            metadata: fields.metadata()?,
            livemode: fields.required("livemode")?,
        })
    }
}

impl NewCheckout<'_> {
    fn request(&self) -> Result<CreateCheckoutSession, StripeError> {
        let mut item = CreateCheckoutSessionLineItems::new();
        item.price = Some(id("price", self.price)?.to_owned());
        item.quantity = Some(1);
        let mut request = CreateCheckoutSession::new()
            .customer(id("customer", self.customer)?)
            .line_items(vec![item])
            .client_reference_id(self.reference)
            .success_url(self.success_url)
            .cancel_url(self.cancel_url);
        if let Some(metadata) = written(&self.metadata) {
            request = request.metadata(metadata);
        }
        if let Some(expires_at) = self.expires_at {
            request = request.expires_at(expires_at.timestamp());
        }
        Ok(match self.sells {
            Sells::Pack { keeps_card } => request
                .mode(CheckoutSessionMode::Payment)
                .payment_intent_data(self.payment(keeps_card)),
            Sells::Plan { trial_days } => request
                .mode(CheckoutSessionMode::Subscription)
                .subscription_data(self.subscription(trial_days)),
        })
    }

    fn payment(&self, keeps_card: bool) -> CreateCheckoutSessionPaymentIntentData {
        let mut data = CreateCheckoutSessionPaymentIntentData::new();
        data.metadata = written(&self.metadata);
        if keeps_card {
            let usage = CreateCheckoutSessionPaymentIntentDataSetupFutureUsage::OffSession;
            data.setup_future_usage = Some(usage);
        }
        data
    }

    fn subscription(&self, trial_days: Option<u32>) -> CreateCheckoutSessionSubscriptionData {
        let mut data = CreateCheckoutSessionSubscriptionData::new();
        data.metadata = written(&self.metadata);
        data.trial_period_days = trial_days;
        data
    }
}

impl Stripe {
    /// Begins a checkout.
    pub async fn create_checkout(
        &self,
        checkout: &NewCheckout<'_>,
        key: &str,
    ) -> Result<Checkout, StripeError> {
        Checkout::read(&self.write(&checkout.request()?, key).await?)
    }

    /// A checkout as it is now.
    pub async fn checkout(&self, checkout: &str) -> Result<Checkout, StripeError> {
        let request = RetrieveCheckoutSession::new(id("checkout", checkout)?);
        Checkout::read(&self.read(&request).await?)
    }

    /// Ends a checkout that is open, so that it cannot be paid any more. Refused as `Invalid` for one
    /// that is over: read it then.
    pub async fn expire_checkout(
        &self,
        checkout: &str,
        key: &str,
    ) -> Result<Checkout, StripeError> {
        let request = ExpireCheckoutSession::new(id("checkout", checkout)?);
        Checkout::read(&self.write(&request, key).await?)
    }
}
