//! Auto-recharge: cards that say no, and banks that want to see the person.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::recharge::*;
use crate::refunds::refund;
use crate::stripe::{Fault, Mood};
use crate::world::{ADA, ask, verify};

#[tokio::test]
async fn a_declined_card_is_left_alone_however_much_is_spent() {
    let shop = shop().await;
    verify(&shop.server, &shop.ada, ADA).await;
    cards_are(&shop, Mood::Declines("insufficient_funds"));
    turn_on(&shop, 100, 900).await;
    spend(&shop, 250).await;
    until_state(&shop, "declined").await;
    let failure = told(&shop).await["last_failure"].clone();
    assert_eq!(failure["code"], "insufficient_funds");
    assert!(failure["again_at"].is_string(), "{failure}");
    shop.letter("Your card was declined").await;
    for _ in 0..5 {
        spend(&shop, 1).await;
    }
    shop.stripe.deliver().await;
    wait().await;
    assert_eq!((attempts(&shop), shop.available().await), (1, 45));
    let told = told(&shop).await;
    assert_eq!((&told["enabled"], &told["charged_minor"]), (&json!(true), &json!(0)));
    let payments = ask(&shop.server, Method::GET, "/billing/payments", &shop.ada.access).await;
    assert_eq!(payments.body["items"][0]["state"], "payment_failed");
    rebuild(&shop).await;
    shop.close().await;
}

#[tokio::test]
async fn a_stolen_card_turns_it_off_at_once() {
    let shop = shop().await;
    cards_are(&shop, Mood::Declines("stolen_card"));
    turn_on(&shop, 100, 1800).await;
    spend(&shop, 250).await;
    until_state(&shop, "off").await;
    let told = told(&shop).await;
    assert_eq!((&told["off_reason"], &told["enabled"]), (&json!("declined"), &json!(false)));
    rebuild(&shop).await;
    // Turned on again, it waits for a day, and says why.
    turn_on(&shop, 100, 1800).await;
    spend(&shop, 1).await;
    until_state(&shop, "declined").await;
    wait().await;
    assert_eq!(attempts(&shop), 1);
    rebuild(&shop).await;
    shop.close().await;
}

/// What Stripe does not take as it is asked, it never will: nothing stays in flight, nothing is asked
/// again, and the person can turn it on anew.
#[tokio::test]
async fn a_charge_that_stripe_does_not_take_turns_it_off() {
    let shop = shop().await;
    let refusal = json!({"error": {
        "type": "invalid_request_error", "code": "amount_too_small", "param": "amount",
        "message": "Amount must be at least 50 cents",
    }});
    shop.stripe.fault(CHARGE, 1000, Fault::Says(400, refusal));
    turn_on(&shop, 100, 1800).await;
    spend(&shop, 250).await;
    until_state(&shop, "off").await;
    assert_eq!(told(&shop).await["last_failure"]["code"], "amount_too_small");
    wait().await;
    assert_eq!((charges(&shop), attempts(&shop)), (0, 1));
    shop.stripe.heal();
    // The same card is not tried again before a day has passed; another one is.
    turn_on(&shop, 100, 1800).await;
    spend(&shop, 1).await;
    wait().await;
    assert_eq!(told(&shop).await["last_failure"]["code"], "amount_too_small");
    assert_eq!(attempts(&shop), 1);
    spend(&shop, 49).await;
    shop.stripe.advance(120);
    let checkout = shop.order_keeping_card("Starter", "another card").await;
    shop.stripe.pay_checkout(&checkout);
    shop.stripe.deliver().await;
    shop.until_available(200).await;
    turn_on(&shop, 100, 1800).await;
    spend(&shop, 101).await;
    shop.until_available(299).await;
    assert_eq!(charges(&shop), 1);
    rebuild(&shop).await;
    shop.close().await;
}

#[tokio::test]
async fn a_bank_that_wants_to_see_the_person_has_them_sent_a_link() {
    let shop = shop().await;
    verify(&shop.server, &shop.ada, ADA).await;
    cards_are(&shop, Mood::Authenticates);
    turn_on(&shop, 100, 1800).await;
    spend(&shop, 250).await;
    until_state(&shop, "authentication_required").await;
    let letter = shop.letter("Confirm a payment").await;
    let link = told(&shop).await["link"].as_str().expect("a link").to_owned();
    assert!(letter["text"].as_str().is_some_and(|text| text.contains(&link)), "{letter}");
    spend(&shop, 10).await;
    shop.stripe.deliver().await;
    wait().await;
    assert_eq!((attempts(&shop), charges(&shop)), (1, 0), "one is in flight");
    let session = link.rsplit('/').next().expect("a session").to_owned();
    shop.stripe.pay_checkout(&session);
    shop.stripe.deliver().await;
    shop.until_available(240).await;
    until_state(&shop, "ready").await;
    assert_eq!(told(&shop).await["link"], Value::Null);
    shop.close().await;
}

/// What was paid is not what was asked for: an administrator looks at it, and gives it back.
#[tokio::test]
async fn what_was_paid_otherwise_and_given_back_is_over() {
    let shop = shop().await;
    cards_are(&shop, Mood::Authenticates);
    turn_on(&shop, 100, 900).await;
    spend(&shop, 250).await;
    until_state(&shop, "authentication_required").await;
    let link = told(&shop).await["link"].as_str().expect("a link").to_owned();
    let session = link.rsplit('/').next().expect("a session").to_owned();
    let purchase = shop.stripe.object(&session)["client_reference_id"].clone();
    let purchase = purchase.as_str().expect("a purchase");
    shop.stripe.pay_checkout_with(&session, 850);
    shop.stripe.deliver().await;
    shop.until(|| async { shop.state(purchase).await == "quarantined" }).await;
    wait().await;
    assert_ne!(told(&shop).await["state"], "ready", "somebody may accept it");
    shop.administrate();
    cards_are(&shop, Mood::Pays);
    let asked = refund(&shop, purchase, "one").await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{:?}", asked.body);
    // It counts against the month no more: another one follows, which pays as agreed.
    shop.until_available(250).await;
    until_state(&shop, "ready").await;
    assert_eq!(told(&shop).await["charged_minor"], 900);
    rebuild(&shop).await;
    shop.close().await;
}

#[tokio::test]
async fn a_link_that_nobody_follows_is_a_decline() {
    let shop = shop().await;
    cards_are(&shop, Mood::Authenticates);
    turn_on(&shop, 100, 1800).await;
    spend(&shop, 250).await;
    until_state(&shop, "authentication_required").await;
    let link = told(&shop).await["link"].as_str().expect("a link").to_owned();
    shop.stripe.expire_checkout(link.rsplit('/').next().expect("a session"));
    shop.stripe.deliver().await;
    until_state(&shop, "declined").await;
    let told = told(&shop).await;
    assert_eq!(told["last_failure"]["code"], "authentication_required");
    assert_eq!(told["charged_minor"], 0);
    rebuild(&shop).await;
    shop.close().await;
}
