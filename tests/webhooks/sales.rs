//! What of payments and subscriptions is told, through the double of Stripe.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::shop::Shop;
use crate::stripe::{Funds, Mood};
use crate::webhook_house::PRIVATE;
use crate::world::{post_with, send};

const DAY: i64 = 24 * 3600;

/// A shop whose Stripe is so many days behind, and who listens to all that Ada does there.
async fn open_ago(days: i64) -> (Shop, Receiver) {
    let shop = Shop::open_with(days * DAY, &[PRIVATE]).await;
    let receiver = Receiver::start().await;
    let body = json!({ "url": receiver.url });
    let made = post(&shop, "/webhook-endpoints", &body).await;
    assert_eq!(made["enabled"], true, "{made}");
    (shop, receiver)
}

async fn post(shop: &Shop, path: &str, body: &Value) -> Value {
    let answer = send(&shop.server, Method::POST, path, &shop.ada.access, body).await;
    assert!(answer.status.is_success(), "{path}: {:?}", answer.body);
    answer.body
}

/// Delivers what Stripe has to tell.
async fn hear(shop: &Shop) {
    shop.stripe.deliver().await;
    shop.until(|| shop.is_quiet()).await;
}

/// The data of the one webhook of this type that came.
async fn told(receiver: &Receiver, kind: &str) -> Value {
    let all = receiver.until(kind, 1).await;
    let [one] = all.as_slice() else { panic!("{kind} came {} times", all.len()) };
    one.payload()["data"].clone()
}

/// Subscribes Ada to Basic; Stripe's subscription.
async fn subscribed(shop: &Shop) -> String {
    let plan = shop.on_sale("/billing/plans", "Basic").await;
    let ordered = post(shop, "/billing/subscriptions", &json!({ "plan": plan })).await;
    let checkout = shop.checkout_of(ordered["id"].as_str().expect("an id"));
    shop.stripe.pay_checkout(&checkout);
    hear(shop).await;
    shop.until_available(1_100).await;
    shop.stripe.object(&checkout)["subscription"].as_str().expect("a subscription").to_owned()
}

#[tokio::test]
async fn a_pack_that_is_paid_given_back_and_disputed_is_told() {
    let (shop, receiver) = open_ago(0).await;
    let (purchase, checkout) = shop.bought("Starter", "one").await;
    let paid = json!({
        "id": purchase, "kind": "pack", "description": "Starter", "amount_minor": 900,
        "currency": "usd", "refunded_minor": 0, "disputed_minor": 0,
    });
    assert_eq!(told(&receiver, "payment.succeeded").await, paid);
    shop.stripe.refund(&checkout, Some(300));
    hear(&shop).await;
    let mut refunded = paid.clone();
    refunded["refunded_minor"] = json!(300);
    assert_eq!(told(&receiver, "payment.refunded").await, refunded);
    shop.stripe.open_dispute(&checkout, Some(600), Funds::Withdrawn);
    hear(&shop).await;
    let mut disputed = refunded;
    disputed["disputed_minor"] = json!(600);
    assert_eq!(told(&receiver, "payment.disputed").await, disputed);
    assert_eq!(receiver.of("payment.refunded").len(), 1);
    assert_eq!(receiver.of("payment.failed").len(), 0);
    shop.close().await;
}

#[tokio::test]
async fn a_pack_whose_payment_fails_is_told() {
    let (shop, receiver) = open_ago(0).await;
    let (purchase, checkout) = shop.order("Starter", "one").await;
    shop.stripe.pay_checkout_slowly(&checkout);
    hear(&shop).await;
    shop.stripe.fail_processing(&checkout);
    hear(&shop).await;
    let failed = told(&receiver, "payment.failed").await;
    assert_eq!((&failed["id"], &failed["amount_minor"]), (&json!(purchase), &json!(900)));
    assert_eq!(receiver.kinds(), ["payment.failed"]);
    shop.close().await;
}

#[tokio::test]
async fn a_grant_that_will_soon_expire_is_told_once() {
    let (shop, receiver) = open_ago(0).await;
    shop.administrate();
    for (name, days) in [("Soon", 2), ("Later", 4)] {
        let pack = json!({
            "name": name, "credits": 70, "lasts_days": days,
            "price": { "amount_minor": 500, "currency": "usd" },
        });
        post(&shop, "/admin/packs", &pack).await;
        shop.bought(name, name).await;
    }
    let expiring = told(&receiver, "grant.expiring").await;
    assert_eq!((&expiring["granted"], &expiring["remaining"]), (&json!(70), &json!(70)));
    let wallet = shop.wallet().await;
    let grants = wallet["grants"].as_array().expect("grants");
    let grant = grants.iter().find(|grant| grant["id"] == expiring["grant_id"]).expect("a grant");
    assert_eq!(
        (&grant["kind"], &grant["expires_at"]),
        (&expiring["kind"], &expiring["expires_at"])
    );
    // A second endpoint is told, too; the first one is not told again by the rounds that this takes.
    let second = Receiver::start().await;
    post(&shop, "/webhook-endpoints", &json!({ "url": second.url })).await;
    told(&second, "grant.expiring").await;
    let third = Receiver::start().await;
    post(&shop, "/webhook-endpoints", &json!({ "url": third.url })).await;
    told(&third, "grant.expiring").await;
    told(&receiver, "grant.expiring").await;
    shop.close().await;
}

#[tokio::test]
async fn a_subscription_that_begins_is_renewed_and_will_end_is_told() {
    let (shop, receiver) = open_ago(40).await;
    let subscription = subscribed(&shop).await;
    let began = told(&receiver, "subscription.created").await;
    assert_eq!((&began["status"], &began["plan"]), (&json!("active"), &json!("Basic")));
    assert_eq!(began["ends_at"], Value::Null);
    let paid = told(&receiver, "payment.succeeded").await;
    let figures = [&paid["kind"], &paid["description"], &paid["amount_minor"], &paid["currency"]];
    assert_eq!(figures, [&json!("plan"), &json!("Basic"), &json!(900), &json!("usd")]);
    assert_eq!(receiver.of("subscription.renewed").len(), 0);

    shop.stripe.renew(&subscription);
    hear(&shop).await;
    let renewed = told(&receiver, "subscription.renewed").await;
    assert_eq!((&renewed["id"], &renewed["status"]), (&began["id"], &json!("active")));
    assert_eq!(receiver.until("payment.succeeded", 2).await.len(), 2);

    let before = receiver.of("subscription.updated").len();
    post(&shop, "/billing/subscription/cancel", &json!({})).await;
    hear(&shop).await;
    let updated = receiver.until("subscription.updated", before + 1).await;
    // In whatever order they come.
    let ends = updated.iter().map(|update| update.payload()["data"]["ends_at"].clone());
    assert_eq!(ends.filter(|end| *end == renewed["period_end"]).count(), 1, "{updated:?}");
    shop.close().await;
}

#[tokio::test]
async fn a_subscription_that_nobody_pays_is_past_due_and_then_canceled() {
    let (shop, receiver) = open_ago(60).await;
    let subscription = subscribed(&shop).await;
    let customer = shop.stripe.object(&subscription)["customer"].clone();
    shop.stripe.cards_of(customer.as_str().expect("a customer"), Mood::Declines("card_declined"));
    shop.stripe.renew(&subscription);
    hear(&shop).await;
    assert_eq!(told(&receiver, "subscription.past_due").await["status"], "past_due");
    let failed = receiver.until("payment.failed", 1).await.remove(0).payload();
    let figures = [&failed["data"]["kind"], &failed["data"]["amount_minor"]];
    assert_eq!(figures, [&json!("plan"), &json!(900)]);
    shop.stripe.advance(16 * DAY);
    hear(&shop).await;
    assert_eq!(told(&receiver, "subscription.canceled").await["status"], "canceled");
    assert_eq!(receiver.of("subscription.past_due").len(), 1);
    assert_eq!(receiver.of("subscription.renewed").len(), 0);
    assert_eq!(receiver.of("payment.succeeded").len(), 1);
    shop.close().await;
}

/// Who asks for a subscription twice pays once, and is told of one.
#[tokio::test]
async fn what_is_told_twice_by_stripe_is_told_once() {
    let (shop, receiver) = open_ago(0).await;
    let (_, checkout) = shop.bought("Starter", "one").await;
    told(&receiver, "payment.succeeded").await;
    let event = shop.stripe.events_of("checkout.session.completed").pop().expect("an event");
    for _ in 0..3 {
        let answer = shop.stripe.redeliver(event["id"].as_str().expect("an id")).await;
        assert_eq!(answer.status, Some(204));
    }
    shop.stripe.make_event("checkout.session.completed", &shop.stripe.object(&checkout));
    hear(&shop).await;
    let body = json!({ "pack": shop.pack("Starter").await });
    let bearer = format!("Bearer {}", shop.ada.access);
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "one")];
    let again = post_with(&shop.server, "/billing/checkout", &headers, &body).await;
    assert_eq!(again.status, StatusCode::CREATED, "{:?}", again.body);
    hear(&shop).await;
    told(&receiver, "payment.succeeded").await;
    shop.close().await;
}
