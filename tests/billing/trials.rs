//! Trials: had once, and their share of a month.

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::json;

use crate::plans::DAY;
use crate::shop::Shop;
use crate::stripe::Fault;

#[tokio::test]
async fn a_trial_brings_its_share_and_is_had_once() {
    let shop = Shop::open_ago(20 * DAY).await;
    shop.offer("Tried", &json!({ "trial_days": 14 })).await;
    let checkout = shop.subscribe("Tried", "one").await;
    shop.stripe.pay_checkout(&checkout);
    shop.hear().await;
    assert_eq!(shop.subscription().await["status"], "trialing");
    let share = shop.available().await - 100;
    assert!((225..=250).contains(&share), "{share}");
    shop.stripe.advance(15 * DAY);
    shop.hear().await;
    assert_eq!(shop.subscription().await["status"], "active");
    assert_eq!(shop.available().await, 100 + share + 500);
    shop.manage("cancel", &json!({ "when": "now" })).await;
    let checkout = shop.subscribe("Tried", "two").await;
    shop.stripe.pay_checkout(&checkout);
    shop.hear().await;
    assert_eq!(shop.subscription().await["status"], "active");
    shop.close().await;
}

/// Several pages at once would be several trials, one after the other.
#[tokio::test]
async fn a_trial_is_had_once_however_many_order_at_once() {
    let shop = Shop::open().await;
    shop.offer("Tried", &json!({ "trial_days": 14 })).await;
    let plan = shop.plan("Tried").await;
    shop.until(|| shop.is_quiet()).await;
    let keys: Vec<_> = (0..8).map(|number| format!("key {number}")).collect();
    let orders = join_all(keys.iter().map(|key| shop.try_subscribe(&plan, key))).await;
    assert!(orders.iter().any(|order| order.status == StatusCode::CREATED), "{orders:?}");
    // Of the pages that can still be paid.
    let trials = || {
        let pages = shop.stripe.objects("checkout.session").into_iter();
        let open = pages.filter(|page| page["status"] == "open");
        let open: Vec<_> = open.map(|page| page["client_reference_id"].clone()).collect();
        let asked = shop.stripe.calls_to("POST", "/v1/checkout/sessions").into_iter();
        let trials = asked.filter(|asked| asked.form.has("subscription_data.trial_period_days"));
        trials.filter(|asked| open.contains(asked.form.at("client_reference_id"))).count()
    };
    assert!(trials() <= 1, "{:#?}", shop.stripe.objects("checkout.session"));
    // Nobody has come of it: whoever orders anew has it still.
    for page in shop.stripe.objects("checkout.session") {
        if page["status"] == "open" {
            shop.stripe.expire_checkout(page["id"].as_str().expect("an id"));
        }
    }
    shop.hear().await;
    let checkout = shop.subscribe("Tried", "anew").await;
    assert_eq!(trials(), 1);
    shop.stripe.pay_checkout(&checkout);
    shop.hear().await;
    assert_eq!(shop.subscription().await["status"], "trialing");
    shop.close().await;
}

/// Stripe opens no page: the next order has the trial.
#[tokio::test]
async fn a_trial_that_came_with_no_page_is_not_lost() {
    let shop = Shop::open().await;
    shop.offer("Tried", &json!({ "trial_days": 14 })).await;
    let plan = shop.plan("Tried").await;
    shop.until(|| shop.is_quiet()).await;
    let no = json!({ "error": { "type": "invalid_request_error", "message": "no" } });
    shop.stripe.fault("POST /v1/checkout/sessions", 1, Fault::Says(400, no));
    let refused = shop.try_subscribe(&plan, "one").await;
    assert_eq!(refused.status, StatusCode::BAD_GATEWAY, "{:?}", refused.body);
    let checkout = shop.subscribe("Tried", "two").await;
    shop.stripe.pay_checkout(&checkout);
    shop.hear().await;
    assert_eq!(shop.subscription().await["status"], "trialing");
    shop.close().await;
}

#[tokio::test]
async fn a_trial_that_ends_without_a_card_pauses_or_ends_and_brings_no_more() {
    let shop = Shop::open_ago(20 * DAY).await;
    shop.offer("Tried", &json!({ "trial_days": 14 })).await;
    let checkout = shop.subscribe("Tried", "one").await;
    shop.stripe.start_trial_without_card(&checkout);
    shop.hear().await;
    let share = shop.available().await;
    assert!(share > 100, "{share}");
    shop.stripe.advance(15 * DAY);
    shop.hear().await;
    let status = shop.stripe.truth().subscriptions[0].status.clone();
    assert_eq!(shop.subscription().await["status"], status.as_str());
    assert!(status != "active", "{status}");
    assert_eq!(shop.available().await, share);
    shop.close().await;
}
