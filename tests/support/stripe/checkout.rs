//! Checkout sessions, as an application makes and reads them.

use serde_json::{Value, json};

use super::failure::{Failure, Outcome};
use super::form::Form;
use super::lists::{self, page, wants};
use super::payments::intent_of;
use super::prices;
use super::world::{LIVEMODE, World, number, text, with_nulls};

/// A page lives for a day, unless told otherwise.
const LIFETIME: i64 = 24 * 3600;
const SHORTEST: i64 = 30 * 60;
/// What a new session has nothing for.
const NOT_YET: &str = "adaptive_pricing after_expiration allow_promotion_codes \
    billing_address_collection client_secret consent currency_conversion customer_creation \
    customer_details invoice invoice_creation locale payment_intent payment_link \
    payment_method_configuration_details recovered_from setup_intent \
    shipping_address_collection submit_type subscription";

pub fn create(world: &mut World, form: &Form) -> Outcome {
    form.required("mode")?;
    let mode = form.one_of("mode", &["payment", "subscription"])?;
    if form.one_of("ui_mode", &["hosted_page", "embedded_page", "elements"])? == "hosted_page" {
        form.required("success_url")?;
    }
    if let Some(customer) = form.text("customer") {
        world.find_at("customer", "customer", customer)?;
    }
    let items = items(world, form, mode)?;
    let expires_at = form.integer("expires_at")?.unwrap_or(world.now + LIFETIME);
    if !(world.now + SHORTEST..=world.now + LIFETIME).contains(&expires_at) {
        let message =
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from now.";
        return Err(Failure::invalid(message).at("expires_at"));
    }
    let id = world.id("cs_test");
    let total = items.iter().map(|item| number(&item["amount_total"])).sum();
    let total = if trial_end(world, form)?.is_some() { 0 } else { total };
    let metadata = form.metadata(&Value::Null)?;
    let mut session = shape(world, form, &id, total);
    session["metadata"] = metadata;
    session["expires_at"] = expires_at.into();
    session["currency"] = items[0]["currency"].clone();
    let url = format!("/v1/checkout/sessions/{id}/line_items");
    world.hide(&id, "line_items", lists::list(&url, &items, false));
    world.checkouts.insert(id.clone(), form.clone());
    Ok(world.add(None, session))
}

fn shape(world: &World, form: &Form, id: &str, total: i64) -> Value {
    let tax = json!({ "enabled": false, "liability": null, "provider": null, "status": null });
    let texts = json!({
        "after_submit": null, "shipping_address": null, "submit": null,
        "terms_of_service_acceptance": null,
    });
    let session = json!({
        "id": id, "object": "checkout.session", "amount_subtotal": total, "amount_total": total,
        "automatic_tax": tax, "cancel_url": form.or_null("cancel_url"),
        "client_reference_id": form.or_null("client_reference_id"), "created": world.now,
        "custom_fields": [], "custom_text": texts, "customer": form.or_null("customer"),
        "customer_email": form.or_null("customer_email"), "discounts": [],
        "livemode": LIVEMODE, "mode": form.at("mode"), "payment_method_collection": "always",
        "payment_method_options": {}, "payment_method_types": ["card"],
        "payment_status": "unpaid", "shipping_options": [], "status": "open",
        "success_url": form.or_null("success_url"), "ui_mode": form.text("ui_mode").unwrap_or("hosted_page"),
        "url": format!("https://checkout.stripe.com/c/pay/{id}"),
    });
    with_nulls(session, NOT_YET)
}

/// The lines as they will be paid, priced now.
fn items(world: &mut World, form: &Form, mode: &str) -> Outcome<Vec<Value>> {
    let rows = form.rows("line_items");
    if rows.is_empty() {
        return Err(Failure::missing("line_items"));
    }
    let mut items = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let param = format!("line_items[{place}]");
        let price = match row.text("price") {
            Some(id) => prices::on_sale(world, &format!("{param}[price]"), id)?,
            None if row.has("price_data") => {
                let price = prices::shape(world, &row.part("price_data"))?;
                world.add(None, price)
            }
            None => return Err(Failure::missing(&format!("{param}[price]"))),
        };
        let quantity = row
            .integer("quantity")?
            .ok_or_else(|| Failure::missing(&format!("{param}[quantity]")))?;
        if mode == "payment" && !price["recurring"].is_null() {
            let message = "You specified `payment` mode but passed a recurring price.";
            return Err(Failure::invalid(message).at(&param));
        }
        let amount = number(&price["unit_amount"]) * quantity;
        items.push(json!({
            "id": world.id("li"), "object": "item", "amount_discount": 0,
            "amount_subtotal": amount, "amount_tax": 0, "amount_total": amount,
            "currency": price["currency"], "description": null, "metadata": {}, "price": price,
            "quantity": quantity,
        }));
    }
    let recurring = items.iter().any(|item| !item["price"]["recurring"].is_null());
    if mode == "subscription" && !recurring {
        let message = "You must provide at least one recurring price in `subscription` mode.";
        return Err(Failure::invalid(message).at("line_items"));
    }
    Ok(items)
}

/// When the trial ends that comes with the subscription.
pub fn trial_end(world: &World, form: &Form) -> Outcome<Option<i64>> {
    let days = form.integer("subscription_data.trial_period_days")?;
    let end = form.integer("subscription_data.trial_end")?;
    Ok(end.or(days.map(|days| world.now + days * 24 * 3600)))
}

pub fn lines(world: &World, id: &str, form: &Form) -> Outcome {
    world.find("checkout.session", id)?;
    let items = world.hidden(id, "line_items")["data"].as_array().cloned().unwrap_or_default();
    page(&format!("/v1/checkout/sessions/{id}/line_items"), form, items)
}

pub fn list(world: &World, form: &Form) -> Outcome {
    let fits = |session: &&Value| {
        let filters = ["customer", "payment_intent", "status", "subscription"];
        filters.iter().all(|field| wants(form, field, &session[field]))
    };
    let all = world.all("checkout.session").filter(fits).cloned().collect();
    page("/v1/checkout/sessions", form, all)
}

pub fn expire(world: &mut World, id: &str) -> Outcome {
    let session = world.find("checkout.session", id)?;
    if session["status"] != "open" {
        let message = "Only Checkout Sessions with a status in [\"open\"] can be expired.";
        return Err(Failure::invalid(message).at("session"));
    }
    let patch = json!({ "status": "expired", "url": null });
    Ok(world.change(id, &["checkout.session.expired"], patch))
}

/// A payment moved: the session that asked for it follows.
pub fn hear(world: &mut World, intent: &str) {
    let mine = |session: &&Value| intent_of(world, text(&session["id"])).as_deref() == Some(intent);
    let Some(session) = world.all("checkout.session").find(mine) else { return };
    let (id, status) = (text(&session["id"]).to_owned(), text(&session["status"]).to_owned());
    let waits = status == "complete" && session["payment_status"] == "unpaid";
    match (status.as_str(), text(&world.the(intent)["status"])) {
        ("open", "succeeded") => complete(world, &id, "paid"),
        ("open", "processing") => complete(world, &id, "unpaid"),
        (_, "succeeded") if waits => {
            let patch = json!({ "payment_status": "paid" });
            world.change(&id, &["checkout.session.async_payment_succeeded"], patch);
        }
        (_, "requires_payment_method") if waits => {
            let session = world.the(&id);
            world.emit("checkout.session.async_payment_failed", &session, None);
        }
        _ => {}
    }
}

pub fn complete(world: &mut World, id: &str, payment_status: &str) {
    let patch = json!({ "status": "complete", "payment_status": payment_status, "url": null });
    world.change(id, &["checkout.session.completed"], patch);
}
