//! Auto-recharge: who is not charged though the balance is low.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::recharge::*;
use crate::stripe::Funds;
use crate::world::{ADA, PASSWORD, send, verify};

#[tokio::test]
async fn who_turns_it_off_is_charged_no_more() {
    let shop = shop().await;
    turn_on(&shop, 100, 1800).await;
    turn_off(&shop).await;
    spend(&shop, 210).await;
    wait().await;
    assert_eq!(attempts(&shop), 0);
    shop.close().await;

    let shop = crate::recharge::shop().await;
    held_back(&shop).await;
    turn_off(&shop).await;
    answers_again(&shop).await;
    until_state(&shop, "off").await;
    let told = told(&shop).await;
    assert_eq!(told["last_failure"]["code"], "turned_off");
    assert_eq!((attempts(&shop), &told["charged_minor"]), (0, &json!(0)));
    shop.close().await;
}

#[tokio::test]
async fn a_frozen_wallet_is_not_recharged() {
    let shop = shop().await;
    let intent = shop.stripe.truth().payments.pop().expect("a payment").payment_intent;
    held_back(&shop).await;
    postpone(&shop).await;
    shop.stripe.heal();
    shop.stripe.open_dispute(&intent, Some(1), Funds::Untouched);
    shop.stripe.deliver().await;
    let path = "/wallet/debits";
    let body = json!({ "amount": 1, "reason": "render" });
    shop.until(|| async {
        let answer = send(&shop.server, Method::POST, path, &shop.ada.access, &body).await;
        answer.body["reason"] == "frozen"
    })
    .await;
    answers_again(&shop).await;
    shop.until(|| async { told(&shop).await["last_failure"]["code"] == "wallet_stopped" }).await;
    wait().await;
    assert_eq!(attempts(&shop), 0);
    rebuild(&shop).await;
    shop.close().await;
}

#[tokio::test]
async fn who_was_erased_is_never_charged() {
    let shop = shop().await;
    held_back(&shop).await;
    let confirm = json!({ "password": PASSWORD });
    let gone = send(&shop.server, Method::DELETE, "/me", &shop.ada.access, &confirm).await;
    assert!(gone.status.is_success(), "{:?}", gone.body);
    answers_again(&shop).await;
    let pool = shop.database.kept().await;
    let of = |query: &'static str| sqlx::query_scalar::<_, i64>(query).fetch_one(pool);
    for _ in 0..100 {
        let ended = "select count(*) from events where event_type = 'Withdrawn'";
        if of(ended).await.expect("a count") == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(of("select count(*) from saved_cards").await.expect("a count"), 0);
    assert_eq!(
        of("select count(*) from recharges where purchase_id is not null").await.ok(),
        Some(0)
    );
    wait().await;
    assert_eq!(attempts(&shop), 0);
    shop.close().await;
}

#[tokio::test]
async fn a_pack_that_became_dearer_is_not_bought() {
    let shop = shop().await;
    verify(&shop.server, &shop.ada, ADA).await;
    turn_on(&shop, 100, 9000).await;
    let (done, said) = shop.database.run(&["admin", "grant", ADA]);
    assert!(done, "{said}");
    let path = format!("/admin/packs/{}", shop.pack("Starter").await);
    let price = json!({ "amount_minor": 901, "currency": "usd" });
    let dearer = json!({ "name": "Starter", "credits": 200, "price": price });
    let changed = send(&shop.server, Method::PUT, &path, &shop.ada.access, &dearer).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{:?}", changed.body);
    spend(&shop, 250).await;
    until_state(&shop, "off").await;
    assert_eq!(told(&shop).await["off_reason"], "dearer");
    shop.letter("Auto-recharge is off").await;
    assert_eq!(attempts(&shop), 0);
    shop.close().await;
}

/// While Stripe did not answer, the person bought a pack.
#[tokio::test]
async fn a_balance_that_is_not_low_any_more_is_not_recharged() {
    let shop = shop().await;
    held_back(&shop).await;
    postpone(&shop).await;
    shop.stripe.heal();
    shop.bought("Starter", "by hand").await;
    answers_again(&shop).await;
    until_state(&shop, "ready").await;
    assert_eq!(told(&shop).await["last_failure"]["code"], "enough");
    assert_eq!((attempts(&shop), shop.available().await), (0, 250));
    shop.close().await;
}
