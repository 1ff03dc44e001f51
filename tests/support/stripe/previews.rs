//! Previews: what an invoice would say, without making one.

use serde_json::{Value, json};

use super::failure::{Failure, Outcome};
use super::form::Form;
use super::invoices::{self, Draft};
use super::prices;
use super::subscription_changes::proration_date;
use super::subscription_items::{change, item, items_of, period, period_from, whole};
use super::world::{World, number, text};

pub fn create(world: &mut World, form: &Form) -> Outcome {
    let details = form.part("subscription_details");
    let draft = match form.text("subscription") {
        Some(id) => {
            let subscription = world.find_at("subscription", "subscription", id)?;
            of_change(world, subscription, &details)?
        }
        None => of_new(world, form, &details)?,
    };
    let id = world.id("upcoming_in");
    Ok(invoices::shape(world, &draft, &id))
}

/// What a change would be charged at once, or the next renewal with it.
fn of_change(world: &mut World, subscription: Value, details: &Form) -> Outcome<Draft> {
    let id = text(&subscription["id"]).to_owned();
    let behavior =
        details.one_of("proration_behavior", &["create_prorations", "always_invoice", "none"])?;
    let at = proration_date(world, &subscription, details)?;
    let mut changed = change(world, &subscription, &details.rows("items"), at)?;
    if behavior == "none" {
        changed.prorations.clear();
    }
    let current = period(&subscription);
    if changed.resets {
        let period = period_from(&changed.items, at, at);
        let mut lines = changed.prorations;
        lines.extend(whole(&id, &changed.items, period));
        return Ok(Draft { subscription, reason: "subscription_update", lines, period: (at, at) });
    }
    if behavior == "always_invoice" && details.has("items") {
        let lines = changed.prorations;
        return Ok(Draft { subscription, reason: "subscription_update", lines, period: (at, at) });
    }
    let cancels = details
        .flag("cancel_at_period_end")?
        .unwrap_or(subscription["cancel_at_period_end"] == json!(true));
    let mut lines = world.unbilled.get(&id).cloned().unwrap_or_default();
    lines.extend(changed.prorations);
    if cancels && lines.is_empty() {
        let message = "No upcoming invoices for customer.";
        return Err(Failure::new(
            404,
            "invalid_request_error",
            Some("invoice_upcoming_none"),
            message,
        ));
    }
    if !cancels {
        let anchor = number(&subscription["billing_cycle_anchor"]);
        let next = period_from(&changed.items, anchor, current.1);
        lines.extend(whole(&id, &changed.items, next));
    }
    Ok(Draft { subscription, reason: "upcoming", lines, period: current })
}

/// What a subscription would cost that is not there.
fn of_new(world: &mut World, form: &Form, details: &Form) -> Outcome<Draft> {
    let customer = form.required("customer")?;
    world.find_at("customer", "customer", customer)?;
    if !details.has("items") {
        let live = world.with("subscription", "customer", customer);
        let live = live.into_iter().find(|known| known["status"] == "active");
        let message = "No upcoming invoices for customer.";
        let none =
            || Failure::new(404, "invalid_request_error", Some("invoice_upcoming_none"), message);
        return of_change(world, live.ok_or_else(none)?, details);
    }
    let mut items = Vec::new();
    for (place, row) in details.rows("items").iter().enumerate() {
        let param = format!("subscription_details[items][{place}][price]");
        let price = row.text("price").ok_or_else(|| Failure::missing(&param))?;
        let price = prices::on_sale(world, &param, price)?;
        items.push(item(world, "", &price, row.integer("quantity")?.unwrap_or(1)));
    }
    let next = period_from(&items, world.now, world.now);
    let currency = items[0]["price"]["currency"].clone();
    let subscription =
        json!({ "id": null, "customer": customer, "currency": currency, "metadata": {} });
    let lines = whole("", &items_of(&json!({ "items": { "data": items } })), next);
    Ok(Draft { subscription, reason: "upcoming", lines, period: (world.now, world.now) })
}
