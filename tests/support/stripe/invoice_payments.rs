//! Invoice payments: which intent pays which invoice, and what follows from how it goes.

use serde_json::{Value, json};

use super::StripeDouble;
use super::failure::{Failure, Outcome};
use super::form::Form;
use super::lists::{page, wants};
use super::moods::Mood;
use super::payments::{Bill, intend, settle};
use super::world::{LIVEMODE, World, number, text};
use super::{cards, dunning, invoices, subscriptions};

/// The intent that will pay an open invoice.
pub fn prepare(world: &mut World, invoice: &str) {
    let object = world.the(invoice);
    let bill = Bill {
        customer: object["customer"].clone(),
        method: None,
        amount: number(&object["amount_due"]),
        currency: text(&object["currency"]).to_owned(),
        metadata: json!({}),
        description: "Subscription".into(),
        setup_future_usage: "off_session".into(),
    };
    let intent = intend(world, &bill);
    let id = world.id("inpay");
    let payment = json!({
        "id": id, "object": "invoice_payment", "amount_paid": null,
        "amount_requested": bill.amount, "created": world.now, "currency": bill.currency,
        "invoice": invoice, "is_default": true, "livemode": LIVEMODE,
        "payment": { "type": "payment_intent", "payment_intent": intent }, "status": "open",
        "status_transitions": { "canceled_at": null, "paid_at": null },
    });
    world.hide(invoice, "payment", id.into());
    world.add(None, payment);
}

fn payment_of(world: &World, invoice: &str) -> Option<Value> {
    world.hidden(invoice, "payment").as_str().map(|id| world.the(id))
}

pub fn intent_of(world: &World, invoice: &str) -> Option<String> {
    Some(payment_of(world, invoice)?["payment"]["payment_intent"].as_str()?.to_owned())
}

/// Nobody will pay any more.
pub fn abandon(world: &mut World, invoice: &str) {
    let Some(payment) = payment_of(world, invoice) else { return };
    let transitions = json!({ "canceled_at": world.now, "paid_at": null });
    let patch = json!({ "status": "canceled", "status_transitions": transitions });
    world.set(text(&payment["id"]), patch);
    let intent = text(&payment["payment"]["payment_intent"]);
    let patch = json!({ "status": "canceled", "canceled_at": world.now, "next_action": null });
    world.change(intent, &["payment_intent.canceled"], patch);
}

/// Asks the bank of a card for the money of an open invoice.
pub fn collect(world: &mut World, invoice: &str, method: Option<&str>, mood: Mood) {
    let Some(intent) = intent_of(world, invoice) else { return };
    world.set(&intent, json!({ "payment_method": method }));
    settle(world, &intent, mood);
}

/// Asks the bank of the card that the subscription is paid with.
pub fn collect_by_default(world: &mut World, invoice: &str) {
    let (method, mood) = usual(world, invoice);
    collect(world, invoice, method.as_deref(), mood);
}

fn usual(world: &World, invoice: &str) -> (Option<String>, Mood) {
    let object = world.the(invoice);
    let subscription = invoices::subscription_of(&object).map(|id| world.the(id));
    let method = subscription
        .and_then(|subscription| Some(subscription["default_payment_method"].as_str()?.to_owned()))
        .or_else(|| cards::default_of(world, text(&object["customer"])));
    let mood = world.mood_of(method.as_deref());
    (method, mood)
}

/// A payment moved: the invoice that it is for follows.
pub fn hear(world: &mut World, intent: &str) {
    let mine = |payment: &&Value| payment["payment"]["payment_intent"] == *intent;
    let Some(payment) = world.all("invoice_payment").find(mine).cloned() else { return };
    let invoice = text(&payment["invoice"]).to_owned();
    if world.the(&invoice)["status"] != "open" {
        return;
    }
    match text(&world.the(intent)["status"]) {
        "succeeded" => {
            let transitions = json!({ "canceled_at": null, "paid_at": world.now });
            let patch = json!({
                "amount_paid": payment["amount_requested"], "status": "paid",
                "status_transitions": transitions,
            });
            world.change(text(&payment["id"]), &["invoice_payment.paid"], patch);
            count_attempt(world, &invoice);
            invoices::mark_paid(world, &invoice);
        }
        "requires_payment_method" => {
            count_attempt(world, &invoice);
            dunning::plan_next(world, &invoice);
            tell(world, &invoice, &["invoice.payment_failed"]);
            subscriptions::hear_failed(world, &invoice);
        }
        "requires_action" => {
            count_attempt(world, &invoice);
            dunning::plan_next(world, &invoice);
            tell(world, &invoice, &["invoice.payment_failed", "invoice.payment_action_required"]);
            subscriptions::hear_failed(world, &invoice);
        }
        "processing" => {
            world.set(&invoice, json!({ "next_payment_attempt": null }));
            subscriptions::hear_processing(world, &invoice);
        }
        _ => {}
    }
}

fn count_attempt(world: &mut World, invoice: &str) {
    let attempts = number(&world.the(invoice)["attempt_count"]) + 1;
    world.set(invoice, json!({ "attempt_count": attempts, "attempted": true }));
}

fn tell(world: &mut World, invoice: &str, events: &[&str]) {
    let object = world.the(invoice);
    for event in events {
        world.emit(event, &object, None);
    }
}

pub fn pay(world: &mut World, id: &str, form: &Form) -> Outcome {
    let invoice = world.find("invoice", id)?;
    match text(&invoice["status"]) {
        "draft" => invoices::finalize(world, id),
        "open" => {}
        status => {
            let message = format!("Invoice is already {status}.");
            return Err(Failure::coded("invoice_payment_intent_requires_action", &message));
        }
    }
    if form.flag("paid_out_of_band")?.unwrap_or(false) {
        abandon(world, id);
        invoices::mark_paid(world, id);
        return Ok(world.the(id));
    }
    let (method, mood) = match form.text("payment_method") {
        Some(method) => {
            world.find_at("payment_method", "payment_method", method)?;
            (Some(method.to_owned()), world.mood_of(Some(method)))
        }
        None => usual(world, id),
    };
    let Some(intent) = intent_of(world, id) else { return Ok(world.the(id)) };
    let mood =
        if mood == Mood::Authenticates { Mood::Declines("authentication_required") } else { mood };
    collect(world, id, method.as_deref(), mood);
    match mood {
        Mood::Declines(code) => Err(Failure::declined(code, &world.the(&intent))),
        _ => Ok(world.the(id)),
    }
}

pub fn list(world: &World, form: &Form) -> Outcome {
    let intent = form.text("payment.payment_intent");
    let fits = |payment: &&Value| {
        ["invoice", "status"].iter().all(|field| wants(form, field, &payment[field]))
            && intent.is_none_or(|intent| payment["payment"]["payment_intent"] == *intent)
    };
    page("/v1/invoice_payments", form, world.all("invoice_payment").filter(fits).cloned().collect())
}

impl StripeDouble {
    /// The person pays an open invoice on its hosted page, with another card.
    pub fn pay_invoice(&self, invoice: &str) -> Value {
        let mut world = self.world();
        if world.the(invoice)["status"] == "draft" {
            invoices::finalize(&mut world, invoice);
        }
        let card = cards::issue(&mut world);
        collect(&mut world, invoice, Some(&card), Mood::Pays);
        world.the(invoice)
    }
}
