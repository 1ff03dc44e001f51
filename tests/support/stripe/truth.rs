//! The truth, for oracles: what was paid, what was given back, and what subscriptions are.

use std::collections::HashMap;

use serde_json::Value;

use super::StripeDouble;
use super::disputes::withdrawn;
use super::invoices::subscription_of;
use super::payments::intent_of;
use super::subscription_items::period;
use super::world::{World, number, text};

/// Everything that counts, oldest first.
#[derive(Clone, Debug)]
pub struct Truth {
    pub payments: Vec<PaymentTruth>,
    pub invoices: Vec<InvoiceTruth>,
    pub subscriptions: Vec<SubscriptionTruth>,
}

/// One intent, whatever became of it.
#[derive(Clone, Debug)]
pub struct PaymentTruth {
    pub payment_intent: String,
    pub status: String,
    /// None for guests.
    pub customer: Option<String>,
    pub checkout_session: Option<String>,
    pub invoice: Option<String>,
    pub metadata: Value,
    pub currency: String,
    pub amount: i64,
    pub paid: i64,
    /// By refunds that succeeded.
    pub refunded: i64,
    /// By disputes whose funds are still withdrawn.
    pub withdrawn: i64,
}

impl PaymentTruth {
    /// How much of what was paid is not ours any more.
    pub fn reversed(&self) -> i64 {
        self.paid.min(self.refunded + self.withdrawn)
    }
}

#[derive(Clone, Debug)]
pub struct InvoiceTruth {
    pub id: String,
    pub customer: String,
    pub subscription: Option<String>,
    pub status: String,
    pub reason: String,
    pub total: i64,
    pub amount_paid: i64,
    pub created: i64,
    pub paid_at: Option<i64>,
    /// None where nothing was to be paid.
    pub payment_intent: Option<String>,
    pub lines: Vec<LineTruth>,
}

#[derive(Clone, Debug)]
pub struct LineTruth {
    pub price: String,
    pub amount: i64,
    pub proration: bool,
    pub start: i64,
    pub end: i64,
}

#[derive(Clone, Debug)]
pub struct SubscriptionTruth {
    pub id: String,
    pub customer: String,
    pub status: String,
    pub metadata: Value,
    pub price: String,
    pub period_start: i64,
    pub period_end: i64,
    pub trial_end: Option<i64>,
    pub cancel_at_period_end: bool,
    /// When it will end, or would have.
    pub cancel_at: Option<i64>,
    pub ended_at: Option<i64>,
}

impl Truth {
    /// Only what is of one customer.
    pub fn of(mut self, customer: &str) -> Self {
        self.payments.retain(|payment| payment.customer.as_deref() == Some(customer));
        self.invoices.retain(|invoice| invoice.customer == customer);
        self.subscriptions.retain(|subscription| subscription.customer == customer);
        self
    }

    /// The invoices that were paid, be it with nothing.
    pub fn paid_invoices(&self) -> impl Iterator<Item = &InvoiceTruth> {
        self.invoices.iter().filter(|invoice| invoice.status == "paid")
    }

    /// The payment of an intent.
    pub fn payment(&self, intent: &str) -> Option<&PaymentTruth> {
        self.payments.iter().find(|payment| payment.payment_intent == intent)
    }
}

impl StripeDouble {
    pub fn truth(&self) -> Truth {
        let world = self.world();
        let (sessions, bills) = (led_by(&world, "checkout.session"), led_by(&world, "invoice"));
        let payments = world.all("payment_intent").rev();
        let payments = payments.map(|intent| payment(&world, intent, &sessions, &bills));
        let invoices = world.all("invoice").rev().map(|known| invoice(&world, known));
        let subscriptions = world.all("subscription").rev().map(subscription);
        Truth {
            payments: payments.collect(),
            invoices: invoices.collect(),
            subscriptions: subscriptions.collect(),
        }
    }
}

/// What leads to each intent, of one kind.
fn led_by(world: &World, kind: &str) -> HashMap<String, String> {
    let lead =
        |object: &Value| Some((intent_of(world, text(&object["id"]))?, owned(&object["id"])));
    world.all(kind).filter_map(lead).collect()
}

fn payment(
    world: &World,
    intent: &Value,
    sessions: &HashMap<String, String>,
    bills: &HashMap<String, String>,
) -> PaymentTruth {
    let id = text(&intent["id"]);
    let refunds = world.with("refund", "payment_intent", id);
    let refunds = refunds.iter().filter(|refund| refund["status"] == "succeeded");
    let disputes = world.with("dispute", "payment_intent", id);
    PaymentTruth {
        payment_intent: id.to_owned(),
        status: owned(&intent["status"]),
        customer: intent["customer"].as_str().map(str::to_owned),
        checkout_session: sessions.get(id).cloned(),
        invoice: bills.get(id).cloned(),
        metadata: intent["metadata"].clone(),
        currency: owned(&intent["currency"]),
        amount: number(&intent["amount"]),
        paid: number(&intent["amount_received"]),
        refunded: refunds.map(|refund| number(&refund["amount"])).sum(),
        withdrawn: disputes.iter().map(withdrawn).sum(),
    }
}

fn invoice(world: &World, invoice: &Value) -> InvoiceTruth {
    let lines = invoice["lines"]["data"].as_array().into_iter().flatten();
    let line = |line: &Value| LineTruth {
        price: owned(&line["pricing"]["price_details"]["price"]),
        amount: number(&line["amount"]),
        proration: line["parent"]["subscription_item_details"]["proration"] == true,
        start: number(&line["period"]["start"]),
        end: number(&line["period"]["end"]),
    };
    InvoiceTruth {
        id: owned(&invoice["id"]),
        customer: owned(&invoice["customer"]),
        subscription: subscription_of(invoice).map(str::to_owned),
        status: owned(&invoice["status"]),
        reason: owned(&invoice["billing_reason"]),
        total: number(&invoice["total"]),
        amount_paid: number(&invoice["amount_paid"]),
        created: number(&invoice["created"]),
        paid_at: invoice["status_transitions"]["paid_at"].as_i64(),
        payment_intent: intent_of(world, text(&invoice["id"])),
        lines: lines.map(line).collect(),
    }
}

fn subscription(subscription: &Value) -> SubscriptionTruth {
    let (period_start, period_end) = period(subscription);
    SubscriptionTruth {
        id: owned(&subscription["id"]),
        customer: owned(&subscription["customer"]),
        status: owned(&subscription["status"]),
        metadata: subscription["metadata"].clone(),
        price: owned(&subscription["items"]["data"][0]["price"]["id"]),
        period_start,
        period_end,
        trial_end: subscription["trial_end"].as_i64(),
        cancel_at_period_end: subscription["cancel_at_period_end"] == true,
        cancel_at: subscription["cancel_at"].as_i64(),
        ended_at: subscription["ended_at"].as_i64(),
    }
}

fn owned(value: &Value) -> String {
    text(value).to_owned()
}
