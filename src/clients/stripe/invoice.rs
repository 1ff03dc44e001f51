//! Invoices of subscriptions: what was billed, and what paid it.

use chrono::{DateTime, Utc};
use serde_json::Value;
use stripe_billing::invoice::{
    CreatePreviewInvoice, CreatePreviewInvoiceSubscriptionDetails,
    CreatePreviewInvoiceSubscriptionDetailsItems,
    CreatePreviewInvoiceSubscriptionDetailsProrationBehavior, ListInvoice, RetrieveInvoice,
};
use stripe_billing::invoice_line_item::ListInvoiceInvoiceLineItem;

use super::error::StripeError;
use super::fields::Fields;
use super::invoice_line::InvoiceLine;
use super::send::{PAGE, id};
use super::subscription::PriceChange;
use super::words::words;
use super::{Link, Stripe};

/// An invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// `in_…`.
    pub id: String,
    /// Whose it is.
    pub customer: Option<String>,
    /// For which subscription.
    pub subscription: Option<String>,
    /// How far it is.
    pub status: InvoiceStatus,
    /// Why there is one.
    pub billing_reason: Option<BillingReason>,
    /// In small letters, as Stripe writes it.
    pub currency: String,
    /// What was paid, in the currency's smallest unit.
    pub amount_paid: i64,
    /// What was to be paid.
    pub amount_due: i64,
    /// What it comes to; below nothing where more is given back.
    pub total: i64,
    /// What it is for, all of it.
    pub lines: Vec<InvoiceLine>,
    /// The payments, `pi_…`.
    pub payment_intents: Vec<String>,
    /// Where the person sees and pays it.
    pub hosted_invoice_url: Option<Link>,
    /// The same on paper.
    pub invoice_pdf: Option<Link>,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it was paid.
    pub paid_at: Option<DateTime<Utc>>,
    /// How often payment was tried.
    pub attempt_count: i64,
    /// Whether money moves.
    pub livemode: bool,
}

words! {
    /// How far an invoice is.
    InvoiceStatus {
        /// It may still change.
        Draft = "draft",
        /// It is to be paid.
        Open = "open",
        /// It is paid.
        Paid = "paid",
        /// It was given up.
        Uncollectible = "uncollectible",
        /// It was a mistake.
        Void = "void",
    }
}

words! {
    /// Why there is an invoice.
    BillingReason {
        /// A subscription begins.
        SubscriptionCreate = "subscription_create",
        /// A period begins.
        SubscriptionCycle = "subscription_cycle",
        /// A subscription is changed.
        SubscriptionUpdate = "subscription_update",
        /// A subscription, before Stripe said more.
        Subscription = "subscription",
        /// So much was used.
        SubscriptionThreshold = "subscription_threshold",
        /// Somebody wrote one.
        Manual = "manual",
        /// There is none yet: a preview.
        Upcoming = "upcoming",
    }
}

/// What an invoice would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// In small letters, as Stripe writes it.
    pub currency: String,
    /// What it would come to; below nothing where more is given back.
    pub total: i64,
    /// What would be to pay at once.
    pub amount_due: i64,
    /// What for; of many lines, the first ones.
    pub lines: Vec<InvoiceLine>,
}

impl Invoice {
    fn read(answer: &Value, lines: Vec<InvoiceLine>) -> Result<Self, StripeError> {
        let fields = Fields::of(answer)?;
        let paid_at = fields.maybe_object("status_transitions")?;
        let paid_at = paid_at.map(|times| times.optional("paid_at")).transpose()?.flatten();
        Ok(Self {
            id: fields.id()?,
            customer: fields.maybe_reference("customer")?,
            subscription: subscription_of(&fields)?,
            status: fields.required("status")?,
            billing_reason: fields.optional("billing_reason")?,
            currency: fields.required("currency")?,
            amount_paid: fields.amount("amount_paid")?,
            amount_due: fields.amount("amount_due")?,
            total: fields.required("total")?,
            lines,
            payment_intents: payments_of(&fields)?,
            hosted_invoice_url: fields.optional("hosted_invoice_url")?,
            invoice_pdf: fields.optional("invoice_pdf")?,
            created: fields.required("created")?,
            paid_at,
            attempt_count: fields.required("attempt_count")?,
            livemode: fields.required("livemode")?,
        })
    }
}

/// Since 2025-03-31 among the details of the parent, before by itself.
fn subscription_of(invoice: &Fields<'_>) -> Result<Option<String>, StripeError> {
    let parent = invoice.maybe_object("parent")?;
    let details = parent.map(|parent| parent.maybe_object("subscription_details")).transpose()?;
    match details.flatten() {
        Some(details) => details.maybe_reference("subscription"),
        None => invoice.maybe_reference("subscription"),
    }
}

/// Since 2025-03-31 in a list, before one by itself.
fn payments_of(invoice: &Fields<'_>) -> Result<Vec<String>, StripeError> {
    if invoice.maybe_object("payments")?.is_none() {
        return Ok(invoice.maybe_reference("payment_intent")?.into_iter().collect());
    }
    let mut intents = Vec::new();
    for payment in invoice.whole_list("payments")? {
        // What was paid outside of Stripe has none.
        intents.extend(payment.object("payment")?.maybe_reference("payment_intent")?);
    }
    Ok(intents)
}

impl Preview {
    fn read(answer: &Value) -> Result<Self, StripeError> {
        let fields = Fields::of(answer)?;
        let lines = fields.object("lines")?.array("data")?;
        Ok(Self {
            currency: fields.required("currency")?,
            total: fields.required("total")?,
            amount_due: fields.amount("amount_due")?,
            lines: lines.iter().map(InvoiceLine::read).collect::<Result<_, _>>()?,
        })
    }
}

impl Stripe {
    /// An invoice as it is now.
    pub async fn invoice(&self, invoice: &str) -> Result<Invoice, StripeError> {
        let request = RetrieveInvoice::new(id("invoice", invoice)?);
        let answer = self.read(&request.expand(vec!["payments".to_owned()])).await?;
        self.whole_invoice(&answer).await
    }

    /// All invoices of a subscription, the newest first.
    pub async fn invoices_of_subscription(
        &self,
        subscription: &str,
    ) -> Result<Vec<Invoice>, StripeError> {
        let list = ListInvoice::new().subscription(id("subscription", subscription)?);
        self.invoices(&list).await
    }

    /// Invoices of a customer, the newest first: so many from behind one of them, and which one the next
    /// page begins behind, where there is one.
    pub async fn invoices_of_customer(
        &self,
        customer: &str,
        after: Option<&str>,
        limit: i64,
    ) -> Result<(Vec<Invoice>, Option<String>), StripeError> {
        let list = ListInvoice::new().customer(id("customer", customer)?).limit(limit.min(PAGE));
        let list = list.expand(vec!["data.payments".to_owned()]);
        let (answers, next) = match after {
            Some(after) => self.page(&list.starting_after(id("invoice", after)?)).await?,
            None => self.page(&list).await?,
        };
        let mut invoices = Vec::new();
        for answer in answers {
            invoices.push(self.whole_invoice(&answer).await?);
        }
        Ok((invoices, next))
    }

    /// What `change_price_now` would invoice at once.
    pub async fn preview_price_now(
        &self,
        change: &PriceChange<'_>,
    ) -> Result<Preview, StripeError> {
        let mut item = CreatePreviewInvoiceSubscriptionDetailsItems::new();
        item.id = Some(id("item", change.item)?.to_owned());
        item.price = Some(id("price", change.price)?.to_owned());
        let mut details = CreatePreviewInvoiceSubscriptionDetails::new();
        details.items = Some(vec![item]);
        details.proration_behavior =
            Some(CreatePreviewInvoiceSubscriptionDetailsProrationBehavior::AlwaysInvoice);
        details.proration_date = change.at.map(|at| at.timestamp());
        let request = CreatePreviewInvoice::new()
            .subscription(id("subscription", change.subscription)?)
            .subscription_details(details);
        // It is a POST that changes nothing: it may be tried again without a key.
        Preview::read(&self.read(&request).await?)
    }

    async fn invoices(&self, list: &ListInvoice) -> Result<Vec<Invoice>, StripeError> {
        let page = |after: Option<String>| {
            let list = list.clone().limit(PAGE).expand(vec!["data.payments".to_owned()]);
            match after {
                Some(after) => list.starting_after(after),
                None => list,
            }
        };
        let mut invoices = Vec::new();
        for answer in self.all(page).await? {
            invoices.push(self.whole_invoice(&answer).await?);
        }
        Ok(invoices)
    }

    /// An invoice with all its lines: it comes with the first ten.
    async fn whole_invoice(&self, answer: &Value) -> Result<Invoice, StripeError> {
        let fields = Fields::of(answer)?;
        let lines = fields.object("lines")?;
        if lines.optional("has_more")? != Some(true) {
            let lines = lines.array("data")?;
            let lines = lines.iter().map(InvoiceLine::read).collect::<Result<_, _>>()?;
            return Invoice::read(answer, lines);
        }
        let invoice = fields.id()?;
        let invoice = id("invoice", &invoice)?;
        let page = |after: Option<String>| {
            let list = ListInvoiceInvoiceLineItem::new(invoice).limit(PAGE);
            match after {
                Some(after) => list.starting_after(after),
                None => list,
            }
        };
        let lines = self.all(page).await?;
        let lines = lines.iter().map(|line| InvoiceLine::read(&Fields::of(line)?));
        Invoice::read(answer, lines.collect::<Result<_, _>>()?)
    }
}
