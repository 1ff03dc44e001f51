//! Payment methods: the cards that customers leave with us.

use serde_json::{Value, json};

use super::StripeDouble;
use super::failure::Outcome;
use super::form::Form;
use super::lists::{page, wants};
use super::moods::Mood;
use super::world::{LIVEMODE, World, text};

/// A new card, nobody's yet.
pub fn issue(world: &mut World) -> String {
    let id = world.id("pm");
    let card = json!({
        "brand": "visa", "checks": null, "country": "DE", "display_brand": "visa",
        "exp_month": 12, "exp_year": 2040, "fingerprint": format!("fp{}", world.number()),
        "funding": "credit", "generated_from": null, "last4": "4242", "networks": null,
        "regulated_status": "unregulated", "three_d_secure_usage": null, "wallet": null,
    });
    world.add(
        None,
        json!({
            "id": id, "object": "payment_method", "allow_redisplay": "always",
            "billing_details": {
                "address": null, "email": null, "name": null, "phone": null, "tax_id": null,
            },
            "card": card, "created": world.now, "customer": null, "livemode": LIVEMODE,
            "metadata": {}, "type": "card",
        }),
    );
    id
}

pub fn attach(world: &mut World, card: &str, customer: &str) {
    world.change(card, &["payment_method.attached"], json!({ "customer": customer }));
}

pub fn detach(world: &mut World, id: &str) -> Outcome {
    world.find("payment_method", id)?;
    Ok(world.change(id, &["payment_method.detached"], json!({ "customer": null })))
}

pub fn list(world: &World, form: &Form) -> Outcome {
    let customer = form.required("customer")?;
    list_of(world, customer, form)
}

pub fn list_of(world: &World, customer: &str, form: &Form) -> Outcome {
    world.find_at("customer", "customer", customer)?;
    let mut cards = world.with("payment_method", "customer", customer);
    cards.retain(|card| wants(form, "type", &card["type"]));
    page("/v1/payment_methods", form, cards)
}

/// What a customer pays with by default: the invoices' card, else none.
pub fn default_of(world: &World, customer: &str) -> Option<String> {
    let customer = world.get(customer)?;
    customer["invoice_settings"]["default_payment_method"].as_str().map(str::to_owned)
}

impl StripeDouble {
    /// Attaches a card to a customer, without making it the default.
    pub fn attach_card(&self, customer: &str, mood: Mood) -> String {
        let mut world = self.world();
        let card = issue(&mut world);
        attach(&mut world, &card, customer);
        drop(world);
        self.card_is(&card, mood);
        card
    }

    /// The person changes the card in the portal: it becomes the default of the customer and of
    /// their subscriptions.
    pub fn change_card(&self, customer: &str, mood: Mood) -> String {
        let card = self.attach_card(customer, mood);
        let mut world = self.world();
        let mut settings = world.the(customer)["invoice_settings"].clone();
        settings["default_payment_method"] = card.as_str().into();
        world.change(customer, &["customer.updated"], json!({ "invoice_settings": settings }));
        for subscription in world.with("subscription", "customer", customer) {
            if subscription["ended_at"] == Value::Null {
                let patch = json!({ "default_payment_method": card });
                let id = text(&subscription["id"]);
                world.change(id, &["customer.subscription.updated"], patch);
            }
        }
        card
    }
}
