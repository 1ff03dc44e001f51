//! Stripe: customers, the catalogue, checkout, payments, subscriptions, invoices, events.
//!
//! `async-stripe` writes the requests. Answers are read into types of our own, field by field, since
//! its types refuse objects that are right by Stripe's public contract. What is missing or wrong in
//! an answer is an error that names the field: nothing is assumed that credits could follow from.

mod catalogue;
mod checkout;
mod customer;
mod dispute;
mod error;
mod event;
mod fields;
mod health;
mod invoice;
mod invoice_line;
mod payment;
mod portal;
mod refund;
mod send;
mod settings;
mod subscription;
pub mod webhook;
mod words;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

pub use catalogue::{Cadence, Interval, NewPrice, NewProduct, Price, Product, ProductChanges};
pub use checkout::{Checkout, CheckoutMode, CheckoutPayment, CheckoutStatus, NewCheckout, Sells};
pub use customer::{Customer, NewCustomer};
pub use dispute::Dispute;
pub use error::StripeError;
pub use event::{EventEnvelope, EventPage, ListedEvent, Malformed};
pub use health::StripeHealth;
pub use invoice::{BillingReason, Invoice, InvoiceStatus, Preview};
pub use invoice_line::{InvoiceLine, Period};
pub use payment::{Decline, Intent, IntentStatus, NewPayment, Payment};
pub use refund::{NewRefund, Refund, RefundStatus};
pub use reqwest::Url;
pub use settings::{Settings, SettingsError, TIMEOUT};
pub use subscription::{
    PendingUpdate, PriceChange, Subscription, SubscriptionItem, SubscriptionStatus,
};

/// What we wrote on an object at Stripe.
pub type Metadata = BTreeMap<String, String>;

/// The same, as requests take it.
type Written = HashMap<String, String>;

/// None where there is nothing to write: an empty field would erase what is written.
fn written(metadata: &Metadata) -> Option<Written> {
    (!metadata.is_empty()).then(|| metadata.clone().into_iter().collect())
}

/// A page of Stripe's for one person. Who has the address is in: it does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Link(String);

/// A client of Stripe. Clones are the same client.
#[derive(Clone)]
pub struct Stripe {
    client: ::stripe::Client,
    timeout: Duration,
    live: bool,
    seen: health::Seen,
}

impl Stripe {
    /// A client. Calls nobody.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let live = settings.check()?;
        Ok(Self {
            client: settings.client()?,
            timeout: settings.timeout,
            live,
            seen: health::Seen::default(),
        })
    }

    /// How Stripe is doing, by what the last calls met.
    #[must_use]
    pub fn health(&self) -> StripeHealth {
        self.seen.now()
    }

    /// Whether money moves. Events and objects whose `livemode` differs are not ours.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }
}

impl Link {
    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Link> for String {
    fn from(link: Link) -> Self {
        link.0
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link(..)")
    }
}

impl fmt::Debug for Stripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stripe").field("live", &self.live).finish_non_exhaustive()
    }
}
