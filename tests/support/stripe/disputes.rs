//! Disputes: the bank takes money back, and may bring it again.

use serde_json::{Map, Value, json};

use super::StripeDouble;
use super::failure::Outcome;
use super::form::Form;
use super::lists::{page, wants};
use super::payments::charge_of;
use super::world::{LIVEMODE, World, number, text};

/// What a dispute costs besides.
const FEE: i64 = 1500;
/// How long there is to answer.
const TO_ANSWER: i64 = 7 * 24 * 3600;
/// The names of what evidence may be given; none is.
const EVIDENCE: [&str; 27] = [
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
];

/// Whether a dispute takes the money at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Funds {
    Withdrawn,
    Untouched,
}

fn make(world: &mut World, charge: &str, amount: Option<i64>, status: &str) -> String {
    let charge = world.the(charge);
    let whole = number(&charge["amount"]);
    let amount = amount.unwrap_or(whole);
    assert!((1..=whole).contains(&amount), "a dispute is over a part of {whole} at most");
    let mut evidence: Map<_, _> =
        EVIDENCE.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    evidence.insert("enhanced_evidence".to_owned(), json!({}));
    let id = world.id("du");
    let inquiry = status.starts_with("warning_");
    let dispute = json!({
        "id": id, "object": "dispute", "amount": amount, "balance_transactions": [],
        "charge": charge["id"], "created": world.now, "currency": charge["currency"],
        "enhanced_eligibility_types": [], "evidence": evidence,
        "evidence_details": {
            "due_by": world.now + TO_ANSWER, "enhanced_eligibility": {}, "has_evidence": false,
            "past_due": false, "submission_count": 0,
        },
        "is_charge_refundable": inquiry, "livemode": LIVEMODE, "metadata": {},
        "payment_intent": charge["payment_intent"], "reason": "fraudulent", "status": status,
    });
    world.add(Some("charge.dispute.created"), dispute);
    world.change(text(&charge["id"]), &["charge.updated"], json!({ "disputed": true }));
    id
}

/// Money goes (below zero) or comes back, with the transaction that says so.
fn move_funds(world: &mut World, id: &str, amount: i64) {
    let dispute = world.the(id);
    let gone = amount < 0;
    let (fee, event) = if gone {
        (FEE, "charge.dispute.funds_withdrawn")
    } else {
        (0, "charge.dispute.funds_reinstated")
    };
    let details = json!([{
        "amount": fee, "application": null, "currency": dispute["currency"],
        "description": "Dispute fee", "type": "stripe_fee",
    }]);
    let transaction = json!({
        "id": world.id("txn"), "object": "balance_transaction", "amount": amount,
        "available_on": world.now, "balance_type": "payments", "created": world.now,
        "currency": dispute["currency"], "description": "Chargeback", "exchange_rate": null,
        "fee": fee, "fee_details": if gone { details } else { json!([]) }, "net": amount - fee,
        "reporting_category": if gone { "dispute" } else { "dispute_reversal" }, "source": id,
        "status": "available", "type": "adjustment",
    });
    let mut transactions = dispute["balance_transactions"].clone();
    transactions.as_array_mut().expect("a list").push(transaction);
    world.change(id, &[event], json!({ "balance_transactions": transactions }));
}

/// How much of a dispute's money is gone.
pub fn withdrawn(dispute: &Value) -> i64 {
    let transactions = dispute["balance_transactions"].as_array().into_iter().flatten();
    -transactions.map(|transaction| number(&transaction["amount"])).sum::<i64>()
}

pub fn list(world: &World, form: &Form) -> Outcome {
    let fits = |dispute: &&Value| {
        ["charge", "payment_intent"].iter().all(|field| wants(form, field, &dispute[field]))
    };
    page("/v1/disputes", form, world.all("dispute").filter(fits).cloned().collect())
}

impl StripeDouble {
    /// The bank opens a dispute over all or a part. Takes what leads to the charge.
    pub fn open_dispute(&self, payment: &str, amount: Option<i64>, funds: Funds) -> String {
        let mut world = self.world();
        let charge = charge_of(&world, payment);
        let id = make(&mut world, &charge, amount, "needs_response");
        if funds == Funds::Withdrawn {
            let amount = number(&world.the(&id)["amount"]);
            move_funds(&mut world, &id, -amount);
        }
        id
    }

    /// The bank asks only; no money moves.
    pub fn open_inquiry(&self, payment: &str, amount: Option<i64>) -> String {
        let mut world = self.world();
        let charge = charge_of(&world, payment);
        make(&mut world, &charge, amount, "warning_needs_response")
    }

    /// An inquiry becomes a dispute.
    pub fn escalate_inquiry(&self, dispute: &str) {
        let patch = json!({ "status": "needs_response", "is_charge_refundable": false });
        self.world().change(dispute, &["charge.dispute.updated"], patch);
        self.withdraw_funds(dispute);
    }

    /// An inquiry ends without a dispute.
    pub fn close_inquiry(&self, dispute: &str) {
        self.close(dispute, "warning_closed");
    }

    /// The money goes, later than the dispute came.
    pub fn withdraw_funds(&self, dispute: &str) {
        let mut world = self.world();
        let dispute_now = world.the(dispute);
        let left = number(&dispute_now["amount"]) - withdrawn(&dispute_now);
        move_funds(&mut world, dispute, -left);
    }

    /// We gave evidence; the bank looks at it.
    pub fn review_dispute(&self, dispute: &str) {
        let patch = json!({ "status": "under_review" });
        self.world().change(dispute, &["charge.dispute.updated"], patch);
    }

    /// We win: what was withdrawn comes back.
    pub fn win_dispute(&self, dispute: &str) {
        self.close(dispute, "won");
        if withdrawn(&self.object(dispute)) > 0 {
            self.reinstate_funds(dispute, None);
        }
    }

    pub fn lose_dispute(&self, dispute: &str) {
        self.close(dispute, "lost");
    }

    /// Money comes back, all that is gone or a part, whatever the status is.
    pub fn reinstate_funds(&self, dispute: &str, amount: Option<i64>) {
        let mut world = self.world();
        let gone = withdrawn(&world.the(dispute));
        move_funds(&mut world, dispute, amount.unwrap_or(gone));
    }

    fn close(&self, dispute: &str, status: &str) {
        let patch = json!({ "status": status });
        let events = ["charge.dispute.updated", "charge.dispute.closed"];
        self.world().change(dispute, &events, patch);
    }
}
