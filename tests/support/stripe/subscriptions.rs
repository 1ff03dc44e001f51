//! Subscriptions: how they begin, what invoices make of them, how they end.

use serde_json::{Value, json};

use super::failure::{Failure, Outcome};
use super::form::Form;
use super::invoices::{self, Draft, subscription_of};
use super::lists::{page, wants};
use super::moods::Mood;
use super::subscription_changes::apply_pending;
use super::subscription_items::{item, items_of, list_of, period, period_from, whole, with_period};
use super::world::{LIVEMODE, World, text, with_nulls};
use super::{cards, checkout, dunning, invoice_payments, prices};

/// What a new subscription has nothing for.
const NOT_YET: &str = "application application_fee_percent billing_cycle_anchor_config \
    billing_thresholds cancel_at canceled_at days_until_due default_source ended_at \
    latest_invoice next_pending_invoice_item_invoice on_behalf_of pause_collection \
    pending_invoice_item_interval pending_setup_intent pending_update schedule \
    test_clock transfer_data";

/// What a subscription begins with.
pub struct NewSubscription {
    pub customer: String,
    pub items: Vec<(Value, i64)>,
    pub metadata: Value,
    pub description: Value,
    pub method: Option<String>,
    pub trial_end: Option<i64>,
    /// What happens when a trial ends and there is no card.
    pub without_card: Option<String>,
    pub mood: Mood,
}

/// A change that waits for an invoice.
pub struct PendingChange {
    pub subscription: String,
    pub patch: Value,
}

pub fn create(world: &mut World, form: &Form) -> Outcome {
    let customer = form.required("customer")?.to_owned();
    world.find_at("customer", "customer", &customer)?;
    let mut items = Vec::new();
    for (place, row) in form.rows("items").iter().enumerate() {
        let param = format!("items[{place}][price]");
        let price = row.text("price").ok_or_else(|| Failure::missing(&param))?;
        items.push((prices::on_sale(world, &param, price)?, row.integer("quantity")?.unwrap_or(1)));
    }
    if items.is_empty() {
        return Err(Failure::missing("items"));
    }
    let method = form.text("default_payment_method").map(str::to_owned);
    let method = method.or_else(|| cards::default_of(world, &customer));
    let days = form.integer("trial_period_days")?.map(|days| world.now + days * 24 * 3600);
    let order = NewSubscription {
        customer,
        items,
        metadata: form.metadata(&Value::Null)?,
        description: form.or_null("description"),
        mood: world.mood_of(method.as_deref()),
        method,
        trial_end: form.integer("trial_end")?.or(days),
        without_card: form
            .text("trial_settings.end_behavior.missing_payment_method")
            .map(str::to_owned),
    };
    let id = start(world, &order);
    Ok(world.the(&id))
}

/// Begins, with its first invoice; its id.
pub fn start(world: &mut World, order: &NewSubscription) -> String {
    let id = world.id("sub");
    let anchor = order.trial_end.unwrap_or(world.now);
    let items: Vec<_> =
        order.items.iter().map(|(price, quantity)| item(world, &id, price, *quantity)).collect();
    let period = match order.trial_end {
        Some(end) => (world.now, end),
        None => period_from(&items, anchor, world.now),
    };
    let items = with_period(&items, period);
    let mut subscription = shape(world, order, &id, anchor);
    subscription["items"] = list_of(&id, &items);
    subscription["currency"] = items[0]["price"]["currency"].clone();
    subscription["status"] =
        if order.trial_end.is_some() { "trialing" } else { "incomplete" }.into();
    let subscription = world.add(Some("customer.subscription.created"), subscription);
    let mut lines = whole(&id, &items, period);
    if order.trial_end.is_some() {
        for line in &mut lines {
            line.amount = 0;
        }
    }
    let draft = Draft {
        subscription,
        reason: "subscription_create",
        lines,
        period: (world.now, world.now),
    };
    let invoice = invoices::open(world, &draft);
    invoices::finalize(world, &invoice);
    invoice_payments::collect(world, &invoice, order.method.as_deref(), order.mood);
    id
}

fn shape(world: &World, order: &NewSubscription, id: &str, anchor: i64) -> Value {
    let missing = order.without_card.as_deref().unwrap_or("create_invoice");
    let trial_start = order.trial_end.map(|_| world.now);
    with_nulls(
        json!({
            "id": id, "object": "subscription", "automatic_tax": { "disabled_reason": null, "enabled": false, "liability": null },
            "billing_cycle_anchor": anchor, "billing_mode": { "type": "flexible", "flexible": { "proration_discounts": "included" } },
            "billing_schedules": [], "cancel_at_period_end": false, "cancellation_details": { "comment": null, "feedback": null, "reason": null },
            "collection_method": "charge_automatically", "created": world.now,
            "customer": order.customer, "default_payment_method": order.method, "default_tax_rates": [], "description": order.description, "discounts": [],
            "invoice_settings": { "account_tax_ids": null, "issuer": { "type": "self" } },
            "livemode": LIVEMODE, "metadata": order.metadata,
            "payment_settings": {
                "payment_method_options": null, "payment_method_types": null,
                "save_default_payment_method": "off",
            },
            "start_date": world.now, "trial_end": order.trial_end,
            "trial_settings": { "end_behavior": { "missing_payment_method": missing } },
            "trial_start": trial_start,
        }),
        NOT_YET,
    )
}

/// Tries the first invoice again, with the card that the subscription now has.
pub fn pay_first(world: &mut World, id: &str, mood: Mood) {
    let subscription = world.the(id);
    let method = subscription["default_payment_method"].as_str();
    invoice_payments::collect(world, text(&subscription["latest_invoice"]), method, mood);
}

/// The checkout session that made a subscription hears how its first payment went.
pub fn tell_checkout(world: &mut World, id: &str) {
    let invoice = text(&world.the(id)["latest_invoice"]).to_owned();
    if let Some(intent) = invoice_payments::intent_of(world, &invoice) {
        checkout::hear(world, &intent);
    }
}

pub fn hear_paid(world: &mut World, invoice: &str) {
    let object = world.the(invoice);
    let Some(id) = subscription_of(&object) else { return };
    if let Some(change) = world.pending_changes.remove(invoice) {
        apply_pending(world, change);
    }
    let owes = world.all("invoice").any(|other| {
        other["status"] == "open"
            && subscription_of(other) == Some(id)
            && other["attempted"] == true
    });
    let status = text(&world.the(id)["status"]).to_owned();
    if ["incomplete", "past_due", "unpaid"].contains(&status.as_str()) && !owes {
        world.change(id, &["customer.subscription.updated"], json!({ "status": "active" }));
    }
}

pub fn hear_failed(world: &mut World, invoice: &str) {
    let object = world.the(invoice);
    let Some(id) = subscription_of(&object) else { return };
    if world.pending_changes.contains_key(invoice) {
        return;
    }
    if ["active", "trialing"].contains(&text(&world.the(id)["status"])) {
        world.change(id, &["customer.subscription.updated"], json!({ "status": "past_due" }));
    }
    let tried_enough = object["next_payment_attempt"].is_null();
    if tried_enough && object["billing_reason"] != "subscription_create" {
        dunning::give_up(world, invoice);
    }
}

/// Money that is on its way is taken for money.
pub fn hear_processing(world: &mut World, invoice: &str) {
    let object = world.the(invoice);
    let Some(id) = subscription_of(&object) else { return };
    if world.the(id)["status"] == "incomplete" {
        world.change(id, &["customer.subscription.updated"], json!({ "status": "active" }));
    }
}

pub fn is_live(subscription: &Value) -> bool {
    !["canceled", "incomplete_expired"].contains(&text(&subscription["status"]))
}

/// Ends it now. What is open of it is not collected any more.
pub fn end(world: &mut World, id: &str) {
    let subscription = world.the(id);
    let canceled_at = match &subscription["canceled_at"] {
        Value::Null => world.now.into(),
        before => before.clone(),
    };
    let patch = json!({
        "status": "canceled", "canceled_at": canceled_at, "ended_at": world.now,
        "pending_update": null,
    });
    for invoice in world.all("invoice").cloned().collect::<Vec<_>>() {
        if subscription_of(&invoice) == Some(id)
            && ["draft", "open"].contains(&text(&invoice["status"]))
        {
            let patch = json!({ "auto_advance": false, "next_payment_attempt": null });
            world.set(text(&invoice["id"]), patch);
        }
    }
    world.pending_changes.retain(|_, change| change.subscription != id);
    world.change(id, &["customer.subscription.deleted"], patch);
}

/// Nobody paid the first invoice in time.
pub fn expire(world: &mut World, id: &str) {
    let invoice = text(&world.the(id)["latest_invoice"]).to_owned();
    let patch = json!({ "status": "incomplete_expired", "ended_at": world.now });
    world.change(id, &["customer.subscription.updated"], patch);
    let _ = invoices::void(world, &invoice);
}

/// A new period begins, with a draft of its invoice.
pub fn roll(world: &mut World, id: &str) {
    let subscription = world.the(id);
    let passed = period(&subscription);
    let anchor = super::world::number(&subscription["billing_cycle_anchor"]);
    let items = items_of(&subscription);
    let next = period_from(&items, anchor, passed.1);
    let items = with_period(&items, next);
    let mut patch = json!({ "items": list_of(id, &items) });
    if subscription["status"] == "trialing" {
        patch["status"] = "active".into();
    }
    let mut lines = world.unbilled.remove(id).unwrap_or_default();
    lines.extend(whole(id, &items, next));
    let draft = Draft { subscription, reason: "subscription_cycle", lines, period: passed };
    let invoice = invoices::open(world, &draft);
    let finalizes = world.now + super::clock::DRAFT_LASTS;
    let unpaid = draft.subscription["status"] == "unpaid";
    let facts = json!({
        "auto_advance": !unpaid,
        "automatically_finalizes_at": (!unpaid).then_some(finalizes),
    });
    world.set(&invoice, facts);
    patch["latest_invoice"] = invoice.into();
    world.set(id, json!({ "latest_invoice": draft.subscription["latest_invoice"] }));
    world.change(id, &["customer.subscription.updated"], patch);
}

pub fn list(world: &World, form: &Form) -> Outcome {
    let status = form.text("status").unwrap_or("live");
    let price = form.text("price");
    let fits = |subscription: &&Value| {
        let of_status = match status {
            "all" => true,
            "live" => subscription["status"] != "canceled",
            "ended" => !is_live(subscription),
            status => subscription["status"] == *status,
        };
        let of_price =
            || items_of(subscription).iter().any(|item| item["price"]["id"].as_str() == price);
        of_status
            && wants(form, "customer", &subscription["customer"])
            && (price.is_none() || of_price())
    };
    page("/v1/subscriptions", form, world.all("subscription").filter(fits).cloned().collect())
}
