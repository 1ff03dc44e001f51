//! Invoices: what they say, and how they go from draft to open to paid or void.

use serde_json::{Value, json};

use super::StripeDouble;
use super::failure::{Failure, Outcome};
use super::form::Form;
use super::lists::{self, page, wants};
use super::world::{LIVEMODE, World, number, text, with_nulls};
use super::{invoice_payments, subscriptions};

/// What a new invoice has nothing for.
const NOT_YET: &str = "automatically_finalizes_at default_payment_method description due_date \
    effective_at ending_balance footer hosted_invoice_url invoice_pdf \
    last_finalization_error next_payment_attempt number receipt_number \
    statement_descriptor webhooks_delivered_at";

/// One thing that is charged, or given back.
#[derive(Clone, Debug)]
pub struct Line {
    pub description: String,
    pub amount: i64,
    pub price: Value,
    pub quantity: i64,
    pub period: (i64, i64),
    pub proration: bool,
    pub item: String,
    pub subscription: String,
}

/// What an invoice is made from.
pub struct Draft {
    pub subscription: Value,
    pub reason: &'static str,
    pub lines: Vec<Line>,
    /// The period that has passed.
    pub period: (i64, i64),
}

/// An invoice as a draft says it, not yet there.
pub fn shape(world: &mut World, draft: &Draft, id: &str) -> Value {
    let lines: Vec<_> = draft.lines.iter().map(|line| line_item(world, id, line)).collect();
    let total: i64 = draft.lines.iter().map(|line| line.amount).sum();
    let subscription = &draft.subscription;
    let mut invoice = frame(world, id);
    let facts = json!({
        "billing_reason": draft.reason, "currency": subscription["currency"],
        "customer": subscription["customer"],
        "customer_email": world.the(text(&subscription["customer"]))["email"],
        "lines": lists::list(&format!("/v1/invoices/{id}/lines"), &lines, false),
        "parent": {
            "quote_details": null, "type": "subscription_details",
            "subscription_details": {
                "metadata": subscription["metadata"], "subscription": subscription["id"],
            },
        },
        "period_start": draft.period.0, "period_end": draft.period.1,
        "subtotal": total, "subtotal_excluding_tax": total, "total": total,
        "total_excluding_tax": total,
    });
    for (field, value) in facts.as_object().into_iter().flatten() {
        invoice[field] = value.clone();
    }
    if subscription["id"].is_null() {
        invoice["parent"] = Value::Null;
    }
    apply_balance(world, &mut invoice);
    invoice
}

/// What is the same in every new invoice.
fn frame(world: &World, id: &str) -> Value {
    with_nulls(
        json!({
            "id": id, "object": "invoice", "account_country": "DE", "account_name": "Double",
            "amount_overpaid": 0, "amount_paid": 0, "amount_paid_off_stripe": 0, "amount_shipping": 0,
            "attempt_count": 0, "attempted": false, "auto_advance": true,
            "automatic_tax": {
                "disabled_reason": null, "enabled": false, "liability": null, "provider": null,
                "status": null,
            },
            "collection_method": "charge_automatically",
            "created": world.now, "default_tax_rates": [],
            "discounts": [], "issuer": { "type": "self" }, "livemode": LIVEMODE,
            "metadata": {}, "payment_settings": {
                "default_mandate": null, "payment_method_options": null,
                "payment_method_types": null,
            },
            "post_payment_credit_notes_amount": 0, "pre_payment_credit_notes_amount": 0,
            "status": "draft",
            "status_transitions": {
                "finalized_at": null, "marked_uncollectible_at": null, "paid_at": null,
                "voided_at": null,
            },
            "total_discount_amounts": [], "total_pretax_credit_amounts": [], "total_taxes": [],
        }),
        NOT_YET,
    )
}

fn line_item(world: &mut World, invoice: &str, line: &Line) -> Value {
    let credited = (line.amount < 0).then(|| {
        let invoice = world.the(&line.subscription)["latest_invoice"].clone();
        json!({ "invoice": invoice, "invoice_line_items": ["il_credited"] })
    });
    let details = json!({
        "invoice_item": null, "proration": line.proration,
        "proration_details": { "credited_items": credited }, "subscription": line.subscription,
        "subscription_item": line.item,
    });
    json!({
        "id": world.id("il"), "object": "line_item", "amount": line.amount,
        "currency": line.price["currency"], "description": line.description,
        "discount_amounts": [], "discountable": !line.proration, "discounts": [],
        "invoice": invoice, "livemode": LIVEMODE, "metadata": {},
        "parent": {
            "type": "subscription_item_details", "invoice_item_details": null,
            "subscription_item_details": details,
        },
        "period": { "start": line.period.0, "end": line.period.1 },
        "pretax_credit_amounts": [],
        "pricing": {
            "type": "price_details",
            "price_details": { "price": line.price["id"], "product": line.price["product"] },
            "unit_amount_decimal": line.price["unit_amount_decimal"],
        },
        "quantity": line.quantity, "subscription": line.subscription, "subtotal": line.amount,
        "taxes": [],
    })
}

/// Takes the customer's credit into account; what is below zero becomes credit.
fn apply_balance(world: &World, invoice: &mut Value) {
    let balance = number(&world.the(text(&invoice["customer"]))["balance"]);
    let due = (number(&invoice["total"]) + balance).max(0);
    invoice["starting_balance"] = balance.into();
    invoice["amount_due"] = due.into();
    invoice["amount_remaining"] = due.into();
}

/// A new draft; its id.
pub fn open(world: &mut World, draft: &Draft) -> String {
    let id = world.id("in");
    let invoice = shape(world, draft, &id);
    world.add(Some("invoice.created"), invoice);
    let subscription = text(&draft.subscription["id"]);
    world.set(subscription, json!({ "latest_invoice": id }));
    id
}

/// Opens a draft for payment. One over nothing is paid at once.
pub fn finalize(world: &mut World, id: &str) {
    let mut invoice = world.the(id);
    apply_balance(world, &mut invoice);
    let customer = text(&invoice["customer"]).to_owned();
    let (due, start) = (number(&invoice["amount_due"]), number(&invoice["starting_balance"]));
    let end = start + number(&invoice["total"]) - due;
    let mut transitions = invoice["status_transitions"].clone();
    transitions["finalized_at"] = world.now.into();
    let patch = json!({
        "amount_due": due, "amount_remaining": due, "automatically_finalizes_at": null,
        "effective_at": world.now, "ending_balance": end, "starting_balance": start,
        "hosted_invoice_url": format!("https://invoice.stripe.com/i/{id}"),
        "invoice_pdf": format!("https://pay.stripe.com/invoice/{id}/pdf"),
        "number": format!("DBL-{:04}", world.number()), "status": "open",
        "status_transitions": transitions,
    });
    world.change(id, &["invoice.finalized"], patch);
    world.change(&customer, &["customer.updated"], json!({ "balance": end }));
    if due == 0 {
        mark_paid(world, id);
    } else {
        invoice_payments::prepare(world, id);
    }
}

pub fn mark_paid(world: &mut World, id: &str) {
    let invoice = world.the(id);
    let mut transitions = invoice["status_transitions"].clone();
    transitions["paid_at"] = world.now.into();
    let patch = json!({
        "amount_paid": invoice["amount_due"], "amount_remaining": 0, "attempted": true,
        "auto_advance": false, "next_payment_attempt": null, "status": "paid",
        "status_transitions": transitions,
    });
    world.change(id, &["invoice.updated", "invoice.paid", "invoice.payment_succeeded"], patch);
    subscriptions::hear_paid(world, id);
}

pub fn void(world: &mut World, id: &str) -> Outcome {
    let invoice = world.find("invoice", id)?;
    if invoice["status"] != "open" {
        let message = "You can only void open invoices.";
        return Err(Failure::coded("invoice_not_editable", message));
    }
    let mut transitions = invoice["status_transitions"].clone();
    transitions["voided_at"] = world.now.into();
    let patch = json!({
        "auto_advance": false, "next_payment_attempt": null, "status": "void",
        "status_transitions": transitions,
    });
    let invoice = world.change(id, &["invoice.voided"], patch);
    invoice_payments::abandon(world, id);
    Ok(invoice)
}

/// The subscription of an invoice that has one.
pub fn subscription_of(invoice: &Value) -> Option<&str> {
    invoice["parent"]["subscription_details"]["subscription"].as_str()
}

pub fn list(world: &World, form: &Form) -> Outcome {
    let fits = |invoice: &&Value| {
        ["customer", "status"].iter().all(|field| wants(form, field, &invoice[field]))
            && form
                .text("subscription")
                .is_none_or(|wanted| subscription_of(invoice) == Some(wanted))
    };
    page("/v1/invoices", form, world.all("invoice").filter(fits).cloned().collect())
}

impl StripeDouble {
    /// An operator makes an open invoice void in the dashboard.
    pub fn void_invoice(&self, invoice: &str) -> Value {
        void(&mut self.world(), invoice).expect("an open invoice")
    }

    /// An operator expects an open invoice to be paid no more.
    pub fn give_up_invoice(&self, invoice: &str) -> Value {
        let mut world = self.world();
        let object = world.the(invoice);
        assert_eq!(object["status"], "open", "only an open invoice can be given up");
        let mut transitions = object["status_transitions"].clone();
        transitions["marked_uncollectible_at"] = world.now.into();
        let patch = json!({
            "auto_advance": false, "next_payment_attempt": null, "status": "uncollectible",
            "status_transitions": transitions,
        });
        world.change(invoice, &["invoice.updated", "invoice.marked_uncollectible"], patch)
    }
}
