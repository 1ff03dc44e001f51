//! Refunds and disputes of packs: what of the payment stands decides, in whatever order it is told.

use crate::shop::Shop;
use crate::stripe::{Funds, Manner};
use crate::world::send;
use reqwest::{Method, StatusCode};
use serde_json::json;

/// T7.
#[tokio::test]
async fn partial_refunds_and_then_the_rest_take_all_back_however_they_are_told() {
    for seed in 0..3 {
        let shop = Shop::open().await;
        let (_, checkout) = shop.bought("Starter", "one").await;
        for amount in [Some(300), Some(300), None] {
            shop.stripe.refund(&checkout, amount);
        }
        shop.stripe.deliver_in(Manner::shuffled(seed).twice()).await;
        shop.until_available(100).await;
        shop.close().await;
    }
}

/// T8.
#[tokio::test]
async fn a_refund_that_fails_later_gives_the_credits_back() {
    let shop = Shop::open().await;
    let (_, checkout) = shop.bought("Starter", "one").await;
    let refund = shop.stripe.refund(&checkout, None);
    shop.stripe.deliver().await;
    shop.until_available(100).await;
    shop.stripe.fail_refund(&refund);
    shop.stripe.deliver().await;
    shop.until_available(300).await;
    shop.close().await;
}

/// T9.
#[tokio::test]
async fn a_dispute_that_is_won_and_then_a_refund_take_what_was_paid_once() {
    let shop = Shop::open().await;
    let (_, checkout) = shop.bought("Starter", "one").await;
    let dispute = shop.stripe.open_dispute(&checkout, None, Funds::Withdrawn);
    shop.stripe.deliver().await;
    shop.until_available(100).await;
    // The wallet is frozen after what was paid is taken back.
    shop.until(|| shop.is_quiet()).await;
    let debit = json!({ "amount": 1, "reason": "render" });
    let refused =
        send(&shop.server, Method::POST, "/wallet/debits", &shop.ada.access, &debit).await;
    assert_eq!(
        (refused.status, &refused.body["reason"]),
        (StatusCode::PAYMENT_REQUIRED, &json!("frozen"))
    );
    shop.stripe.win_dispute(&dispute);
    shop.stripe.deliver().await;
    shop.until_available(300).await;
    shop.until(|| async {
        send(&shop.server, Method::POST, "/wallet/debits", &shop.ada.access, &debit).await.status
            == StatusCode::CREATED
    })
    .await;
    shop.stripe.refund(&checkout, None);
    shop.stripe.deliver().await;
    shop.until_available(99).await;
    shop.close().await;
}

#[tokio::test]
async fn a_wallet_is_frozen_until_the_last_of_its_disputes_is_over() {
    let shop = Shop::open().await;
    let (_, one) = shop.bought("Starter", "one").await;
    let (_, other) = shop.bought("Starter", "two").await;
    let first = shop.stripe.open_dispute(&one, None, Funds::Withdrawn);
    let second = shop.stripe.open_dispute(&other, None, Funds::Withdrawn);
    shop.stripe.deliver().await;
    shop.until_available(100).await;
    let debit = json!({ "amount": 1, "reason": "render" });
    let spend = async || {
        let path = "/wallet/debits";
        send(&shop.server, Method::POST, path, &shop.ada.access, &debit).await.status
    };
    shop.stripe.win_dispute(&first);
    shop.stripe.deliver().await;
    shop.until_available(300).await;
    shop.until(|| shop.is_quiet()).await;
    assert_eq!(spend().await, StatusCode::PAYMENT_REQUIRED);
    shop.stripe.win_dispute(&second);
    shop.stripe.deliver().await;
    shop.until_available(500).await;
    shop.until(|| shop.is_quiet()).await;
    assert_eq!(spend().await, StatusCode::CREATED);
    shop.close().await;
}

/// T10.
#[tokio::test]
async fn funds_that_come_back_after_a_lost_dispute_bring_the_credits_back() {
    let shop = Shop::open().await;
    let (_, checkout) = shop.bought("Starter", "one").await;
    let dispute = shop.stripe.open_dispute(&checkout, None, Funds::Withdrawn);
    shop.stripe.lose_dispute(&dispute);
    shop.stripe.deliver().await;
    shop.until_available(100).await;
    shop.stripe.reinstate_funds(&dispute, None);
    shop.stripe.deliver().await;
    shop.until_available(300).await;
    shop.close().await;
}

#[tokio::test]
async fn what_was_spent_before_a_refund_is_owed_and_paid_by_the_next_pack() {
    let shop = Shop::open().await;
    let (_, checkout) = shop.bought("Starter", "one").await;
    let debit = json!({ "amount": 250, "reason": "render" });
    let spent = send(&shop.server, Method::POST, "/wallet/debits", &shop.ada.access, &debit).await;
    assert_eq!(spent.status, StatusCode::CREATED);
    shop.stripe.refund(&checkout, None);
    shop.stripe.deliver().await;
    shop.until(|| async { shop.wallet().await["debt"] == 150 }).await;
    assert_eq!(shop.wallet().await["spendable"], 0);
    shop.bought("Starter", "two").await;
    shop.until_available(50).await;
    shop.close().await;
}

#[tokio::test]
async fn a_refund_that_is_known_before_the_payment_is_reversed_when_it_is_granted() {
    let shop = Shop::open().await;
    let (purchase, checkout) = shop.order("Starter", "one").await;
    shop.stripe.pay_checkout(&checkout);
    shop.stripe.refund(&checkout, Some(450));
    shop.stripe.lose("checkout.session.completed");
    shop.stripe.deliver_in(Manner::shuffled(3)).await;
    shop.until_available(200).await;
    assert_eq!(shop.state(&purchase).await, "fulfilled");
    shop.close().await;
}
