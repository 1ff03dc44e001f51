//! Subscriptions: how they are, and what changes them.

use ::stripe::StripeRequest;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use stripe_billing::subscription::{
    CancelSubscription, ListSubscription, ListSubscriptionStatus, RetrieveSubscription,
    UpdateSubscription, UpdateSubscriptionItems, UpdateSubscriptionPaymentBehavior,
    UpdateSubscriptionProrationBehavior,
};
use stripe_client_core::{RequestBuilder, StripeMethod};

use super::error::StripeError;
use super::fields::Fields;
use super::send::{PAGE, id};
use super::words::words;
use super::{Metadata, Stripe};

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// `sub_…`.
    pub id: String,
    /// Whose it is.
    pub customer: String,
    /// How it is.
    pub status: SubscriptionStatus,
    /// What is paid for: at least one thing.
    pub items: Vec<SubscriptionItem>,
    /// Whether it ends with the period.
    pub cancel_at_period_end: bool,
    /// When it will end, where that is known.
    pub cancel_at: Option<DateTime<Utc>>,
    /// When somebody ended it, be it for later.
    pub canceled_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Until when it costs nothing.
    pub trial_end: Option<DateTime<Utc>>,
    /// A change that waits to be paid for.
    pub pending_update: Option<PendingUpdate>,
    /// The last invoice.
    pub latest_invoice: Option<String>,
    /// What we wrote on it.
    pub metadata: Metadata,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Whether money moves.
    pub livemode: bool,
}

/// A thing that is paid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionItem {
    /// `si_…`.
    pub id: String,
    /// What it costs.
    pub price: String,
    /// Since when it is paid, or to be paid.
    pub period_start: DateTime<Utc>,
    /// Until when.
    pub period_end: DateTime<Utc>,
    /// How often it is paid for at once.
    pub quantity: i64,
}

/// A change that waits to be paid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingUpdate {
    /// When nobody waits any longer.
    pub expires_at: DateTime<Utc>,
    /// The prices there will be.
    pub prices: Vec<String>,
}

words! {
    /// How a subscription is.
    SubscriptionStatus {
        /// The first invoice is not paid, and may still be.
        Incomplete = "incomplete",
        /// It was not paid in time. For ever.
        IncompleteExpired = "incomplete_expired",
        /// It costs nothing yet.
        Trialing = "trialing",
        /// It is paid.
        Active = "active",
        /// An invoice is not paid, and is tried again.
        PastDue = "past_due",
        /// An invoice is not paid, and is tried no more.
        Unpaid = "unpaid",
        /// The trial ended without a card.
        Paused = "paused",
        /// It is over. For ever.
        Canceled = "canceled",
    }
}

/// Another price for an item.
#[derive(Clone, Copy, Debug)]
pub struct PriceChange<'a> {
    /// Of which subscription.
    pub subscription: &'a str,
    /// Of which item.
    pub item: &'a str,
    /// Which price it will have.
    pub price: &'a str,
    /// As of when the rest of the period is reckoned: that of the preview, for the same amount.
    pub at: Option<DateTime<Utc>>,
}

/// Takes back the day on which a subscription would end: an empty text, which the types do not have.
struct Endless<'a> {
    subscription: &'a str,
}

/// What is sent of it.
#[derive(Serialize)]
struct NoDay {
    cancel_at: &'static str,
}

impl StripeRequest for Endless<'_> {
    type Output = Value;

    fn build(&self) -> RequestBuilder {
        let path = format!("/subscriptions/{}", self.subscription);
        RequestBuilder::new(StripeMethod::Post, path).form(&NoDay { cancel_at: "" })
    }
}

impl Subscription {
    pub(super) fn read(answer: &Value) -> Result<Self, StripeError> {
        let fields = Fields::of(answer)?;
        let items = fields.whole_list("items")?;
        let items = items.iter().map(|item| SubscriptionItem::read(item, &fields));
        let items = items.collect::<Result<Vec<_>, _>>()?;
        if items.is_empty() {
            return Err(fields.wrong("items.data"));
        }
        let pending_update = fields.maybe_object("pending_update")?;
        Ok(Self {
            id: fields.id()?,
            customer: fields.reference("customer")?,
            status: fields.required("status")?,
            items,
            cancel_at_period_end: fields.required("cancel_at_period_end")?,
            cancel_at: fields.optional("cancel_at")?,
            canceled_at: fields.optional("canceled_at")?,
            ended_at: fields.optional("ended_at")?,
            trial_end: fields.optional("trial_end")?,
            pending_update: pending_update.map(|it| PendingUpdate::read(&it)).transpose()?,
            latest_invoice: fields.maybe_reference("latest_invoice")?,
            metadata: fields.metadata()?,
            created: fields.required("created")?,
            livemode: fields.required("livemode")?,
        })
    }
}

impl SubscriptionItem {
    fn read(item: &Fields<'_>, subscription: &Fields<'_>) -> Result<Self, StripeError> {
        // Since 2025-03-31 each item has its own period, before there was one for all.
        let period = |name: &str| match item.optional(name)? {
            Some(time) => Ok(time),
            None => subscription.optional(name)?.ok_or_else(|| item.wrong(name)),
        };
        Ok(Self {
            id: item.id()?,
            price: price_of(item)?,
            period_start: period("current_period_start")?,
            period_end: period("current_period_end")?,
            // What is reckoned by use has none.
            quantity: item.optional("quantity")?.unwrap_or(1),
        })
    }
}

impl PendingUpdate {
    fn read(fields: &Fields<'_>) -> Result<Self, StripeError> {
        // None where it is not the prices that change.
        let items = match fields.optional::<&Value>("subscription_items")? {
            Some(_) => fields.array("subscription_items")?,
            None => Vec::new(),
        };
        Ok(Self {
            expires_at: fields.required("expires_at")?,
            prices: items.iter().map(price_of).collect::<Result<_, _>>()?,
        })
    }
}

/// An item's price, which was once its plan.
fn price_of(item: &Fields<'_>) -> Result<String, StripeError> {
    match item.maybe_reference("price")? {
        Some(price) => Ok(price),
        None => item.maybe_reference("plan")?.ok_or_else(|| item.wrong("price")),
    }
}

impl PriceChange<'_> {
    fn request(&self) -> Result<UpdateSubscription, StripeError> {
        let mut item = UpdateSubscriptionItems::new();
        item.id = Some(id("item", self.item)?.to_owned());
        item.price = Some(id("price", self.price)?.to_owned());
        let request = UpdateSubscription::new(id("subscription", self.subscription)?);
        Ok(request.items(vec![item]))
    }
}

impl Stripe {
    /// A subscription as it is now.
    pub async fn subscription(&self, subscription: &str) -> Result<Subscription, StripeError> {
        let request = RetrieveSubscription::new(id("subscription", subscription)?);
        Subscription::read(&self.read(&request).await?)
    }

    /// All subscriptions of a customer, those that are over too.
    pub async fn subscriptions(&self, customer: &str) -> Result<Vec<Subscription>, StripeError> {
        let customer = id("customer", customer)?;
        let page = |after: Option<String>| {
            let list = ListSubscription::new().customer(customer).limit(PAGE);
            let list = list.status(ListSubscriptionStatus::All);
            match after {
                Some(after) => list.starting_after(after),
                None => list,
            }
        };
        self.all(page).await?.iter().map(Subscription::read).collect()
    }

    /// All subscriptions that are not over, of whomever. What cannot be understood is left out: it may be
    /// somebody else's who sells by the same account.
    pub async fn running_subscriptions(&self) -> Result<Vec<Subscription>, StripeError> {
        let page = |after: Option<String>| {
            let list = ListSubscription::new().limit(PAGE);
            if let Some(after) = after { list.starting_after(after) } else { list }
        };
        let known = self.gather(page, |answer| Ok(Subscription::read(answer).ok())).await?;
        Ok(known.into_iter().flatten().collect())
    }

    /// Another price at once: the difference for the rest of the period is invoiced now, and until it
    /// is paid the change is `pending_update`.
    pub async fn change_price_now(
        &self,
        change: &PriceChange<'_>,
        key: &str,
    ) -> Result<Subscription, StripeError> {
        let mut request = change
            .request()?
            .proration_behavior(UpdateSubscriptionProrationBehavior::AlwaysInvoice)
            .payment_behavior(UpdateSubscriptionPaymentBehavior::PendingIfIncomplete);
        if let Some(at) = change.at {
            request = request.proration_date(at.timestamp());
        }
        Subscription::read(&self.write(&request, key).await?)
    }

    /// Another price from the next invoice on, with nothing to pay or to get back until then. Stripe
    /// shows the new price at once; what was bought for the period stays what its paid invoice says.
    ///
    /// Both prices must be paid equally often, or Stripe begins a new period at once. A subscription
    /// schedule could do that too, but while there is one, nobody else can change or cancel the
    /// subscription, the portal included. Taking it back is this again, with the old price.
    pub async fn change_price_at_renewal(
        &self,
        change: &PriceChange<'_>,
        key: &str,
    ) -> Result<Subscription, StripeError> {
        let none = UpdateSubscriptionProrationBehavior::None;
        let request = change.request()?.proration_behavior(none);
        Subscription::read(&self.write(&request, key).await?)
    }

    /// Lets a subscription end with its period.
    pub async fn cancel_at_period_end(
        &self,
        subscription: &str,
        key: &str,
    ) -> Result<Subscription, StripeError> {
        let request = UpdateSubscription::new(id("subscription", subscription)?);
        let request = request.cancel_at_period_end(true);
        Subscription::read(&self.write(&request, key).await?)
    }

    /// Lets a subscription that would end on a day go on, whoever has named the day. For one that
    /// would end with its period it is not enough: Stripe has that apart, and takes one of them only.
    pub async fn resume_endless(
        &self,
        subscription: &str,
        key: &str,
    ) -> Result<Subscription, StripeError> {
        let request = Endless { subscription: id("subscription", subscription)? };
        Subscription::read(&self.write(&request, key).await?)
    }

    /// Lets a subscription that would end with its period go on.
    pub async fn resume(&self, subscription: &str, key: &str) -> Result<Subscription, StripeError> {
        let request = UpdateSubscription::new(id("subscription", subscription)?);
        let request = request.cancel_at_period_end(false);
        Subscription::read(&self.write(&request, key).await?)
    }

    /// Ends a subscription now. Nothing is given back. One that is over is answered as it is.
    pub async fn cancel_now(&self, subscription: &str) -> Result<Subscription, StripeError> {
        let request = CancelSubscription::new(id("subscription", subscription)?);
        match self.delete(&request).await {
            Ok(answer) => Subscription::read(&answer),
            // It was over before, perhaps by an attempt whose answer was lost.
            Err(StripeError::NotFound) => self.subscription(subscription).await,
            Err(error) => Err(error),
        }
    }
}
