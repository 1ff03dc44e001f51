//! What people do on the hosted page of a checkout session.

use serde_json::{Value, json};

use super::form::Form;
use super::moods::Mood;
use super::payments::{Bill, intend, settle};
use super::subscriptions::{self, NewSubscription};
use super::world::{World, number, text};
use super::{StripeDouble, cards, checkout, customers};

impl StripeDouble {
    /// Pays by card, at once.
    pub fn pay_checkout(&self, session: &str) -> Value {
        self.submit(session, Some(Mood::Pays))
    }

    /// Pays, by card, another amount than the page was opened for.
    pub fn pay_checkout_with(&self, session: &str, amount: i64) -> Value {
        self.world().set(session, json!({ "amount_total": amount }));
        self.pay_checkout(session)
    }

    /// Pays by a method that takes days: complete and unpaid, until `complete_processing` or
    /// `fail_processing`.
    pub fn pay_checkout_slowly(&self, session: &str) -> Value {
        self.submit(session, Some(Mood::Processes))
    }

    /// The card is declined; the page stays open.
    pub fn decline_checkout(&self, session: &str, code: &'static str) -> Value {
        self.submit(session, Some(Mood::Declines(code)))
    }

    /// The bank wants a confirmation; the page stays open until `authenticate` or
    /// `fail_authentication`.
    pub fn challenge_checkout(&self, session: &str) -> Value {
        self.submit(session, Some(Mood::Authenticates))
    }

    /// Starts a trial without leaving a card.
    pub fn start_trial_without_card(&self, session: &str) -> Value {
        self.submit(session, None)
    }

    /// Leaves the page for good: it is open, and then expires by itself at its time.
    pub fn abandon_checkout(&self, session: &str) -> Value {
        self.object(session)
    }

    /// The page is too old, now.
    pub fn expire_checkout(&self, session: &str) -> Value {
        checkout::expire(&mut self.world(), session).expect("an open session")
    }

    fn submit(&self, session: &str, mood: Option<Mood>) -> Value {
        let mut world = self.world();
        submit(&mut world, session, mood);
        world.the(session)
    }
}

/// Sends the page off, with a card of some mood or none.
fn submit(world: &mut World, id: &str, mood: Option<Mood>) {
    let session = world.the(id);
    assert_eq!(session["status"], "open", "only an open session can be paid");
    let form = world.checkouts[id].clone();
    let customer = customer(world, &session, &form);
    match text(&session["mode"]) {
        "subscription" => subscribe(world, &session, &form, text(&customer), mood),
        _ => buy(world, &session, &form, &customer, mood.unwrap_or_default()),
    }
}

/// Whoever pays: known, made now, or a guest.
fn customer(world: &mut World, session: &Value, form: &Form) -> Value {
    let wanted = session["mode"] == "subscription"
        || form.text("customer_creation") == Some("always")
        || form.has("payment_intent_data.setup_future_usage");
    let email = form.text("customer_email").unwrap_or("guest@example.com").to_owned();
    let customer = match session["customer"].as_str() {
        Some(known) => known.into(),
        None if wanted => {
            let made = customers::create(world, &Form::of(json!({ "email": email })));
            made.expect("an address is enough")["id"].clone()
        }
        None => Value::Null,
    };
    let email = match customer.as_str() {
        Some(customer) => world.the(customer)["email"].clone(),
        None => email.into(),
    };
    let details = json!({
        "address": null, "business_name": null, "email": email, "individual_name": null,
        "name": null, "phone": null, "tax_exempt": "none", "tax_ids": [],
    });
    world.set(text(&session["id"]), json!({ "customer": customer, "customer_details": details }));
    customer
}

fn buy(world: &mut World, session: &Value, form: &Form, customer: &Value, mood: Mood) {
    let id = text(&session["id"]);
    if number(&session["amount_total"]) == 0 {
        return checkout::complete(world, id, "no_payment_required");
    }
    let card = cards::issue(world);
    let data = form.part("payment_intent_data");
    if let (Some(customer), true) = (customer.as_str(), data.has("setup_future_usage")) {
        cards::attach(world, &card, customer);
    }
    let intent = if let Some(intent) = session["payment_intent"].as_str() {
        intent.to_owned()
    } else {
        let bill = Bill {
            customer: customer.clone(),
            method: None,
            amount: number(&session["amount_total"]),
            currency: text(&session["currency"]).to_owned(),
            metadata: data.metadata(&Value::Null).unwrap_or_default(),
            description: data.or_null("description"),
            setup_future_usage: data.or_null("setup_future_usage"),
        };
        intend(world, &bill)
    };
    world.set(&intent, json!({ "payment_method": card }));
    world.set(id, json!({ "payment_intent": intent }));
    settle(world, &intent, mood);
}

fn subscribe(world: &mut World, session: &Value, form: &Form, customer: &str, mood: Option<Mood>) {
    let id = text(&session["id"]);
    // A page makes no subscription for a card that says no.
    if let Some(Mood::Declines(_)) = mood {
        return;
    }
    let method = mood.map(|_| {
        let card = cards::issue(world);
        cards::attach(world, &card, customer);
        card
    });
    if let Some(waiting) = session["subscription"].as_str() {
        world.set(waiting, json!({ "default_payment_method": method }));
        return subscriptions::pay_first(world, waiting, mood.unwrap_or_default());
    }
    let data = form.part("subscription_data");
    let lines = world.hidden(id, "line_items")["data"].as_array().cloned().unwrap_or_default();
    let order = NewSubscription {
        customer: customer.to_owned(),
        items: lines
            .iter()
            .map(|line| (line["price"].clone(), number(&line["quantity"])))
            .collect(),
        metadata: data.metadata(&Value::Null).unwrap_or_default(),
        description: data.or_null("description"),
        method,
        trial_end: checkout::trial_end(world, form).unwrap_or_default(),
        without_card: data
            .text("trial_settings.end_behavior.missing_payment_method")
            .map(str::to_owned),
        mood: mood.unwrap_or_default(),
    };
    let subscription = subscriptions::start(world, &order);
    let made = world.the(&subscription);
    let patch = json!({ "subscription": subscription, "invoice": made["latest_invoice"] });
    world.set(id, patch);
    match text(&made["status"]) {
        "trialing" => checkout::complete(world, id, "no_payment_required"),
        "active" if number(&session["amount_total"]) == 0 => {
            checkout::complete(world, id, "no_payment_required");
        }
        _ => subscriptions::tell_checkout(world, &subscription),
    }
}
