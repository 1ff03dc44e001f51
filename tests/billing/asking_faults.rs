//! Stripe stumbles where money is asked for: what was asked for happens once.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::stripe::Fault;
use crate::support::Answer;
use crate::world::post_with;

/// So many attempts are made of a call.
const ATTEMPTS: u32 = 5;
const OPEN: &str = "POST /v1/checkout/sessions";
const CHANGE: &str = "POST /v1/subscriptions/";
const END: &str = "DELETE /v1/subscriptions/";

/// What goes wrong on the way there, and on the way back.
fn faults() -> [Fault; 5] {
    [
        Fault::TooMany { retry_after: None },
        Fault::BadGateway,
        Fault::Locked,
        Fault::ResetBefore,
        Fault::ResetAfter,
    ]
}

async fn ask_once(shop: &Shop, path: &str, key: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {}", shop.ada.access);
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
    post_with(&shop.server, path, &headers, body).await
}

async fn manage(shop: &Shop, what: &str, key: &str, body: &Value) -> Answer {
    ask_once(shop, &format!("/billing/subscription/{what}"), key, body).await
}

/// A fault that lasts for a call: the caller is told to ask again.
fn is_told_to_try_again(answer: &Answer, fault: &Fault) {
    let told = (answer.status, &answer.body["code"]);
    let unavailable = (StatusCode::SERVICE_UNAVAILABLE, &json!("stripe_unavailable"));
    assert_eq!(told, unavailable, "{fault:?}: {:?}", answer.body);
}

/// How many pages were opened.
fn pages(shop: &Shop) -> usize {
    shop.stripe.objects("checkout.session").len()
}

/// Of a subscription: how many invoices were paid, how often its end was decided on, and how often
/// it ended.
fn became(shop: &Shop, subscription: &str) -> (usize, usize, usize) {
    let truth = shop.stripe.truth();
    let of_it = |invoice: &&crate::stripe::InvoiceTruth| {
        invoice.subscription.as_deref() == Some(subscription)
    };
    let paid = truth.paid_invoices().filter(of_it).count();
    let told = |kind: &str, is: &dyn Fn(&Value) -> bool| {
        let events = shop.stripe.events_of(kind).into_iter();
        let of_it = events.filter(|event| event["data"]["object"]["id"] == subscription);
        of_it.filter(|event| is(&event["data"])).count()
    };
    let decided = told("customer.subscription.updated", &|data| {
        data["previous_attributes"]["cancel_at_period_end"] == false
    });
    (paid, decided, told("customer.subscription.deleted", &|_| true))
}

#[tokio::test]
async fn a_page_is_opened_once_whatever_goes_wrong_at_first() {
    let shop = Shop::open().await;
    let pack = shop.pack("Starter").await;
    for (opened, fault) in faults().into_iter().enumerate() {
        let key = format!("{fault:?}");
        shop.stripe.fault(OPEN, 2, fault.clone());
        let answer = shop.try_order(&pack, &key).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{fault:?}: {:?}", answer.body);
        let again = shop.try_order(&pack, &key).await;
        assert_eq!((again.status, &again.body), (StatusCode::CREATED, &answer.body), "{fault:?}");
        assert_eq!(pages(&shop), opened + 1, "{fault:?}");
    }
    shop.close().await;
}

#[tokio::test]
async fn a_page_that_could_not_be_opened_is_opened_once_when_it_is_asked_for_again() {
    let shop = Shop::open().await;
    let pack = shop.pack("Starter").await;
    for (opened, fault) in [Fault::BadGateway, Fault::ResetAfter].into_iter().enumerate() {
        let key = format!("{fault:?}");
        shop.stripe.fault(OPEN, ATTEMPTS, fault.clone());
        is_told_to_try_again(&shop.try_order(&pack, &key).await, &fault);
        let again = shop.try_order(&pack, &key).await;
        assert_eq!(again.status, StatusCode::CREATED, "{fault:?}: {:?}", again.body);
        let checkout = shop.checkout_of(again.body["id"].as_str().expect("an id"));
        assert_eq!(pages(&shop), opened + 1, "{fault:?}");
        shop.stripe.pay_checkout(&checkout);
        shop.hear().await;
    }
    assert_eq!(shop.available().await, 500);
    shop.close().await;
}

#[tokio::test]
async fn a_subscription_is_begun_changed_and_ended_once_whatever_goes_wrong_at_first() {
    let shop = Shop::open().await;
    let to_pro = json!({ "plan": shop.plan("Pro").await });
    for (begun, fault) in faults().into_iter().enumerate() {
        let key = format!("{fault:?}");
        shop.stripe.fault(OPEN, 1, fault.clone());
        let subscription = shop.subscribed("Basic", &key).await;
        assert_eq!(pages(&shop), begun + 1, "{fault:?}");
        shop.stripe.fault(CHANGE, 2, fault.clone());
        let answer = manage(&shop, "change", &key, &to_pro).await;
        let told = (answer.status, &answer.body["plan"]["name"]);
        assert_eq!(told, (StatusCode::OK, &json!("Pro")), "{fault:?}: {:?}", answer.body);
        let again = manage(&shop, "change", &key, &to_pro).await;
        assert_eq!((again.status, &again.body), (StatusCode::OK, &answer.body), "{fault:?}");
        assert_eq!(became(&shop, &subscription), (2, 0, 0), "{fault:?}");

        shop.stripe.fault(CHANGE, 1, fault.clone());
        let answer = manage(&shop, "cancel", &key, &json!({})).await;
        let told = (answer.status, &answer.body["cancel_at_period_end"]);
        assert_eq!(told, (StatusCode::OK, &json!(true)), "{fault:?}: {:?}", answer.body);
        assert_eq!(became(&shop, &subscription), (2, 1, 0), "{fault:?}");

        shop.stripe.fault(END, 1, fault.clone());
        let key = format!("{key} now");
        let answer = manage(&shop, "cancel", &key, &json!({ "when": "now" })).await;
        let told = (answer.status, &answer.body["status"]);
        assert_eq!(told, (StatusCode::OK, &json!("canceled")), "{fault:?}: {:?}", answer.body);
        assert_eq!(became(&shop, &subscription), (2, 1, 1), "{fault:?}");
        shop.hear().await;
    }
    shop.close().await;
}

#[tokio::test]
async fn a_change_that_could_not_be_made_is_made_once_when_it_is_asked_for_again() {
    let shop = Shop::open().await;
    let to_pro = json!({ "plan": shop.plan("Pro").await });
    for fault in [Fault::Locked, Fault::ResetAfter] {
        let key = format!("{fault:?}");
        let subscription = shop.subscribed("Basic", &key).await;
        shop.stripe.fault(CHANGE, ATTEMPTS, fault.clone());
        is_told_to_try_again(&manage(&shop, "change", &key, &to_pro).await, &fault);
        let again = manage(&shop, "change", &key, &to_pro).await;
        let told = (again.status, &again.body["plan"]["name"]);
        assert_eq!(told, (StatusCode::OK, &json!("Pro")), "{fault:?}: {:?}", again.body);
        assert_eq!(became(&shop, &subscription), (2, 0, 0), "{fault:?}");

        shop.stripe.fault(END, ATTEMPTS, fault.clone());
        let now = json!({ "when": "now" });
        is_told_to_try_again(&manage(&shop, "cancel", &key, &now).await, &fault);
        let again = manage(&shop, "cancel", &key, &now).await;
        let told = (again.status, &again.body["status"]);
        assert_eq!(told, (StatusCode::OK, &json!("canceled")), "{fault:?}: {:?}", again.body);
        assert_eq!(became(&shop, &subscription), (2, 0, 1), "{fault:?}");
        shop.hear().await;
    }
    shop.close().await;
}
