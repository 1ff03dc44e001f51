//! Prices.

use serde_json::{Value, json};

use super::failure::{Failure, Outcome};
use super::form::Form;
use super::lists::{page, wants};
use super::products;
use super::world::{LIVEMODE, World, text};

pub fn create(world: &mut World, form: &Form) -> Outcome {
    let key = form.text("lookup_key").map(str::to_owned);
    if let Some(key) = &key {
        free_lookup_key(world, key, form.flag("transfer_lookup_key")?.unwrap_or(false))?;
    }
    let price = shape(world, form)?;
    Ok(world.add(Some("price.created"), price))
}

/// A price as asked for, not yet there. A checkout may bring its own.
pub fn shape(world: &mut World, form: &Form) -> Outcome {
    let amount = form.integer("unit_amount")?.ok_or_else(|| Failure::missing("unit_amount"))?;
    if amount < 0 {
        return Err(Failure::coded("parameter_invalid_integer", "Amounts are not negative.")
            .at("unit_amount"));
    }
    let currency = form.required("currency")?.to_lowercase();
    let recurring = recurring(form)?;
    let product = match form.text("product") {
        Some(product) => {
            world.find_at("product", "product", product)?;
            product.to_owned()
        }
        None if form.has("product_data") => {
            text(&products::create(world, &form.part("product_data"))?["id"]).to_owned()
        }
        None => return Err(Failure::missing("product")),
    };
    Ok(json!({
        "id": world.id("price"), "object": "price",
        "active": form.flag("active")?.unwrap_or(true), "billing_scheme": "per_unit",
        "created": world.now, "currency": currency, "custom_unit_amount": null,
        "livemode": LIVEMODE, "lookup_key": form.or_null("lookup_key"),
        "metadata": form.metadata(&Value::Null)?, "nickname": form.or_null("nickname"),
        "product": product, "recurring": recurring, "tax_behavior": "unspecified",
        "tiers_mode": null, "transform_quantity": null,
        "type": if recurring.is_null() { "one_time" } else { "recurring" },
        "unit_amount": amount, "unit_amount_decimal": amount.to_string(),
    }))
}

fn recurring(form: &Form) -> Outcome {
    if !form.has("recurring") {
        return Ok(Value::Null);
    }
    form.required("recurring.interval")?;
    let interval = form.one_of("recurring.interval", &["month", "day", "week", "year"])?;
    let count = form.integer("recurring.interval_count")?.unwrap_or(1);
    Ok(json!({
        "interval": interval, "interval_count": count, "meter": null,
        "usage_type": "licensed",
    }))
}

fn free_lookup_key(world: &mut World, key: &str, transfer: bool) -> Outcome<()> {
    for holder in world.with("price", "lookup_key", key) {
        if !transfer {
            let message = format!("A price already uses the lookup key '{key}'.");
            return Err(Failure::invalid(&message).at("lookup_key"));
        }
        world.change(text(&holder["id"]), &["price.updated"], json!({ "lookup_key": null }));
    }
    Ok(())
}

pub fn update(world: &mut World, id: &str, form: &Form) -> Outcome {
    let price = world.find("price", id)?;
    let mut patch = json!({ "metadata": form.metadata(&price["metadata"])? });
    if let Some(active) = form.flag("active")? {
        patch["active"] = active.into();
    }
    if form.has("nickname") {
        patch["nickname"] = form.or_null("nickname");
    }
    if let Some(key) = form.text("lookup_key")
        && price["lookup_key"] != key
    {
        free_lookup_key(world, key, form.flag("transfer_lookup_key")?.unwrap_or(false))?;
        patch["lookup_key"] = key.into();
    }
    Ok(world.change(id, &["price.updated"], patch))
}

pub fn list(world: &World, form: &Form) -> Outcome {
    let active = form.flag("active")?;
    let keys = form.words("lookup_keys");
    let fits = |price: &&Value| {
        active.is_none_or(|active| price["active"] == active)
            && (keys.is_empty() || keys.iter().any(|key| price["lookup_key"] == *key))
            && ["product", "type", "currency"].iter().all(|field| wants(form, field, &price[field]))
    };
    page("/v1/prices", form, world.all("price").filter(fits).cloned().collect())
}

/// One that can be sold.
pub fn on_sale(world: &World, param: &str, id: &str) -> Outcome {
    let price = world.find_at(param, "price", id)?;
    if price["active"] == true {
        return Ok(price);
    }
    let message = "The price specified is inactive. This field only accepts active prices.";
    Err(Failure::invalid(message).at(param))
}
