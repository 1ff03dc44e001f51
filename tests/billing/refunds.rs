//! What was paid otherwise than it was asked for, and giving payments back.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::stripe::{Fault, Funds};
use crate::support::Answer;
use crate::world::{ask, change, post_with, register};

/// A purchase that was paid with another amount than was asked for.
pub async fn quarantined(shop: &Shop, key: &str) -> String {
    let (purchase, checkout) = shop.order("Starter", key).await;
    shop.stripe.pay_checkout_with(&checkout, 850);
    shop.stripe.deliver().await;
    shop.until(|| async { shop.state(&purchase).await == "quarantined" }).await;
    purchase
}

async fn waiting(shop: &Shop) -> Value {
    let path = "/admin/purchases?state=quarantined";
    ask(&shop.server, Method::GET, path, &shop.ada.access).await.body["items"].clone()
}

pub async fn refund(shop: &Shop, purchase: &str, key: &str) -> Answer {
    let bearer = format!("Bearer {}", shop.ada.access);
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
    let why = json!({ "reason": "asked for by mail" });
    post_with(&shop.server, &format!("/admin/purchases/{purchase}/refund"), &headers, &why).await
}

/// What Stripe has given back, in how many refunds.
fn given_back(shop: &Shop) -> (i64, usize) {
    let refunds = shop.stripe.objects("refund");
    let alive = refunds.iter().filter(|refund| refund["status"] == "succeeded");
    (alive.map(|refund| refund["amount"].as_i64().expect("an amount")).sum(), refunds.len())
}

#[tokio::test]
async fn administrators_see_what_was_paid_otherwise_and_give_it_back() {
    let shop = Shop::open().await;
    let first = quarantined(&shop, "one").await;
    let second = quarantined(&shop, "two").await;
    let path = "/admin/purchases";
    let refused = ask(&shop.server, Method::GET, path, &shop.ada.access).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    shop.administrate();
    let items = waiting(&shop).await;
    let ids: Vec<_> = items.as_array().expect("purchases").iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&json!(second), &json!(first)], "the newest first");
    assert_eq!(items[0]["asked"], json!({ "amount_minor": 900, "currency": "usd" }));
    assert_eq!(items[0]["paid"], json!({ "amount_minor": 850, "currency": "usd" }));
    let page = ask(&shop.server, Method::GET, "/admin/purchases?limit=1", &shop.ada.access).await;
    let next = format!("/admin/purchases?limit=1&cursor={second}");
    assert_eq!(page.body["next_cursor"], *second);
    let page = ask(&shop.server, Method::GET, &next, &shop.ada.access).await;
    assert_eq!(page.body["items"][0]["id"], *first);

    let asked = refund(&shop, &first, "one").await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{:?}", asked.body);
    shop.until(|| async { waiting(&shop).await.as_array().is_some_and(|all| all.len() == 1) })
        .await;
    assert_eq!(given_back(&shop), (850, 1));
    assert_eq!(shop.available().await, 100);
    shop.close().await;
}

/// Stripe takes our key for nothing, for longer than jobs are tried.
#[tokio::test]
async fn what_everybody_gave_up_is_tried_again() {
    let shop = Shop::open().await;
    shop.administrate();
    let (purchase, _) = shop.bought("Starter", "one").await;
    let refuses = json!({ "error": { "type": "invalid_request_error", "message": "no" } });
    shop.stripe.fault("POST /v1/refunds", 1000, Fault::Says(401, refuses));
    let asked = refund(&shop, &purchase, "one").await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{:?}", asked.body);
    let pool = shop.database.kept().await;
    let stop_trying = "update graphile_worker._private_jobs set attempts = max_attempts
        where key like 'refund/%' and last_error is not null and locked_at is null";
    shop.until(|| async {
        let given_up = sqlx::query(stop_trying).execute(pool).await.expect("the queue answers");
        given_up.rows_affected() == 1
    })
    .await;
    shop.stripe.heal();
    change(&shop.database, "select graphile_worker.add_job('heal', '{}'::json)").await;
    shop.until_available(100).await;
    assert_eq!(given_back(&shop), (900, 1));
    shop.close().await;
}

#[tokio::test]
async fn a_pack_that_is_given_back_is_taken_back() {
    let shop = Shop::open().await;
    shop.administrate();
    let (purchase, checkout) = shop.bought("Starter", "one").await;
    shop.stripe.refund(&checkout, Some(300));
    let answers = join_all((0..4).map(|_| refund(&shop, &purchase, "one"))).await;
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{:?}", answer.body);
        assert_eq!(answer.headers["x-event-position"], answers[0].headers["x-event-position"]);
    }
    shop.until_available(100).await;
    assert_eq!(given_back(&shop), (900, 2));
    let again = refund(&shop, &purchase, "one").await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "it is answered as the first time");
    let more = refund(&shop, &purchase, "two").await;
    assert_eq!(
        (more.status, &more.body["code"]),
        (StatusCode::CONFLICT, &json!("not_possible_now"))
    );
    shop.until(|| shop.is_quiet()).await;
    assert_eq!(given_back(&shop), (900, 2));
    shop.close().await;
}

#[tokio::test]
async fn a_payment_that_is_disputed_is_not_given_back() {
    let shop = Shop::open().await;
    shop.administrate();
    let (unpaid, _) = shop.order("Starter", "unpaid").await;
    assert_eq!(refund(&shop, &unpaid, "unpaid").await.status, StatusCode::CONFLICT);
    let (purchase, checkout) = shop.bought("Starter", "one").await;
    // Nobody has heard of it yet.
    let dispute = shop.stripe.open_dispute(&checkout, None, Funds::Withdrawn);
    let refused = refund(&shop, &purchase, "one").await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{:?}", refused.body);
    shop.stripe.win_dispute(&dispute);
    assert_eq!(refund(&shop, &purchase, "two").await.status, StatusCode::ACCEPTED);
    shop.until(|| async { given_back(&shop) == (900, 1) }).await;
    shop.stripe.deliver().await;
    shop.until_available(100).await;
    let nobody = register(&shop.server, "grace@example.com").await;
    let path = format!("/admin/purchases/{purchase}/refund");
    let refused = ask(&shop.server, Method::POST, &path, &nobody.access).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    shop.close().await;
}

/// The dispute comes between the decision and the call.
#[tokio::test]
async fn a_payment_that_is_disputed_since_it_was_decided_is_not_given_back() {
    let shop = Shop::open().await;
    shop.administrate();
    let (purchase, checkout) = shop.bought("Starter", "one").await;
    shop.stripe.fault("POST /v1/refunds", 1, Fault::FailsBefore);
    assert_eq!(refund(&shop, &purchase, "one").await.status, StatusCode::ACCEPTED);
    shop.until(|| async { !shop.stripe.calls_to("POST", "/v1/refunds").is_empty() }).await;
    shop.stripe.open_dispute(&checkout, None, Funds::Withdrawn);
    shop.stripe.deliver().await;
    shop.until_available(100).await;
    shop.until(|| shop.is_quiet()).await;
    assert_eq!(given_back(&shop), (0, 0));
    shop.close().await;
}

/// Whatever goes wrong on the way, and whoever is killed: it is given back once.
#[tokio::test]
async fn what_is_to_be_given_back_is_given_back_once_whatever_goes_wrong() {
    for fault in [Fault::FailsBefore, Fault::FailsAfter, Fault::FailsForGood, Fault::ResetAfter] {
        let mut shop = Shop::open().await;
        shop.administrate();
        let (purchase, _) = shop.bought("Starter", "one").await;
        shop.stripe.fault("POST /v1/refunds", 3, fault.clone());
        assert_eq!(refund(&shop, &purchase, "one").await.status, StatusCode::ACCEPTED);
        shop.until(|| async { !shop.stripe.calls_to("POST", "/v1/refunds").is_empty() }).await;
        shop.restart().await;
        shop.until_available(100).await;
        assert_eq!(given_back(&shop), (900, 1), "{fault:?}");
        shop.close().await;
    }
}
