//! How money moves: an intent meets a bank, and whoever waits for it hears of it.

use serde_json::{Value, json};

use super::StripeDouble;
use super::moods::Mood;
use super::world::{LIVEMODE, World, number, text, with_nulls};
use super::{charges, checkout, invoice_payments};

/// What a new intent has nothing for.
const NOT_YET: &str = "application automatic_payment_methods canceled_at cancellation_reason \
    last_payment_error latest_charge next_action processing receipt_email review \
    shipping statement_descriptor transfer_group";

/// What somebody is to pay.
pub struct Bill {
    pub customer: Value,
    pub method: Option<String>,
    pub amount: i64,
    pub currency: String,
    pub metadata: Value,
    pub description: Value,
    pub setup_future_usage: Value,
}

/// A payment intent that nobody confirmed yet.
pub fn intend(world: &mut World, bill: &Bill) -> String {
    let id = world.id("pi");
    let status =
        if bill.method.is_some() { "requires_confirmation" } else { "requires_payment_method" };
    let intent = with_nulls(
        json!({
            "id": id, "object": "payment_intent", "amount": bill.amount, "amount_capturable": 0,
            "amount_received": 0, "capture_method": "automatic_async",
            "client_secret": format!("{id}_secret_double"), "confirmation_method": "automatic",
            "created": world.now, "currency": bill.currency, "customer": bill.customer,
            "description": bill.description, "livemode": LIVEMODE, "metadata": bill.metadata, "payment_method": bill.method, "payment_method_types": ["card"], "setup_future_usage": bill.setup_future_usage,
            "status": status,
        }),
        NOT_YET,
    );
    world.add(Some("payment_intent.created"), intent);
    id
}

/// The bank answers, and whoever waits for the money hears of it.
pub fn settle(world: &mut World, intent: &str, mood: Mood) {
    match mood {
        Mood::Pays => succeed(world, intent),
        Mood::Declines(code) => decline(world, intent, code),
        Mood::Authenticates => {
            let action = json!({
                "type": "redirect_to_url",
                "redirect_to_url": {
                    "return_url": null, "url": format!("https://hooks.stripe.com/3ds/{intent}"),
                },
            });
            let patch = json!({ "status": "requires_action", "next_action": action });
            world.change(intent, &["payment_intent.requires_action"], patch);
        }
        Mood::Processes => {
            let charge = charges::charge(world, intent, "pending", None);
            let patch =
                json!({ "status": "processing", "latest_charge": charge, "next_action": null });
            world.change(intent, &["payment_intent.processing"], patch);
        }
    }
    invoice_payments::hear(world, intent);
    checkout::hear(world, intent);
}

fn succeed(world: &mut World, intent: &str) {
    let before = world.the(intent);
    let charge = match (text(&before["status"]), before["latest_charge"].as_str()) {
        ("processing", Some(charge)) => {
            let patch = json!({
                "status": "succeeded", "paid": true, "amount_captured": before["amount"],
            });
            world.change(charge, &["charge.succeeded"], patch);
            charge.to_owned()
        }
        _ => charges::charge(world, intent, "succeeded", None),
    };
    let patch = json!({
        "status": "succeeded", "latest_charge": charge, "amount_received": before["amount"],
        "next_action": null, "last_payment_error": null,
    });
    world.change(intent, &["payment_intent.succeeded"], patch);
}

fn decline(world: &mut World, intent: &str, code: &str) {
    let before = world.the(intent);
    let charge = match (text(&before["status"]), before["latest_charge"].as_str()) {
        ("processing", Some(charge)) => {
            let patch = json!({
                "status": "failed", "failure_code": code, "failure_message": "It failed.",
            });
            world.change(charge, &["charge.failed"], patch);
            charge.to_owned()
        }
        _ => charges::charge(world, intent, "failed", Some(code)),
    };
    let problem = json!({
        "type": "card_error", "code": "card_declined", "decline_code": code,
        "message": "Your card was declined.", "charge": charge,
    });
    let patch = json!({
        "status": "requires_payment_method", "latest_charge": charge, "payment_method": null,
        "last_payment_error": problem, "next_action": null,
    });
    world.change(intent, &["payment_intent.payment_failed"], patch);
}

/// The intent behind what a test knows: itself, a charge, an invoice, a checkout session, or a
/// subscription, whose latest invoice it is then.
pub fn intent_of(world: &World, id: &str) -> Option<String> {
    let object = world.get(id)?;
    let from = |field: &str| object[field].as_str().map(str::to_owned);
    match text(&object["object"]) {
        "payment_intent" => Some(id.to_owned()),
        "charge" => from("payment_intent"),
        "invoice" => invoice_payments::intent_of(world, id),
        "subscription" => intent_of(world, &from("latest_invoice")?),
        "checkout.session" => {
            from("payment_intent").or_else(|| intent_of(world, &from("invoice")?))
        }
        _ => None,
    }
}

/// The charge that took the money.
pub fn charge_of(world: &World, id: &str) -> String {
    let intent = intent_of(world, id).unwrap_or_else(|| panic!("nothing was paid for {id}"));
    let charge = &world.the(&intent)["latest_charge"];
    charge.as_str().unwrap_or_else(|| panic!("nothing was paid for {id}")).to_owned()
}

impl StripeDouble {
    /// The person confirms what the bank asked (3-D Secure). Takes what leads to the intent.
    pub fn authenticate(&self, id: &str) {
        self.end(id, "requires_action", Mood::Pays);
    }

    /// The person does not confirm what the bank asked.
    pub fn fail_authentication(&self, id: &str) {
        let failed = Mood::Declines("payment_intent_authentication_failure");
        self.end(id, "requires_action", failed);
    }

    /// The money of a payment that took its time has come.
    pub fn complete_processing(&self, id: &str) {
        self.end(id, "processing", Mood::Pays);
    }

    /// The money of a payment that took its time will not come.
    pub fn fail_processing(&self, id: &str) {
        self.end(id, "processing", Mood::Declines("generic_decline"));
    }

    fn end(&self, id: &str, from: &str, mood: Mood) {
        let mut world = self.world();
        let intent = intent_of(&world, id).unwrap_or_else(|| panic!("no payment behind {id}"));
        let status = world.the(&intent)["status"].clone();
        assert_eq!(status, from, "the payment behind {id}");
        settle(&mut world, &intent, mood);
    }

    /// How much was paid for what leads to an intent.
    pub fn paid_for(&self, id: &str) -> i64 {
        let world = self.world();
        intent_of(&world, id).map_or(0, |intent| number(&world.the(&intent)["amount_received"]))
    }
}
