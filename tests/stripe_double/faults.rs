//! What goes wrong between an application and Stripe.

use std::time::Duration;

use crate::stripe::Fault;
use serde_json::json;

use crate::support::Shop;

const FORM: [(&str, &str); 1] = [("name", "x")];

async fn twice(fault: Fault) -> (Option<u16>, Option<u16>, usize) {
    let shop = Shop::open().await;
    shop.stripe.fault("POST /v1/customers", 1, fault);
    let once = || shop.post_once("customers", &FORM, Some("key"));
    let status =
        |answer: reqwest::Result<(u16, serde_json::Value)>| answer.ok().map(|(status, _)| status);
    let (first, second) = (status(once().await), status(once().await));
    (first, second, shop.stripe.objects("customer").len() - 1)
}

#[tokio::test]
async fn faults_before_leave_nothing_and_faults_after_leave_one() {
    assert_eq!(twice(Fault::TooMany { retry_after: None }).await, (Some(429), Some(200), 1));
    assert_eq!(twice(Fault::FailsBefore).await, (Some(500), Some(200), 1));
    assert_eq!(twice(Fault::FailsAfter).await, (Some(500), Some(200), 1));
    assert_eq!(twice(Fault::FailsForGood).await, (Some(500), Some(500), 1));
    assert_eq!(twice(Fault::BadGateway).await, (Some(502), Some(200), 1));
    assert_eq!(twice(Fault::Locked).await, (Some(409), Some(200), 1));
    assert_eq!(twice(Fault::ResetBefore).await, (None, Some(200), 1));
    assert_eq!(twice(Fault::ResetAfter).await, (None, Some(200), 1));
    assert_eq!(twice(Fault::Says(418, json!({}))).await, (Some(418), Some(200), 1));
}

#[tokio::test]
async fn a_limit_may_say_how_long_and_holds_for_some_calls() {
    let shop = Shop::open().await;
    shop.stripe.fault("/v1/events", 2, Fault::TooMany { retry_after: Some(7) });
    let url = format!("{}/v1/events", shop.stripe.url);
    let get = || shop.client.get(&url).bearer_auth(crate::stripe::SECRET_KEY).send();
    let answer = get().await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (429, &"7".parse().expect("a header"))
    );
    assert_eq!(get().await.expect("an answer").status(), 429);
    assert_eq!(get().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_slow_answer_keeps_its_key_in_flight() {
    let shop = Shop::open().await;
    shop.stripe.fault("/v1/customers", 1, Fault::Slow(Duration::from_millis(300)));
    let once = || shop.post_once("customers", &FORM, Some("key"));
    let (slow, (status, body)) = tokio::join!(once(), async {
        while shop.stripe.objects("customer").len() < 2 {
            tokio::task::yield_now().await;
        }
        once().await.expect("an answer")
    });
    assert_eq!((status, &body["error"]["code"]), (409, &json!("idempotency_key_in_use")));
    assert_eq!(slow.expect("an answer"), once().await.expect("an answer"));
}
