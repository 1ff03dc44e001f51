//! The items of subscriptions, and what becomes of them when they are changed.

use serde_json::{Value, json};

use super::failure::{Failure, Outcome};
use super::form::Form;
use super::invoices::Line;
use super::periods::end_after;
use super::prices;
use super::prorations::rest;
use super::world::{World, number, text};

/// An item whose period is still to be set.
pub fn item(world: &mut World, subscription: &str, price: &Value, quantity: i64) -> Value {
    json!({
        "id": world.id("si"), "object": "subscription_item", "billing_thresholds": null,
        "created": world.now, "current_period_end": world.now,
        "current_period_start": world.now, "discounts": [], "metadata": {}, "price": price,
        "quantity": quantity, "subscription": subscription, "tax_rates": [],
    })
}

pub fn items_of(subscription: &Value) -> Vec<Value> {
    subscription["items"]["data"].as_array().cloned().unwrap_or_default()
}

/// The list with other items in it.
pub fn list_of(subscription: &str, items: &[Value]) -> Value {
    let url = format!("/v1/subscription_items?subscription={subscription}");
    super::lists::list(&url, items, false)
}

pub fn period(subscription: &Value) -> (i64, i64) {
    let first = &subscription["items"]["data"][0];
    (number(&first["current_period_start"]), number(&first["current_period_end"]))
}

pub fn with_period(items: &[Value], (start, end): (i64, i64)) -> Vec<Value> {
    let mut items = items.to_vec();
    for item in &mut items {
        item["current_period_start"] = start.into();
        item["current_period_end"] = end.into();
    }
    items
}

pub fn period_from(items: &[Value], anchor: i64, start: i64) -> (i64, i64) {
    (start, end_after(anchor, &items[0]["price"]["recurring"], start))
}

/// What whole periods of some items cost.
pub fn whole(subscription: &str, items: &[Value], period: (i64, i64)) -> Vec<Line> {
    let line = |item: &Value| Line {
        description: format!("{} × {}", item["quantity"], text(&item["price"]["id"])),
        amount: number(&item["price"]["unit_amount"]) * number(&item["quantity"]),
        price: item["price"].clone(),
        quantity: number(&item["quantity"]),
        period,
        proration: false,
        item: text(&item["id"]).to_owned(),
        subscription: subscription.to_owned(),
    };
    items.iter().map(line).collect()
}

/// Items as they will be, with the prorations on the way there.
pub struct Changed {
    pub items: Vec<Value>,
    pub prorations: Vec<Line>,
    /// The interval is another: a new period begins at once.
    pub resets: bool,
}

/// Reads the `items` of a change. One without an id is one more, as with Stripe.
pub fn change(world: &mut World, subscription: &Value, rows: &[Form], at: i64) -> Outcome<Changed> {
    let id = text(&subscription["id"]);
    let before = items_of(subscription);
    let mut changed = Changed { items: before.clone(), prorations: Vec::new(), resets: false };
    for (place, row) in rows.iter().enumerate() {
        let price = match row.text("price") {
            Some(price) => Some(prices::on_sale(world, &format!("items[{place}][price]"), price)?),
            None => None,
        };
        let quantity = row.integer("quantity")?;
        let Some(item) = row.text("id") else {
            let price = price.ok_or_else(|| Failure::missing(&format!("items[{place}][price]")))?;
            let item = item(world, id, &price, quantity.unwrap_or(1));
            let item = with_period(&[item], period(subscription)).remove(0);
            changed.prorations.push(rest(id, &item, at, 1));
            changed.items.push(item);
            continue;
        };
        let param = format!("items[{place}][id]");
        let found = changed.items.iter().position(|known| known["id"] == *item);
        let found = found.ok_or_else(|| Failure::no_such_at(&param, "subscription item", item))?;
        let old = changed.items[found].clone();
        if row.flag("deleted")?.unwrap_or(false) {
            changed.prorations.push(rest(id, &old, at, -1));
            changed.items.remove(found);
            continue;
        }
        let new = &mut changed.items[found];
        new["price"] = price.unwrap_or_else(|| old["price"].clone());
        new["quantity"] = quantity.map_or_else(|| old["quantity"].clone(), Value::from);
        if *new != old {
            changed.prorations.push(rest(id, &old, at, -1));
            changed.prorations.push(rest(id, new, at, 1));
        }
    }
    reset(subscription, &before, changed)
}

/// Another interval begins a new period: what remains of the old one is not charged again.
fn reset(subscription: &Value, before: &[Value], mut changed: Changed) -> Outcome<Changed> {
    let Some(first) = changed.items.first() else {
        return Err(Failure::invalid("A subscription must have at least one active item."));
    };
    let interval = |item: &Value| {
        let recurring = &item["price"]["recurring"];
        (recurring["interval"].clone(), recurring["interval_count"].clone())
    };
    changed.resets = interval(first) != interval(&before[0]);
    if changed.resets {
        changed.prorations.retain(|line| line.amount < 0);
    }
    if subscription["status"] == "trialing" {
        changed.prorations.clear();
        changed.resets = false;
    }
    Ok(changed)
}
