//! Two shapes of objects: as they are now, and as they were before 2025-03-31.

use serde_json::{Value, json};

use super::API_VERSION;
use super::payments::intent_of;
use super::world::{World, text};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    #[default]
    Current,
    /// Periods on the subscription itself; subscription, charge and intent on the invoice.
    Old,
}

impl Shape {
    pub fn version(self) -> &'static str {
        match self {
            Self::Current => API_VERSION,
            Self::Old => "2024-12-18.acacia",
        }
    }
}

pub fn render(world: &World, object: &Value, shape: Shape) -> Value {
    let mut object = object.clone();
    if shape == Shape::Old {
        age(world, &mut object);
    }
    object
}

/// Gives an object, and all in it, the old shape. Events stay as they were sent.
fn age(world: &World, value: &mut Value) {
    let kind = value["object"].as_str().map(str::to_owned);
    if kind.as_deref() == Some("event") {
        return;
    }
    match value {
        Value::Array(rows) => rows.iter_mut().for_each(|row| age(world, row)),
        Value::Object(fields) => fields.values_mut().for_each(|field| age(world, field)),
        _ => return,
    }
    match kind.as_deref() {
        Some("subscription") => age_subscription(value),
        Some("subscription_item") => value["plan"] = plan(&value["price"]),
        Some("invoice") => age_invoice(world, value),
        Some("line_item") => age_line(world, value),
        _ => {}
    }
}

fn age_subscription(subscription: &mut Value) {
    let first = subscription["items"]["data"][0].clone();
    for item in subscription["items"]["data"].as_array_mut().into_iter().flatten() {
        drop_fields(item, &["current_period_end", "current_period_start"]);
    }
    for field in ["current_period_end", "current_period_start"] {
        subscription[field] = first[field].clone();
    }
    subscription["plan"] = first["plan"].clone();
    subscription["quantity"] = first["quantity"].clone();
    subscription["discount"] = Value::Null;
    drop_fields(subscription, &["billing_mode", "billing_schedules"]);
}

fn age_invoice(world: &World, invoice: &mut Value) {
    let details = invoice["parent"]["subscription_details"].clone();
    let intent = intent_of(world, text(&invoice["id"]));
    let charge = intent.as_deref().map(|intent| world.the(intent)["latest_charge"].clone());
    invoice["subscription"] = details["subscription"].clone();
    invoice["subscription_details"] = json!({ "metadata": details["metadata"] });
    invoice["payment_intent"] = intent.into();
    invoice["charge"] = charge.unwrap_or_default();
    invoice["paid"] = (invoice["status"] == "paid").into();
    invoice["paid_out_of_band"] = false.into();
    drop_fields(invoice, &["amount_overpaid", "parent", "payments", "total_taxes"]);
}

fn age_line(world: &World, line: &mut Value) {
    let details = line["parent"]["subscription_item_details"].clone();
    let price = world.get(text(&line["pricing"]["price_details"]["price"]));
    line["price"] = price.cloned().unwrap_or_default();
    line["plan"] = plan(&line["price"]);
    line["proration"] = details["proration"].clone();
    line["subscription_item"] = details["subscription_item"].clone();
    line["type"] = "subscription".into();
    drop_fields(line, &["parent", "pricing", "subtotal", "taxes"]);
}

/// What prices were before they were prices.
fn plan(price: &Value) -> Value {
    let recurring = &price["recurring"];
    json!({
        "id": price["id"], "object": "plan", "active": price["active"],
        "amount": price["unit_amount"], "billing_scheme": "per_unit", "created": price["created"],
        "currency": price["currency"], "interval": recurring["interval"],
        "interval_count": recurring["interval_count"], "livemode": price["livemode"],
        "metadata": {}, "product": price["product"], "usage_type": "licensed",
    })
}

fn drop_fields(value: &mut Value, names: &[&str]) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
}
