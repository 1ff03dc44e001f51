//! Charges: the attempts to take money, and what was given back of it.

use serde_json::{Value, json};

use super::StripeDouble;
use super::failure::Outcome;
use super::form::Form;
use super::lists::{page, wants};
use super::payments::charge_of;
use super::world::{LIVEMODE, World, with_nulls};

/// What a new charge has nothing for.
const NOT_YET: &str = "application application_fee application_fee_amount balance_transaction \
    on_behalf_of outcome payment_method_details receipt_email receipt_number review \
    shipping source_transfer statement_descriptor statement_descriptor_suffix \
    transfer_data transfer_group";

/// An attempt, with how it ended; its id.
pub fn charge(world: &mut World, intent: &str, status: &str, failure: Option<&str>) -> String {
    let intent = world.the(intent);
    let id = world.id("ch");
    let paid = status == "succeeded";
    let charge = with_nulls(
        json!({
            "id": id, "object": "charge", "amount": intent["amount"],
            "amount_captured": if paid { intent["amount"].clone() } else { json!(0) },
            "amount_refunded": 0, "billing_details": {
                "address": null, "email": null, "name": null, "phone": null, "tax_id": null,
            },
            "calculated_statement_descriptor": "DOUBLE", "captured": status != "failed",
            "created": world.now, "currency": intent["currency"], "customer": intent["customer"],
            "description": intent["description"], "disputed": false, "failure_code": failure,
            "failure_message": failure.map(|_| "Your card was declined."), "fraud_details": {},
            "livemode": LIVEMODE, "metadata": intent["metadata"], "paid": paid, "payment_intent": intent["id"],
            "payment_method": intent["payment_method"], "receipt_url": paid.then(|| format!("https://pay.stripe.com/receipts/{id}")),
            "refunded": false, "status": status,
        }),
        NOT_YET,
    );
    world.add(Some(&format!("charge.{status}")), charge);
    id
}

pub fn list(world: &World, form: &Form) -> Outcome {
    let fits = |charge: &&Value| {
        let filters = ["customer", "payment_intent"];
        filters.iter().all(|field| wants(form, field, &charge[field]))
    };
    page("/v1/charges", form, world.all("charge").filter(fits).cloned().collect())
}

impl StripeDouble {
    /// A card network warns that a payment was probably fraud. Takes what leads to the charge.
    pub fn warn_of_fraud(&self, payment: &str) -> String {
        let mut world = self.world();
        let charge = charge_of(&world, payment);
        let intent = world.the(&charge)["payment_intent"].clone();
        let id = world.id("issfr");
        let warning = json!({
            "id": id, "object": "radar.early_fraud_warning", "actionable": true,
            "charge": charge, "created": world.now, "fraud_type": "made_with_stolen_card",
            "livemode": LIVEMODE, "payment_intent": intent,
        });
        world.add(Some("radar.early_fraud_warning.created"), warning);
        id
    }
}
