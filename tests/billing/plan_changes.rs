//! Plans that are changed, ended and go on: by their owner, in the portal, by an operator.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::plans::DAY;
use crate::shop::Shop;
use crate::stripe::{Fault, Mood};
use crate::support::Answer;
use crate::world::{post_with, send};

impl Shop {
    /// Manages the subscription under a key.
    async fn manage_once(&self, what: &str, key: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.ada.access);
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        post_with(&self.server, &format!("/billing/subscription/{what}"), &headers, body).await
    }
}

/// T16, through the API: what goes down goes down with the next period.
#[tokio::test]
async fn up_down_and_up_again_is_paid_once_and_granted_once() {
    let shop = Shop::open_ago(10 * DAY).await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.stripe.advance(10 * DAY);
    let (basic, pro) = (shop.plan("Basic").await, shop.plan("Pro").await);
    let preview = shop.manage("change/preview", &json!({ "plan": pro })).await;
    assert_eq!((preview.status, &preview.body["when"]), (StatusCode::OK, &json!("now")));
    let due = preview.body["due_minor"].as_i64().expect("a number");
    assert!((1_200..1_500).contains(&due), "{due}");
    let up = json!({ "plan": pro, "at": preview.body["at"] });
    let changed = shop.manage("change", &up).await;
    assert_eq!(changed.status, StatusCode::OK, "{:?}", changed.body);
    assert_eq!(changed.body["plan"]["name"], "Pro");
    let after_up = shop.available().await;
    assert!((7_000..7_200).contains(&after_up), "{after_up}");

    let down = shop.manage("change", &json!({ "plan": basic })).await;
    assert_eq!(down.status, StatusCode::OK, "{:?}", down.body);
    assert_eq!(down.body["plan"]["name"], "Pro");
    assert_eq!(down.body["pending_change"]["plan"]["name"], "Basic");
    let again = shop.manage("change/preview", &json!({ "plan": pro })).await;
    assert_eq!((&again.body["due_minor"], &again.body["when"]), (&json!(0), &json!("period_end")));
    let again = shop.manage("change", &json!({ "plan": pro })).await;
    assert_eq!(again.body["pending_change"], Value::Null, "{:?}", again.body);
    shop.hear().await;
    assert_eq!(shop.available().await, after_up);
    let truth = shop.stripe.truth();
    let paid: i64 = truth.payments.iter().map(|payment| payment.paid).sum();
    assert_eq!(paid, 900 + due);
    assert!(truth.subscriptions.iter().all(|known| known.id == subscription));
    shop.close().await;
}

#[tokio::test]
async fn an_upgrade_whose_payment_is_declined_changes_nothing() {
    let shop = Shop::open().await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    shop.cards_of(&subscription, Mood::Declines("card_declined"));
    let changed = shop.manage("change", &json!({ "plan": shop.plan("Pro").await })).await;
    assert_eq!(changed.status, StatusCode::OK, "{:?}", changed.body);
    assert_eq!(changed.body["plan"]["name"], "Basic");
    assert_eq!(changed.body["pending_change"]["waits_for_payment"], true);
    shop.hear().await;
    assert_eq!(shop.available().await, 1_100);
    shop.stripe.advance(DAY);
    shop.hear().await;
    assert_eq!(shop.subscription().await["pending_change"], Value::Null);
    assert_eq!(shop.available().await, 1_100);
    shop.close().await;
}

#[tokio::test]
async fn a_subscription_ends_with_its_period_or_goes_on() {
    let shop = Shop::open_ago(20 * DAY).await;
    shop.subscribed("Basic", "one").await;
    let preview = shop.manage("cancel/preview", &json!({})).await;
    let ending = shop.manage("cancel", &json!({})).await;
    assert_eq!(ending.body["cancel_at_period_end"], true, "{:?}", ending.body);
    assert_eq!(ending.body["ends_at"], preview.body["ends_at"]);
    let going_on = shop.manage("resume", &json!({})).await;
    assert_eq!(going_on.body["cancel_at_period_end"], false, "{:?}", going_on.body);
    shop.manage("cancel", &json!({ "when": "period_end" })).await;
    shop.stripe.advance(31 * DAY);
    shop.hear().await;
    assert_eq!(shop.subscription().await["status"], "canceled");
    let refused = shop.manage("resume", &json!({})).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::CONFLICT, &json!("not_subscribed"))
    );
    shop.close().await;
}

/// An operator, or Stripe's newer portal, names the day.
#[tokio::test]
async fn a_subscription_that_would_end_on_a_day_goes_on() {
    let shop = Shop::open_ago(20 * DAY).await;
    let subscription = shop.subscribed("Basic", "one").await;
    let day = saldo::clock::now().timestamp() + 40 * DAY;
    shop.stripe.ends_at(&subscription, day);
    shop.hear().await;
    assert!(shop.subscription().await["ends_at"].is_string());
    let going_on = shop.manage("resume", &json!({})).await;
    assert_eq!((going_on.status, &going_on.body["ends_at"]), (StatusCode::OK, &Value::Null));
    assert_eq!(shop.stripe.object(&subscription)["cancel_at"], Value::Null);
    shop.close().await;
}

#[tokio::test]
async fn a_key_is_for_one_change() {
    let shop = Shop::open().await;
    shop.offer("Large", &json!({ "price": { "amount_minor": 5000, "currency": "usd" } })).await;
    shop.subscribed("Basic", "one").await;
    let (pro, large) = (shop.plan("Pro").await, shop.plan("Large").await);
    let to = |plan: &str| json!({ "plan": plan });
    let first = shop.manage_once("change", "key", &to(&pro)).await;
    assert_eq!((first.status, &first.body["plan"]["name"]), (StatusCode::OK, &json!("Pro")));
    assert_eq!(first.header("idempotency-replayed"), "");
    let again = shop.manage_once("change", "key", &to(&pro)).await;
    assert_eq!((again.status, &again.body["plan"]["name"]), (StatusCode::OK, &json!("Pro")));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.header("x-event-position"), first.header("x-event-position"));
    let other = shop.manage_once("change", "key", &to(&large)).await;
    let told = (other.status, &other.body["code"]);
    assert_eq!(told, (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_key_reused")));
    assert_eq!(shop.subscription().await["plan"]["name"], "Pro");
    shop.close().await;
}

/// Whoever did not hear the answer asks again, be it when everything is different.
#[tokio::test]
async fn a_request_that_comes_again_is_done_once_whatever_became_of_the_subscription() {
    let shop = Shop::open().await;
    shop.subscribed("Basic", "one").await;
    let now = json!({ "when": "now" });
    for (what, key, body) in
        [("cancel", "a", &json!({})), ("resume", "b", &json!(null)), ("cancel", "c", &now)]
    {
        let done = shop.manage_once(what, key, body).await;
        assert_eq!(done.status, StatusCode::OK, "{:?}", done.body);
        assert_eq!(done.header("idempotency-replayed"), "", "{what} {key}");
    }
    shop.hear().await;
    let again = shop.manage_once("cancel", "c", &now).await;
    assert_eq!((again.status, &again.body["status"]), (StatusCode::OK, &json!("canceled")));
    assert_eq!(again.header("idempotency-replayed"), "true");
    let otherwise = shop.manage_once("cancel", "c", &json!({})).await;
    assert_eq!(otherwise.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}", otherwise.body);
    shop.subscribed("Pro", "two").await;
    for (what, key, body) in [("cancel", "a", &json!({})), ("cancel", "c", &now)] {
        let again = shop.manage_once(what, key, body).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::OK, "true"));
    }
    let running = shop.subscription().await;
    assert_eq!((&running["status"], &running["ends_at"]), (&json!("active"), &Value::Null));
    shop.close().await;
}

/// Stripe has done it, and the server dies before it notes so.
#[tokio::test]
async fn a_cancellation_whose_answer_was_lost_is_done_when_it_is_asked_for_again() {
    let shop = Shop::open().await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.hear().await;
    let refuses = json!({ "error": { "type": "invalid_request_error", "message": "no" } });
    // What it is after that cannot be read.
    shop.stripe.fault("GET /v1/invoices", 1, Fault::Says(401, refuses));
    let lost = shop.manage_once("cancel", "key", &json!({})).await;
    assert!(lost.status.is_server_error(), "{:?}", lost.body);
    assert_eq!(shop.stripe.object(&subscription)["cancel_at_period_end"], true);
    let again = shop.manage_once("cancel", "key", &json!({})).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::OK, ""));
    assert_eq!(again.body["cancel_at_period_end"], true);
    shop.close().await;
}

/// What the portal does is heard of like anything else.
#[tokio::test]
async fn a_plan_that_is_changed_in_the_portal_is_changed_here() {
    let shop = Shop::open().await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    let portal =
        send(&shop.server, Method::POST, "/billing/portal", &shop.ada.access, &json!(null)).await;
    assert_eq!(portal.status, StatusCode::CREATED, "{:?}", portal.body);
    shop.until(|| async { shop.stripe.objects("price").len() >= 2 }).await;
    let prices = shop.stripe.objects("price");
    let pro = prices.iter().find(|price| price["unit_amount"] == 2_900).expect("a price");
    shop.stripe.portal_change_plan(&subscription, pro["id"].as_str().expect("an id"));
    shop.hear().await;
    assert_eq!(shop.subscription().await["plan"]["name"], "Pro");
    let available = shop.available().await;
    assert!((10_000..=10_100).contains(&available), "{available}");
    shop.stripe.portal_cancel(&subscription);
    shop.hear().await;
    assert_eq!(shop.subscription().await["cancel_at_period_end"], true);
    shop.close().await;
}

#[tokio::test]
async fn what_costs_more_waits_until_what_is_to_come_is_taken_back() {
    let shop = Shop::open().await;
    shop.offer("Small", &json!({})).await;
    shop.offer("Large", &json!({ "price": { "amount_minor": 5000, "currency": "usd" } })).await;
    shop.subscribed("Basic", "one").await;
    let (small, large) = (shop.plan("Small").await, shop.plan("Large").await);
    let down = shop.manage("change", &json!({ "plan": small })).await;
    assert_eq!(down.body["pending_change"]["plan"]["name"], "Small", "{:?}", down.body);
    for what in ["change/preview", "change"] {
        let up = shop.manage(what, &json!({ "plan": large })).await;
        assert_eq!((up.status, &up.body["code"]), (StatusCode::CONFLICT, &json!("change_pending")));
    }
    shop.manage("change", &json!({ "plan": shop.plan("Basic").await })).await;
    let up = shop.manage("change", &json!({ "plan": large })).await;
    assert_eq!((up.status, &up.body["plan"]["name"]), (StatusCode::OK, &json!("Large")));
    shop.close().await;
}

/// What was given back in money for the rest of a year brings nothing any more.
#[tokio::test]
async fn a_year_that_is_changed_for_a_month_in_the_portal_brings_no_more_by_itself() {
    let shop = Shop::open_ago(70 * DAY).await;
    shop.offer("Yearly", &json!({ "interval": "year", "quota": 10_000 })).await;
    let subscription = shop.subscribed("Yearly", "one").await;
    shop.until_available(100 + 3 * 10_000).await;
    let next = shop.subscription().await["next_quota_at"].clone();
    assert!(next.is_string());
    shop.stripe.advance(70 * DAY);
    crate::plan_histories::until_listed(&shop).await;
    shop.stripe.portal_change_plan(&subscription, &shop.price(900));
    shop.hear().await;
    assert_eq!(shop.subscription().await["plan"]["name"], "Basic");
    let available = shop.available().await;
    assert!((30_100..=31_100).contains(&available), "{available}");
    let until = shop.subscription().await["entitled_until"].as_str().expect("a time").to_owned();
    let soon = saldo::clock::now() + chrono::TimeDelta::days(32);
    assert!(until < soon.to_rfc3339(), "{until}");
    shop.close().await;
}
