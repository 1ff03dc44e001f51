//! Objects in the shapes that Stripe had before, which are read as those of today.

use serde_json::{Value, json};

use crate::answers::*;
use crate::server::{Server, ok};

/// Before 2025-03-31 (basil) a subscription had one period for all its items.
fn old_subscription() -> Value {
    let mut old = subscription();
    let item = old["items"]["data"][0].as_object_mut().expect("an item");
    let (start, end) = (item.remove("current_period_start"), item.remove("current_period_end"));
    old["current_period_start"] = start.expect("it was there");
    old["current_period_end"] = end.expect("it was there");
    old
}

#[tokio::test]
async fn a_subscription_with_one_period_is_read() {
    let server = Server::answering([ok(old_subscription()), ok(subscription())]).await;
    let stripe = server.stripe();
    let old = stripe.subscription("sub_1").await.expect("a subscription");
    assert_eq!(old, stripe.subscription("sub_1").await.expect("a subscription"));
}

#[tokio::test]
async fn a_subscription_with_plans_and_whole_customers_is_read() {
    let mut old = old_subscription();
    let item = old["items"]["data"][0].as_object_mut().expect("an item");
    item.remove("price");
    item.insert("plan".to_owned(), json!({ "id": "price_1", "object": "plan" }));
    old["customer"] = customer();
    old["items"].as_object_mut().expect("a list").remove("has_more");
    let server = Server::answering([ok(old), ok(subscription())]).await;
    let stripe = server.stripe();
    let old = stripe.subscription("sub_1").await.expect("a subscription");
    assert_eq!(old, stripe.subscription("sub_1").await.expect("a subscription"));
}

#[tokio::test]
async fn an_invoice_from_before_basil_is_read() {
    let mut old = invoice();
    let fields = old.as_object_mut().expect("an invoice");
    fields.remove("parent");
    fields.remove("payments");
    fields.insert("subscription".to_owned(), json!("sub_1"));
    fields.insert("payment_intent".to_owned(), json!({ "id": "pi_1" }));
    let line = old["lines"]["data"][0].as_object_mut().expect("a line");
    line.remove("parent");
    line.remove("pricing");
    line.insert("proration".to_owned(), json!(false));
    line.insert("price".to_owned(), json!({ "id": "price_1" }));
    let server = Server::answering([ok(old), ok(invoice())]).await;
    let stripe = server.stripe();
    let old = stripe.invoice("in_1").await.expect("an invoice");
    assert_eq!(old, stripe.invoice("in_1").await.expect("an invoice"));
}

#[tokio::test]
async fn both_kinds_of_prorations_are_read() {
    let proration = json!({ "proration": true, "subscription": "sub_1" });
    let mut item = line();
    item["parent"] = json!({ "type": "invoice_item_details", "invoice_item_details": proration });
    let mut subscription = line();
    subscription["parent"]["subscription_item_details"]["proration"] = json!(true);
    let mut prorated = invoice();
    prorated["lines"]["data"] = json!([item, subscription]);
    let server = Server::answering([ok(prorated)]).await;
    let invoice = server.stripe().invoice("in_1").await.expect("an invoice");
    assert!(invoice.lines.iter().all(|line| line.proration), "{invoice:?}");
    assert_eq!(invoice.lines.len(), 2);
}

/// With a discount of all of it, what is given back and what takes its place are both nothing.
#[tokio::test]
async fn what_gives_a_part_back_is_told_apart_where_neither_costs_anything() {
    let part = |amount: i64, credited: Value| {
        let mut part = line();
        part["amount"] = json!(amount);
        let details = &mut part["parent"]["subscription_item_details"];
        details["proration"] = json!(true);
        details["proration_details"] = json!({ "credited_items": credited });
        part
    };
    let credited = json!({ "invoice": "in_0", "invoice_line_items": ["il_0"] });
    let mut old = part(0, credited.clone());
    let details = old["parent"]["subscription_item_details"]["proration_details"].clone();
    let fields = old.as_object_mut().expect("a line");
    fields.remove("parent");
    fields.insert("proration".to_owned(), json!(true));
    fields.insert("proration_details".to_owned(), details);
    let mut prorated = invoice();
    prorated["lines"]["data"] = json!([
        part(0, credited.clone()),
        part(0, Value::Null),
        part(-900, credited),
        part(900, Value::Null),
        old,
    ]);
    let mut untold = invoice();
    untold["lines"]["data"] = json!([part(0, Value::Null)]);
    let details = &mut untold["lines"]["data"][0]["parent"]["subscription_item_details"];
    details["proration_details"] = Value::Null;
    let server = Server::answering([ok(prorated), ok(untold)]).await;
    let stripe = server.stripe();
    let invoice = stripe.invoice("in_1").await.expect("an invoice");
    let back: Vec<_> = invoice.lines.iter().map(|line| line.gives_back).collect();
    assert_eq!(back, [true, false, true, false, true]);
    assert!(stripe.invoice("in_1").await.is_err(), "it is one or the other");
}

#[tokio::test]
async fn a_payment_with_a_list_of_charges_is_read() {
    let mut old = payment_intent();
    old.as_object_mut().expect("an intent").remove("latest_charge");
    old["charges"] = list(&[charge()]);
    let nothing = || ok(list(&[]));
    let server = Server::answering([ok(old), ok(charge()), nothing(), nothing()]).await;
    let payment = server.stripe().payment("pi_1").await.expect("a payment");
    assert_eq!(payment.charge.as_deref(), Some("ch_1"));
    assert!(payment.receipt_url.is_some());
}

#[tokio::test]
async fn a_payment_that_did_not_expand_its_charge_is_read() {
    let nothing = || ok(list(&[]));
    let answers = [ok(payment_intent()), ok(charge()), nothing(), nothing()];
    let server = Server::answering(answers).await;
    let payment = server.stripe().payment("pi_1").await.expect("a payment");
    assert!(payment.receipt_url.is_some());
}
