//! Packs: ordered, paid, granted once.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::shop::Shop;
use crate::stripe::Manner;
use crate::world::{ask, register};

#[tokio::test]
async fn a_pack_is_bought_and_is_in_the_wallet_by_the_webhook() {
    let shop = Shop::open().await;
    let (purchase, _) = shop.bought("Starter", "one").await;
    let wallet = shop.wallet().await;
    assert_eq!(wallet["available"], 300);
    let payments = ask(&shop.server, Method::GET, "/billing/payments", &shop.ada.access).await;
    let payment = &payments.body["items"][0];
    assert_eq!(payment["id"], *purchase);
    assert_eq!((&payment["amount_minor"], &payment["currency"]), (&json!(900), &json!("usd")));
    assert_eq!((&payment["state"], &payment["credits"]), (&json!("fulfilled"), &json!(200)));
    shop.close().await;
}

/// T23.
#[tokio::test]
async fn a_return_page_that_is_polled_before_the_webhook_grants_once_and_at_once() {
    let shop = Shop::open().await;
    let (purchase, checkout) = shop.order("Starter", "one").await;
    assert_eq!(shop.poll(&purchase).await["state"], "checkout_opened");
    shop.stripe.pay_checkout(&checkout);
    let polls = join_all((0..5).map(|_| shop.poll(&purchase))).await;
    assert!(polls.iter().all(|poll| poll["state"] == "fulfilled"), "{polls:?}");
    assert_eq!(shop.available().await, 300);
    shop.stripe.deliver_in(Manner::in_order().twice()).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(shop.available().await, 300);
    shop.close().await;
}

/// T14.
#[tokio::test]
async fn the_same_order_twice_at_once_is_one_purchase_and_one_checkout() {
    let shop = Shop::open().await;
    let pack = shop.pack("Starter").await;
    let answers = join_all((0..4).map(|_| shop.try_order(&pack, "one"))).await;
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        assert_eq!(answer.body["id"], answers[0].body["id"]);
        assert_eq!(answer.body["url"], answers[0].body["url"]);
    }
    assert_eq!(shop.stripe.objects("checkout.session").len(), 1);
    assert_eq!(shop.stripe.objects("customer").len(), 1);
    shop.close().await;
}

/// T12, both orders.
#[tokio::test]
async fn a_payment_that_takes_days_is_granted_when_it_has_come() {
    let shop = Shop::open().await;
    let (purchase, checkout) = shop.order("Starter", "one").await;
    shop.stripe.pay_checkout_slowly(&checkout);
    shop.stripe.deliver().await;
    shop.until(|| async { shop.state(&purchase).await == "awaiting_payment" }).await;
    assert_eq!(shop.available().await, 100);
    shop.stripe.complete_processing(&checkout);
    shop.stripe.deliver().await;
    shop.until_available(300).await;

    let (_, checkout) = shop.order("Starter", "two").await;
    shop.stripe.pay_checkout_slowly(&checkout);
    shop.stripe.complete_processing(&checkout);
    shop.stripe.deliver_in(Manner::shuffled(7).twice()).await;
    shop.until_available(500).await;

    let (failed, checkout) = shop.order("Starter", "three").await;
    shop.stripe.pay_checkout_slowly(&checkout);
    shop.stripe.deliver().await;
    shop.until(|| async { shop.state(&failed).await == "awaiting_payment" }).await;
    shop.stripe.fail_processing(&checkout);
    shop.stripe.deliver().await;
    shop.until(|| async { shop.state(&failed).await == "payment_failed" }).await;
    assert_eq!(shop.available().await, 500);
    shop.close().await;
}

#[tokio::test]
async fn nobody_is_granted_what_nobody_paid() {
    let shop = Shop::open().await;
    let (declined, checkout) = shop.order("Starter", "one").await;
    shop.stripe.decline_checkout(&checkout, "card_declined");
    shop.stripe.deliver().await;
    let (expired, checkout) = shop.order("Starter", "two").await;
    shop.stripe.expire_checkout(&checkout);
    shop.stripe.deliver().await;
    shop.until(|| async { shop.state(&expired).await == "expired" }).await;
    assert_eq!(shop.state(&declined).await, "checkout_opened");
    assert_eq!(shop.available().await, 100);
    shop.close().await;
}

#[tokio::test]
async fn a_purchase_is_its_owner_s() {
    let shop = Shop::open().await;
    let (purchase, _) = shop.order("Starter", "one").await;
    let grace = register(&shop.server, "grace@example.com").await;
    let path = format!("/billing/checkout/{purchase}");
    let theirs = ask(&shop.server, Method::GET, &path, &grace.access).await;
    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
    let payments = ask(&shop.server, Method::GET, "/billing/payments", &grace.access).await;
    assert_eq!(payments.body["items"], json!([]));
    shop.close().await;
}

/// Nobody has heard that it was under way.
#[tokio::test]
async fn a_payment_that_took_days_and_has_failed_has_failed_whatever_was_told_of_it() {
    let shop = Shop::open().await;
    let (purchase, checkout) = shop.order("Starter", "one").await;
    shop.stripe.pay_checkout_slowly(&checkout);
    shop.stripe.fail_processing(&checkout);
    shop.stripe.deliver_in(Manner::shuffled(7).twice()).await;
    shop.until(|| shop.is_quiet()).await;
    assert_eq!(shop.state(&purchase).await, "payment_failed");
    assert_eq!(shop.available().await, 100);
    shop.close().await;
}
