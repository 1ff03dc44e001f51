//! What is read of Stripe's objects, and that what is missing is named.

use saldo::clients::stripe::{
    BillingReason, CheckoutMode, CheckoutPayment, CheckoutStatus, IntentStatus, Interval,
    InvoiceStatus, Link, RefundStatus, Stripe, StripeError, SubscriptionStatus,
};
use serde_json::{Value, json};

use crate::answers::*;
use crate::server::{Answer, Server, ok};

async fn told(answer: Value) -> Stripe {
    Server::answering([ok(answer)]).await.stripe()
}

#[tokio::test]
async fn a_checkout_is_read() {
    let checkout = told(checkout()).await.checkout("cs_1").await.expect("a checkout");
    assert_eq!(checkout.mode, CheckoutMode::Payment);
    assert_eq!(checkout.status, CheckoutStatus::Complete);
    assert_eq!(checkout.payment_status, CheckoutPayment::Paid);
    assert_eq!(checkout.payment_intent.as_deref(), Some("pi_1"));
    assert_eq!(checkout.subscription, None);
    assert_eq!(checkout.client_reference_id.as_deref(), Some("purchase-1"));
    assert_eq!((checkout.amount_total, checkout.currency.as_deref()), (Some(900), Some("usd")));
    assert_eq!(checkout.metadata["purchase"], "purchase-1");
}

#[tokio::test]
async fn a_subscription_is_read() {
    let subscription = told(subscription()).await.subscription("sub_1").await;
    let subscription = subscription.expect("a subscription");
    assert_eq!(subscription.status, SubscriptionStatus::Active);
    let [item] = subscription.items.as_slice() else { panic!("{subscription:?}") };
    assert_eq!((item.id.as_str(), item.price.as_str(), item.quantity), ("si_1", "price_1", 1));
    assert_eq!(item.period_start.timestamp(), 1_790_000_000);
    assert_eq!(item.period_end.timestamp(), 1_792_592_000);
    assert_eq!(subscription.latest_invoice.as_deref(), Some("in_1"));
}

#[tokio::test]
async fn a_change_that_waits_to_be_paid_for_is_read() {
    let mut waits = subscription();
    waits["pending_update"] = json!({
        "expires_at": 1_790_082_800,
        "subscription_items": [{ "id": "si_1", "price": { "id": "price_2" } }],
    });
    let subscription = told(waits).await.subscription("sub_1").await.expect("a subscription");
    let pending = subscription.pending_update.expect("a change");
    assert_eq!(pending.prices, ["price_2"]);
    assert_eq!(subscription.items[0].price, "price_1");
}

#[tokio::test]
async fn an_invoice_is_read() {
    let server = Server::answering([ok(invoice())]).await;
    let invoice = server.stripe().invoice("in_1").await.expect("an invoice");
    assert_eq!(invoice.status, InvoiceStatus::Paid);
    assert_eq!(invoice.billing_reason, Some(BillingReason::SubscriptionCycle));
    assert_eq!(invoice.subscription.as_deref(), Some("sub_1"));
    assert_eq!(invoice.payment_intents, ["pi_1"]);
    assert_eq!((invoice.amount_paid, invoice.amount_due, invoice.total), (900, 900, 900));
    assert_eq!(invoice.paid_at.map(|at| at.timestamp()), Some(1_790_000_060));
    let [line] = invoice.lines.as_slice() else { panic!("{invoice:?}") };
    assert_eq!((line.price.as_deref(), line.amount, line.proration), (Some("price_1"), 900, false));
    assert_eq!(line.period.end.timestamp(), 1_792_592_000);
    assert_eq!(server.asked_once().field("expand[0]"), Some("payments"));
}

#[tokio::test]
async fn a_price_is_read() {
    let price = told(list(&[price()])).await.find_price("plan-basic").await;
    let price = price.expect("an answer").expect("a price");
    assert_eq!((price.unit_amount, price.currency.as_str()), (Some(900), "usd"));
    let cadence = price.cadence.expect("a cadence");
    assert_eq!((cadence.interval, cadence.count), (Interval::Month, 1));
    assert_eq!(told(list(&[])).await.find_price("plan-basic").await, Ok(None));
}

#[tokio::test]
async fn a_payment_is_read_with_all_that_came_of_it() {
    let mut intent = payment_intent();
    intent["latest_charge"] = charge();
    let mut failed = refund();
    failed["status"] = json!("failed");
    let mut inquiry = dispute();
    inquiry["status"] = json!("warning_needs_response");
    inquiry["balance_transactions"] = json!([]);
    let refunds = list(&[refund(), failed]);
    let disputes = list(&[dispute(), inquiry]);
    let server = Server::answering([ok(charge()), ok(intent), ok(refunds), ok(disputes)]).await;
    let payment = server.stripe().payment_of_charge("ch_1").await.expect("a payment");
    assert_eq!((payment.intent.as_str(), &payment.status), ("pi_1", &IntentStatus::Succeeded));
    assert_eq!((payment.amount_received, payment.charge.as_deref()), (900, Some("ch_1")));
    let receipt = "https://pay.stripe.example/receipts/1";
    assert_eq!(payment.receipt_url.as_ref().map(Link::as_str), Some(receipt));
    let refunds: Vec<_> = payment.refunds.iter().map(|r| (r.amount, r.status.clone())).collect();
    assert_eq!(refunds, [(300, RefundStatus::Succeeded), (300, RefundStatus::Failed)]);
    let disputes = payment.disputes.iter().map(|d| (d.amount, d.is_inquiry, d.withdrawn_minor));
    assert_eq!(disputes.collect::<Vec<_>>(), [(600, false, 600), (600, true, 0)]);
    let asked: Vec<_> = server.asked().into_iter().map(|asked| asked.what).collect();
    let (charge, intent) = ("GET /v1/charges/ch_1", "GET /v1/payment_intents/pi_1");
    assert_eq!(asked, [charge, intent, "GET /v1/refunds", "GET /v1/disputes"]);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    for field in ["id", "mode", "status", "payment_status", "expires_at", "livemode"] {
        let error = told(without(checkout(), field)).await.checkout("cs_1").await;
        assert_eq!(error.err(), Some(unusable(field)));
    }
    for field in ["id", "customer", "status", "items", "cancel_at_period_end", "created"] {
        let error = told(without(subscription(), field)).await.subscription("sub_1").await;
        assert_eq!(error.err(), Some(unusable(field)));
    }
    for field in ["status", "currency", "amount_paid", "total", "lines", "attempt_count"] {
        let error = told(without(invoice(), field)).await.invoice("in_1").await;
        assert_eq!(error.err(), Some(unusable(field)));
    }
    for field in ["status", "amount_received", "currency", "created", "livemode"] {
        let error = told(without(payment_intent(), field)).await.payment("pi_1").await;
        assert_eq!(error.err(), Some(unusable(field)));
    }
    for field in ["id", "created", "livemode"] {
        let error = told(without(customer(), field)).await.customer("cus_1").await;
        assert_eq!(error.err(), Some(unusable(field)));
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_where_it_is() {
    let mut wrong = subscription();
    wrong["items"]["data"][0]["price"] = json!(7);
    let error = told(wrong).await.subscription("sub_1").await.err();
    assert_eq!(error, Some(unusable("items.data[0].price")));

    let mut wrong = invoice();
    wrong["lines"]["data"][0]["amount"] = json!("900");
    let error = told(wrong).await.invoice("in_1").await.err();
    assert_eq!(error, Some(unusable("lines.data[0].amount")));

    let mut wrong = invoice();
    wrong["amount_paid"] = json!(-1);
    assert_eq!(told(wrong).await.invoice("in_1").await.err(), Some(unusable("amount_paid")));

    let mut wrong = checkout();
    wrong["amount_total"] = json!(9.5);
    assert_eq!(told(wrong).await.checkout("cs_1").await.err(), Some(unusable("amount_total")));

    let mut wrong = checkout();
    wrong["metadata"] = json!({ "purchase": 1 });
    let error = told(wrong).await.checkout("cs_1").await.err();
    assert_eq!(error, Some(unusable("metadata.purchase")));

    assert_eq!(told(json!([])).await.checkout("cs_1").await.err(), Some(unusable("object")));
}

#[tokio::test]
async fn a_part_of_a_period_never_passes_for_a_whole_one() {
    let mut nameless = invoice();
    nameless["lines"]["data"][0]["parent"] = json!(null);
    let error = told(nameless).await.invoice("in_1").await.err();
    assert_eq!(error, Some(unusable("lines.data[0].proration")));

    let mut by_hand = invoice();
    by_hand["lines"]["data"][0]["parent"] = json!(null);
    by_hand["lines"]["data"][0]["pricing"] = json!(null);
    let invoice = told(by_hand).await.invoice("in_1").await.expect("an invoice");
    assert_eq!((&invoice.lines[0].price, invoice.lines[0].proration), (&None, false));
}

#[tokio::test]
async fn a_dispute_without_its_money_is_not_a_dispute_of_nothing() {
    let disputes = list(&[without(dispute(), "balance_transactions")]);
    let mut intent = payment_intent();
    intent["latest_charge"] = charge();
    let server = Server::answering([ok(intent), ok(list(&[])), ok(disputes)]).await;
    let error = server.stripe().payment("pi_1").await.err();
    assert_eq!(error, Some(unusable("balance_transactions")));
}

#[tokio::test]
async fn a_word_that_is_new_is_kept() {
    let mut new = subscription();
    new["status"] = json!("hibernating");
    let subscription = told(new).await.subscription("sub_1").await.expect("a subscription");
    assert_eq!(subscription.status, SubscriptionStatus::Unknown("hibernating".to_owned()));
}

#[tokio::test]
async fn a_customer_is_deleted_and_so_is_one_that_is_gone_already() {
    let deleted = json!({ "id": "cus_1", "object": "customer", "deleted": true });
    let server = Server::answering([ok(deleted)]).await;
    assert_eq!(server.stripe().delete_customer("cus_1").await, Ok(()));
    let asked = server.asked_once();
    assert_eq!((asked.what.as_str(), asked.key()), ("DELETE /v1/customers/cus_1", None));
    let gone = json!({ "error": { "type": "invalid_request_error", "code": "resource_missing" } });
    let server = Server::answering([Answer::Json(404, gone)]).await;
    assert_eq!(server.stripe().delete_customer("cus_1").await, Ok(()));
}

#[tokio::test]
async fn a_customer_that_somebody_deleted_is_not_there() {
    let deleted = json!({ "id": "cus_1", "object": "customer", "deleted": true });
    assert_eq!(told(deleted).await.customer("cus_1").await, Err(StripeError::NotFound));
}

fn without(mut object: Value, field: &str) -> Value {
    object.as_object_mut().expect("an object").remove(field).expect("it was there");
    object
}

fn unusable(field: &str) -> StripeError {
    StripeError::Unusable { field: field.to_owned() }
}
