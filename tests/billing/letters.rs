//! What letters say of payments and subscriptions: how much was paid, what it brought, where to pay.

use serde_json::json;

use crate::plans::DAY;
use crate::shop::Shop;
use crate::stripe::Mood;
use crate::world::{ADA, verify};

/// A shop that may write to Ada.
async fn open_ago(days: i64) -> Shop {
    let shop = Shop::open_ago(days * DAY).await;
    verify(&shop.server, &shop.ada, ADA).await;
    shop
}

/// The letter of this subject says so.
async fn says(shop: &Shop, subject: &str, words: &str) {
    let letter = shop.letter(subject).await;
    let text = letter["text"].as_str().expect("a text");
    assert!(text.contains(words), "{subject}: {text}");
    assert!(text.starts_with("Hello Ada,"), "{text}");
    assert_eq!(letter["sent_to"], ADA);
}

#[tokio::test]
async fn a_receipt_says_what_was_paid_and_what_it_brought() {
    let shop = open_ago(0).await;
    shop.subscribed("Basic", "one").await;
    shop.bought("Pro", "two").await;
    says(&shop, "Your receipt for Basic", "You paid 9.00 USD for Basic on ").await;
    says(&shop, "Your receipt for Basic", ". 1000 credits are in your wallet.").await;
    says(&shop, "Your receipt for Pro", "You paid 19.00 USD for Pro on ").await;
    says(&shop, "Your receipt for Pro", ". 500 credits are in your wallet.").await;
    shop.close().await;
}

#[tokio::test]
async fn a_renewal_says_what_was_paid_and_what_it_brought() {
    let shop = open_ago(40).await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.stripe.renew(&subscription);
    shop.hear().await;
    let subject = "Your subscription Basic was renewed";
    says(&shop, subject, "9.00 USD was paid for another period of Basic on ").await;
    says(&shop, subject, ". 1000 credits are in your wallet.").await;
    shop.close().await;
}

#[tokio::test]
async fn the_receipt_of_an_upgrade_says_the_difference() {
    let shop = open_ago(0).await;
    shop.subscribed("Basic", "one").await;
    shop.manage("change", &json!({ "plan": shop.plan("Pro").await })).await;
    let subject = "Your receipt for Pro";
    says(&shop, subject, "You paid 20.00 USD for Pro on ").await;
    says(&shop, subject, ". 9000 credits are in your wallet.").await;
    shop.close().await;
}

#[tokio::test]
async fn a_payment_that_failed_says_how_much_and_where_it_is_paid() {
    let shop = open_ago(60).await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.cards_of(&subscription, Mood::Declines("card_declined"));
    shop.stripe.renew(&subscription);
    shop.hear().await;
    let subject = "A payment for Basic failed";
    says(&shop, subject, "9.00 USD for Basic could not be collected.").await;
    let invoice = shop.stripe.object(&subscription)["latest_invoice"].clone();
    let invoice = shop.stripe.object(invoice.as_str().expect("an id"));
    let link = invoice["hosted_invoice_url"].as_str().expect("a page");
    says(&shop, subject, &format!("here:\n\n{link}\n")).await;
    // Nobody pays it, and the last attempt is over.
    shop.stripe.advance(16 * DAY);
    shop.hear().await;
    let subject = "Your subscription Basic has ended";
    says(&shop, subject, "Your subscription Basic has ended on ").await;
    shop.close().await;
}

/// It is for the plan that did not come, not for the one that stays.
#[tokio::test]
async fn an_upgrade_that_was_declined_is_written_of_as_what_it_would_be() {
    let shop = open_ago(0).await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.cards_of(&subscription, Mood::Declines("card_declined"));
    shop.manage("change", &json!({ "plan": shop.plan("Pro").await })).await;
    let subject = "A payment for Pro failed";
    says(&shop, subject, "20.00 USD for Pro could not be collected.").await;
    shop.close().await;
}

#[tokio::test]
async fn the_end_of_a_subscription_is_announced_for_the_end_of_its_period() {
    let shop = open_ago(20).await;
    shop.subscribed("Basic", "one").await;
    let ending = shop.manage("cancel", &json!({})).await;
    let day = &ending.body["ends_at"].as_str().expect("a time")[..10];
    let subject = "Your subscription Basic will end";
    let day = day.parse::<chrono::NaiveDate>().expect("a day").format("%-d %B %Y");
    says(&shop, subject, &format!("Your subscription Basic will end on {day}")).await;
    shop.close().await;
}

/// What is due of the year already comes with the payment: the letter is its receipt.
#[tokio::test]
async fn a_year_that_brings_several_months_at_once_has_a_receipt() {
    let shop = open_ago(70).await;
    shop.offer("Yearly", &json!({ "interval": "year" })).await;
    shop.subscribed("Yearly", "one").await;
    let subject = "Your receipt for Yearly";
    says(&shop, subject, "You paid 5.00 USD for Yearly on ").await;
    says(&shop, subject, ". 1500 credits are in your wallet.").await;
    shop.close().await;
}
