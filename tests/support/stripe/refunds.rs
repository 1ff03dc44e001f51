//! Refunds, made by an application or in the dashboard.

use serde_json::{Value, json};

use super::StripeDouble;
use super::failure::{Failure, Outcome};
use super::form::Form;
use super::lists::{page, wants};
use super::payments::charge_of;
use super::world::{World, number, text};

pub fn create(world: &mut World, form: &Form) -> Outcome {
    let charge = match (form.text("charge"), form.text("payment_intent")) {
        (Some(charge), _) => world.find_at("charge", "charge", charge)?,
        (None, Some(intent)) => {
            let intent = world.find_at("payment_intent", "payment_intent", intent)?;
            let charge =
                intent["latest_charge"].as_str().filter(|_| intent["status"] == "succeeded");
            let message = "This PaymentIntent does not have a successful charge to refund.";
            let charge = charge.ok_or_else(|| {
                Failure::coded("payment_intent_unexpected_state", message).at("payment_intent")
            })?;
            world.the(charge)
        }
        (None, None) => return Err(Failure::missing("payment_intent")),
    };
    let reasons = ["", "duplicate", "fraudulent", "requested_by_customer"];
    let reason = Some(form.one_of("reason", &reasons)?).filter(|reason| !reason.is_empty());
    let metadata = form.metadata(&Value::Null)?;
    make(world, &charge, form.integer("amount")?, reason, &metadata)
}

fn make(
    world: &mut World,
    charge: &Value,
    amount: Option<i64>,
    reason: Option<&str>,
    metadata: &Value,
) -> Outcome {
    let left = number(&charge["amount"]) - number(&charge["amount_refunded"]);
    let amount = amount.unwrap_or(left);
    may(world, charge, amount, left)?;
    let status = if world.moods.refunds_wait { "pending" } else { "succeeded" };
    let refund = json!({
        "id": world.id("re"), "object": "refund", "amount": amount,
        "balance_transaction": world.id("txn"), "charge": charge["id"], "created": world.now,
        "currency": charge["currency"],
        "destination_details": {
            "type": "card",
            "card": {
                "reference_status": "pending", "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
        },
        "metadata": metadata, "payment_intent": charge["payment_intent"], "reason": reason,
        "receipt_number": null, "source_transfer_reversal": null, "status": status,
        "transfer_reversal": null,
    });
    let refund = world.add(Some("refund.created"), refund);
    count(world, text(&charge["id"]), &["charge.refunded"]);
    Ok(refund)
}

/// Whether a bank has the money, or may take it: not where it has given in.
fn is_contested(world: &World, charge: &Value) -> bool {
    let given_in = |dispute: &Value| ["won", "warning_closed"].contains(&text(&dispute["status"]));
    let mut disputes = world.all("dispute").filter(|dispute| dispute["charge"] == charge["id"]);
    disputes.any(|dispute| !given_in(dispute))
}

fn may(world: &World, charge: &Value, amount: i64, left: i64) -> Outcome<()> {
    if is_contested(world, charge) {
        let message = "This charge has been disputed and cannot be refunded.";
        return Err(Failure::coded("charge_disputed", message));
    }
    if left == 0 {
        let message = format!("Charge {} has already been refunded.", text(&charge["id"]));
        return Err(Failure::coded("charge_already_refunded", &message));
    }
    if charge["paid"] != true || amount <= 0 || amount > left {
        let message = format!(
            "Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        );
        return Err(Failure::invalid(&message).at("amount"));
    }
    Ok(())
}

/// Writes on a charge what is refunded of it: all that did not fail.
fn count(world: &mut World, charge: &str, events: &[&str]) {
    let alive = |refund: &Value| ["pending", "succeeded"].contains(&text(&refund["status"]));
    let refunds = world.with("refund", "charge", charge);
    let sum: i64 =
        refunds.iter().filter(|refund| alive(refund)).map(|refund| number(&refund["amount"])).sum();
    let whole = number(&world.the(charge)["amount"]) == sum;
    world.change(charge, events, json!({ "amount_refunded": sum, "refunded": whole }));
}

pub fn list(world: &World, form: &Form) -> Outcome {
    let fits = |refund: &&Value| {
        ["charge", "payment_intent"].iter().all(|field| wants(form, field, &refund[field]))
    };
    page("/v1/refunds", form, world.all("refund").filter(fits).cloned().collect())
}

impl StripeDouble {
    /// How much of a payment can still be refunded: nothing while it is disputed.
    pub fn refundable(&self, payment: &str) -> i64 {
        let world = self.world();
        let charge = world.the(&charge_of(&world, payment));
        if charge["paid"] != true || is_contested(&world, &charge) {
            return 0;
        }
        number(&charge["amount"]) - number(&charge["amount_refunded"])
    }

    /// Somebody refunds in the dashboard, all that is left or a part. Takes what leads to the charge.
    pub fn refund(&self, payment: &str, amount: Option<i64>) -> String {
        let mut world = self.world();
        let charge = charge_of(&world, payment);
        let charge = world.the(&charge);
        let reason = Some("requested_by_customer");
        let refund = make(&mut world, &charge, amount, reason, &json!({}));
        text(&refund.expect("a charge that can be refunded")["id"]).to_owned()
    }

    /// A pending refund arrives.
    pub fn settle_refund(&self, refund: &str) {
        let patch = json!({ "status": "succeeded" });
        self.world().change(refund, &["refund.updated", "charge.refund.updated"], patch);
    }

    /// A refund does not arrive, be it that it was said to have succeeded: the money is ours again.
    pub fn fail_refund(&self, refund: &str) {
        let mut world = self.world();
        let patch = json!({
            "status": "failed", "failure_reason": "lost_or_stolen_card",
            "failure_balance_transaction": world.id("txn"),
        });
        let events = ["refund.updated", "refund.failed", "charge.refund.updated"];
        let refund = world.change(refund, &events, patch);
        count(&mut world, text(&refund["charge"]), &["charge.updated"]);
    }
}
