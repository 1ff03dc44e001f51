//! Products.

use serde_json::{Value, json};

use super::failure::{Failure, Outcome};
use super::form::Form;
use super::lists::{page, wants};
use super::world::{LIVEMODE, World};

pub fn create(world: &mut World, form: &Form) -> Outcome {
    let id = form.text("id").map(str::to_owned);
    if id.as_deref().is_some_and(|id| world.get(id).is_some()) {
        let message = "Product already exists.";
        return Err(Failure::coded("resource_already_exists", message).at("id"));
    }
    let product = json!({
        "id": id.unwrap_or_else(|| world.id("prod")), "object": "product",
        "active": form.flag("active")?.unwrap_or(true), "created": world.now,
        "default_price": null, "description": form.or_null("description"), "images": [],
        "livemode": LIVEMODE, "marketing_features": [],
        "metadata": form.metadata(&Value::Null)?, "name": form.required("name")?,
        "package_dimensions": null, "shippable": null, "statement_descriptor": null,
        "tax_code": null, "unit_label": null, "updated": world.now, "url": null,
    });
    Ok(world.add(Some("product.created"), product))
}

pub fn update(world: &mut World, id: &str, form: &Form) -> Outcome {
    let product = world.find("product", id)?;
    let mut patch = json!({ "metadata": form.metadata(&product["metadata"])? });
    for field in ["name", "description", "default_price"] {
        if form.has(field) {
            patch[field] = form.or_null(field);
        }
    }
    if let Some(active) = form.flag("active")? {
        patch["active"] = active.into();
    }
    patch["updated"] = world.now.into();
    Ok(world.change(id, &["product.updated"], patch))
}

pub fn list(world: &World, form: &Form) -> Outcome {
    let active = form.flag("active")?;
    let ids = form.words("ids");
    let fits = |product: &&Value| {
        active.is_none_or(|active| product["active"] == active)
            && (ids.is_empty() || ids.iter().any(|id| product["id"] == *id))
            && wants(form, "url", &product["url"])
    };
    page("/v1/products", form, world.all("product").filter(fits).cloned().collect())
}
