//! How subscriptions stand that nobody pays, or not yet: it is shown, brings nothing, and leaves room
//! for another when it is over.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::plans::DAY;
use crate::shop::Shop;
use crate::stripe::{AfterDunning, Mood};

impl Shop {
    /// It is shown so, and what is in the wallet is so much.
    async fn stands(&self, status: &str, available: i64) {
        let truth = self.stripe.truth();
        assert_eq!(truth.subscriptions.last().expect("a subscription").status, status);
        assert_eq!(self.subscription().await["status"], status);
        assert_eq!(self.available().await, available);
    }

    /// Nobody subscribes beside it.
    async fn has_no_room(&self) {
        let other = self.try_subscribe(&self.plan("Pro").await, "beside").await;
        let told = (other.status, &other.body["code"]);
        assert_eq!(told, (StatusCode::CONFLICT, &json!("subscribed")));
    }

    /// Another is subscribed to, and brings its quota.
    async fn has_room(&self) {
        let before = self.available().await;
        self.subscribed("Pro", "after").await;
        self.until_available(before + 10_000).await;
    }

    /// The invoice that Stripe made last.
    fn invoice_of(&self, subscription: &str) -> String {
        let invoice = self.stripe.object(subscription)["latest_invoice"].clone();
        invoice.as_str().expect("an id").to_owned()
    }
}

/// A subscription whose renewal nobody pays, until Stripe gives up.
async fn unpaid(shop: &Shop, then: AfterDunning) -> String {
    shop.stripe.after_dunning(then);
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    shop.cards_of(&subscription, Mood::Declines("card_declined"));
    shop.stripe.renew(&subscription);
    shop.hear().await;
    shop.stands("past_due", 1_100).await;
    shop.stripe.advance(16 * DAY);
    shop.hear().await;
    subscription
}

#[tokio::test]
async fn a_subscription_that_nobody_pays_is_over_and_another_may_begin() {
    let shop = Shop::open_ago(60 * DAY).await;
    unpaid(&shop, AfterDunning::Cancel).await;
    shop.stands("canceled", 1_100).await;
    shop.has_room().await;
    shop.close().await;
}

#[tokio::test]
async fn a_subscription_that_nobody_pays_may_wait_and_brings_its_quota_when_it_is_paid() {
    let shop = Shop::open_ago(60 * DAY).await;
    let subscription = unpaid(&shop, AfterDunning::Unpaid).await;
    shop.stands("unpaid", 1_100).await;
    shop.has_no_room().await;
    shop.stripe.pay_invoice(&shop.invoice_of(&subscription));
    shop.hear().await;
    shop.stands("active", 2_100).await;
    shop.close().await;
}

#[tokio::test]
async fn a_subscription_that_nobody_pays_may_stay_behind() {
    let shop = Shop::open_ago(60 * DAY).await;
    let subscription = unpaid(&shop, AfterDunning::PastDue).await;
    shop.stands("past_due", 1_100).await;
    shop.has_no_room().await;
    shop.stripe.cancel_now(&subscription);
    shop.hear().await;
    shop.stands("canceled", 1_100).await;
    shop.has_room().await;
    shop.close().await;
}

/// Nobody comes to confirm the first payment.
#[tokio::test]
async fn a_subscription_whose_first_payment_never_comes_is_over_and_another_may_begin() {
    let shop = Shop::open_ago(2 * DAY).await;
    let checkout = shop.subscribe("Basic", "one").await;
    shop.stripe.challenge_checkout(&checkout);
    shop.hear().await;
    shop.stands("incomplete", 100).await;
    shop.stripe.advance(DAY - 1_800);
    shop.hear().await;
    shop.stands("incomplete_expired", 100).await;
    shop.has_room().await;
    shop.close().await;
}

/// An operator has set it so: what ends without a card waits for one.
#[tokio::test]
async fn a_trial_that_is_paused_brings_no_more_and_has_its_place_until_it_is_over() {
    let shop = Shop::open_ago(20 * DAY).await;
    shop.offer("Tried", &json!({ "trial_days": 14 })).await;
    let checkout = shop.subscribe("Tried", "one").await;
    shop.stripe.start_trial_without_card(&checkout);
    shop.hear().await;
    let share = shop.available().await;
    shop.stands("trialing", share).await;
    let subscription = shop.stripe.object(&checkout)["subscription"].clone();
    let subscription = subscription.as_str().expect("an id");
    shop.stripe.pauses_without_card(subscription);
    shop.stripe.advance(15 * DAY);
    shop.hear().await;
    shop.stands("paused", share).await;
    shop.has_no_room().await;
    shop.stripe.cancel_now(subscription);
    shop.hear().await;
    shop.stands("canceled", share).await;
    shop.has_room().await;
    shop.close().await;
}

/// Stripe takes money that is on its way for money. We do not.
#[tokio::test]
async fn a_subscription_that_is_paid_slowly_brings_its_quota_when_the_money_is_there() {
    let shop = Shop::open_ago(10 * DAY).await;
    let checkout = shop.subscribe("Basic", "one").await;
    shop.stripe.pay_checkout_slowly(&checkout);
    shop.hear().await;
    shop.stands("active", 100).await;
    assert_eq!(shop.subscription().await["entitled_until"], Value::Null);
    shop.has_no_room().await;
    let subscription = shop.stripe.object(&checkout)["subscription"].clone();
    let invoice = shop.invoice_of(subscription.as_str().expect("an id"));
    shop.stripe.advance(3 * DAY);
    shop.stripe.complete_processing(&invoice);
    shop.hear().await;
    shop.stands("active", 1_100).await;
    assert!(shop.subscription().await["entitled_until"].is_string());
    shop.close().await;
}

#[tokio::test]
async fn a_subscription_whose_slow_payment_fails_has_brought_nothing() {
    let shop = Shop::open_ago(10 * DAY).await;
    let checkout = shop.subscribe("Basic", "one").await;
    shop.stripe.pay_checkout_slowly(&checkout);
    shop.hear().await;
    let subscription = shop.stripe.object(&checkout)["subscription"].clone();
    let subscription = subscription.as_str().expect("an id");
    shop.stripe.advance(3 * DAY);
    shop.stripe.fail_processing(&shop.invoice_of(subscription));
    shop.hear().await;
    shop.stands("past_due", 100).await;
    shop.stripe.cancel_now(subscription);
    shop.hear().await;
    shop.stands("canceled", 100).await;
    shop.has_room().await;
    shop.close().await;
}
