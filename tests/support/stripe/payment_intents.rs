//! Payment intents, as an application makes them: a saved card is charged without its owner.

use serde_json::{Value, json};

use super::failure::{Failure, Outcome};
use super::form::Form;
use super::lists::{page, wants};
use super::moods::Mood;
use super::payments::{Bill, intend, settle};
use super::world::{World, text};

pub fn create(world: &mut World, form: &Form) -> Outcome {
    let amount = form.integer("amount")?.ok_or_else(|| Failure::missing("amount"))?;
    if amount <= 0 {
        let message = "This value must be greater than or equal to 1.";
        return Err(Failure::coded("parameter_invalid_integer", message).at("amount"));
    }
    let customer = form.or_null("customer");
    if let Some(id) = customer.as_str() {
        world.find_at("customer", "customer", id)?;
    }
    let method = form.text("payment_method").map(str::to_owned);
    may_use(world, method.as_deref(), &customer)?;
    let confirm = form.flag("confirm")?.unwrap_or(false);
    let off_session = form.flag("off_session")?.unwrap_or(false);
    if off_session && !confirm {
        let message = "You can only set `off_session` when `confirm` is true.";
        return Err(Failure::invalid(message).at("off_session"));
    }
    if confirm && method.is_none() {
        return Err(Failure::missing("payment_method"));
    }
    let bill = Bill {
        customer,
        method,
        amount,
        currency: form.required("currency")?.to_lowercase(),
        metadata: form.metadata(&Value::Null)?,
        description: form.or_null("description"),
        setup_future_usage: form.or_null("setup_future_usage"),
    };
    let intent = intend(world, &bill);
    if confirm {
        return ask_bank(world, &intent, off_session);
    }
    Ok(world.the(&intent))
}

pub fn confirm(world: &mut World, id: &str, form: &Form) -> Outcome {
    let intent = world.find("payment_intent", id)?;
    if !text(&intent["status"]).starts_with("requires_") {
        return Err(unexpected(&intent, "confirmed"));
    }
    let off_session = form.flag("off_session")?.unwrap_or(false);
    if let Some(method) = form.text("payment_method") {
        may_use(world, Some(method), &intent["customer"])?;
        world.set(id, json!({ "payment_method": method }));
    } else if intent["payment_method"].is_null() {
        return Err(Failure::missing("payment_method"));
    }
    ask_bank(world, id, off_session)
}

pub fn cancel(world: &mut World, id: &str) -> Outcome {
    let intent = world.find("payment_intent", id)?;
    if !text(&intent["status"]).starts_with("requires_") {
        return Err(unexpected(&intent, "canceled"));
    }
    let patch = json!({ "status": "canceled", "canceled_at": world.now, "next_action": null });
    Ok(world.change(id, &["payment_intent.canceled"], patch))
}

pub fn list(world: &World, form: &Form) -> Outcome {
    let all = world.all("payment_intent");
    let all = all.filter(|intent| wants(form, "customer", &intent["customer"]));
    page("/v1/payment_intents", form, all.cloned().collect())
}

/// Nobody is there to confirm: a bank that asks for it has declined.
fn ask_bank(world: &mut World, intent: &str, off_session: bool) -> Outcome {
    let method = world.the(intent)["payment_method"].clone();
    let mood = match world.mood_of(method.as_str()) {
        Mood::Authenticates if off_session => Mood::Declines("authentication_required"),
        mood => mood,
    };
    settle(world, intent, mood);
    let intent = world.the(intent);
    match mood {
        Mood::Declines(code) => Err(Failure::declined(code, &intent)),
        _ => Ok(intent),
    }
}

fn may_use(world: &World, method: Option<&str>, customer: &Value) -> Outcome<()> {
    let Some(method) = method else { return Ok(()) };
    let found = world.find_at("payment_method", "payment_method", method)?;
    if found["customer"].is_string() && found["customer"] != *customer {
        let message = "The payment method belongs to another customer.";
        return Err(Failure::invalid(message).at("payment_method"));
    }
    Ok(())
}

fn unexpected(intent: &Value, done: &str) -> Failure {
    let status = text(&intent["status"]);
    let message = format!("This PaymentIntent could not be {done}: its status is {status}.");
    let mut failure = Failure::coded("payment_intent_unexpected_state", &message);
    failure.error["payment_intent"] = intent.clone();
    failure
}
