//! Customers.

use serde_json::{Value, json};

use super::StripeDouble;
use super::failure::{Failure, Outcome};
use super::form::Form;
use super::lists::{page, wants};
use super::subscriptions;
use super::world::{LIVEMODE, World, text};

pub fn create(world: &mut World, form: &Form) -> Outcome {
    let metadata = form.metadata(&Value::Null)?;
    let customer = json!({
        "id": world.id("cus"), "object": "customer", "address": null, "balance": 0,
        "created": world.now, "currency": null, "default_source": null, "delinquent": false,
        "description": form.or_null("description"), "email": form.or_null("email"),
        "invoice_prefix": format!("DBL{}", world.number()),
        "invoice_settings": {
            "custom_fields": null, "default_payment_method": null, "footer": null,
            "rendering_options": null,
        },
        "livemode": LIVEMODE, "metadata": metadata, "name": form.or_null("name"),
        "phone": form.or_null("phone"), "preferred_locales": [], "shipping": null,
        "tax_exempt": "none", "test_clock": null,
    });
    Ok(world.add(Some("customer.created"), customer))
}

/// One that was deleted is still there, as a stub that says so.
pub fn retrieve(world: &World, id: &str) -> Outcome {
    match world.get(id).filter(|customer| customer["object"] == "customer") {
        Some(customer) => Ok(customer.clone()),
        None => Err(Failure::no_such("customer", id)),
    }
}

pub fn update(world: &mut World, id: &str, form: &Form) -> Outcome {
    let customer = world.find("customer", id)?;
    let mut patch = json!({ "metadata": form.metadata(&customer["metadata"])? });
    for field in ["description", "email", "name", "phone"] {
        if form.has(field) {
            patch[field] = form.or_null(field);
        }
    }
    if let Some(method) = form.text("invoice_settings.default_payment_method") {
        let param = "invoice_settings[default_payment_method]";
        world.find_at(param, "payment_method", method)?;
        patch["invoice_settings"] = customer["invoice_settings"].clone();
        patch["invoice_settings"]["default_payment_method"] = method.into();
    }
    Ok(world.change(id, &["customer.updated"], patch))
}

/// Takes the subscriptions with it, at once.
pub fn delete(world: &mut World, id: &str) -> Outcome {
    let customer = world.find("customer", id)?;
    for subscription in world.with("subscription", "customer", id) {
        if subscriptions::is_live(&subscription) {
            subscriptions::end(world, text(&subscription["id"]));
        }
    }
    world.emit("customer.deleted", &customer, None);
    let stub = json!({ "id": id, "object": "customer", "deleted": true });
    Ok(world.replace(id, stub))
}

pub fn list(world: &World, form: &Form) -> Outcome {
    let all = world.all("customer").filter(|customer| customer["deleted"].is_null());
    let all = all.filter(|customer| wants(form, "email", &customer["email"])).cloned().collect();
    page("/v1/customers", form, all)
}

/// Finds by clauses such as `email:'a@b.c'` and `metadata['user']:'7'`, joined by `AND`.
pub fn search(world: &World, form: &Form) -> Outcome {
    let query = form.required("query")?;
    let clauses: Option<Vec<_>> = query.split(" AND ").map(Clause::parse).collect();
    let wrong = || Failure::invalid(&format!("We were unable to parse {query:?}")).at("query");
    let clauses = clauses.ok_or_else(wrong)?;
    let all = world.all("customer").filter(|customer| customer["deleted"].is_null());
    let all = all.filter(|customer| clauses.iter().all(|clause| clause.fits(customer)));
    let found: Vec<Value> = all.cloned().collect();
    let mut page = page("/v1/customers/search", form, found)?;
    page["object"] = "search_result".into();
    page["next_page"] = Value::Null;
    Ok(page)
}

struct Clause {
    place: Vec<String>,
    value: String,
}

impl Clause {
    fn parse(text: &str) -> Option<Self> {
        let (place, value) = text.trim().split_once(':')?;
        let value = value.trim_matches(['\'', '"']).to_owned();
        let words = place.split(['[', ']', '\'', '"']).filter(|word| !word.is_empty());
        let place: Vec<_> = words.map(str::to_owned).collect();
        let known = ["created", "email", "metadata", "name", "phone"];
        known.contains(&place.first()?.as_str()).then_some(Self { place, value })
    }

    fn fits(&self, customer: &Value) -> bool {
        let found = self.place.iter().fold(customer, |value, word| &value[word.as_str()]);
        match found {
            Value::Number(number) => number.to_string() == self.value,
            value => value == self.value.as_str(),
        }
    }
}

impl StripeDouble {
    /// Somebody deletes the customer in the dashboard.
    pub fn delete_customer(&self, customer: &str) {
        delete(&mut self.world(), customer).expect("a customer that is there");
    }
}
