//! The daily comparison with Stripe.

use reqwest::{Method, StatusCode};
use saldo::clock;
use serde_json::{Value, json};

use crate::plans::DAY;
use crate::shop::{Shop, serve};
use crate::stripe::{Fault, Funds, Mood, StripeDouble};
use crate::world::{ask, change, send};

/// The newest report, once there are so many.
async fn report(shop: &Shop, count: usize) -> Value {
    let started =
        ask(&shop.server, Method::POST, "/admin/stripe/reconcile", &shop.ada.access).await;
    assert_eq!(started.status, StatusCode::ACCEPTED, "{:?}", started.body);
    let reports = async || {
        let path = "/admin/stripe/reports";
        ask(&shop.server, Method::GET, path, &shop.ada.access).await.body["items"].clone()
    };
    shop.until(|| async { reports().await.as_array().is_some_and(|all| all.len() == count) }).await;
    reports().await[0].clone()
}

/// The fields that differed of an object, each with ours, theirs, and whether it is settled.
fn of(report: &Value, subject: &str) -> Vec<(String, Value, Value, bool)> {
    let mismatches = report["mismatches"].as_array().expect("mismatches").iter();
    let of_it = mismatches.filter(|mismatch| mismatch["subject"] == *subject);
    of_it
        .map(|mismatch| {
            let field = mismatch["field"].as_str().expect("a field").to_owned();
            let settled = mismatch["settled"] == true;
            (field, mismatch["ours"].clone(), mismatch["theirs"].clone(), settled)
        })
        .collect()
}

#[tokio::test]
async fn a_comparison_finds_nothing_where_all_was_told() {
    let shop = Shop::open().await;
    let refused = ask(&shop.server, Method::GET, "/admin/stripe/reports", &shop.ada.access).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    shop.administrate();
    for key in ["one", "two", "three"] {
        shop.bought("Starter", key).await;
    }
    let (_, other) = shop.order("Pro", "unpaid").await;
    shop.stripe.decline_checkout(&other, "card_declined");
    let (_, refunded) = shop.bought("Starter", "refunded").await;
    shop.stripe.refund(&refunded, Some(300));
    let (_, disputed) = shop.bought("Starter", "disputed").await;
    shop.stripe.open_dispute(&disputed, None, Funds::Withdrawn);
    shop.stripe.deliver().await;
    shop.until(|| shop.is_quiet()).await;
    let report = report(&shop, 1).await;
    assert_eq!((&report["compared"], &report["mismatches"]), (&json!(5), &json!([])));
    shop.close().await;
}

#[tokio::test]
async fn what_nobody_was_told_of_is_reported_and_settled() {
    let shop = Shop::open().await;
    shop.administrate();
    let (refunded, one) = shop.bought("Starter", "refunded").await;
    let (disputed, other) = shop.bought("Starter", "disputed").await;
    shop.until(|| shop.is_quiet()).await;
    shop.stripe.refund(&one, Some(450));
    shop.stripe.open_dispute(&other, None, Funds::Withdrawn);
    let (unheard, checkout) = shop.order("Starter", "unheard").await;
    shop.stripe.pay_checkout(&checkout);
    shop.stripe.lose("*");

    let found = report(&shop, 1).await;
    let row = |field: &str, ours: Value, theirs: Value| (field.to_owned(), ours, theirs, true);
    assert_eq!(
        of(&found, &refunded),
        [row("refunded_minor", json!(0), json!(450)), row("reversed_minor", json!(0), json!(450))]
    );
    assert_eq!(
        of(&found, &disputed),
        [
            row("disputed_minor", json!(0), json!(900)),
            row("disputed", json!(false), json!(true)),
            row("reversed_minor", json!(0), json!(900)),
        ]
    );
    let payment = shop.stripe.object(&checkout)["payment_intent"].clone();
    let paid = json!({ "amount_minor": 900, "currency": "usd" });
    assert_eq!(
        of(&found, &unheard),
        [
            row("payment", Value::Null, payment),
            row("paid", Value::Null, paid),
            row("granted", json!(0), json!(200)),
        ]
    );
    assert_eq!(found["mismatches"].as_array().map(Vec::len), Some(8));
    // 100 for signing up, half of one pack, nothing of another, and all of the third.
    shop.until_available(400).await;
    let again = report(&shop, 2).await;
    assert_eq!((&again["compared"], &again["mismatches"]), (&json!(3), &json!([])));
    shop.close().await;
}

/// A dispute lasts for months, and may end when nobody hears.
#[tokio::test]
async fn what_a_bank_may_yet_take_is_compared_however_old_it_is() {
    let day = 24 * 3600;
    let shop = Shop::at(StripeDouble::start_at(clock::now().timestamp() - 40 * day).await).await;
    shop.administrate();
    let (purchase, checkout) = shop.bought("Starter", "one").await;
    let dispute = shop.stripe.open_dispute(&checkout, None, Funds::Withdrawn);
    shop.stripe.deliver().await;
    shop.until_available(100).await;
    shop.until(|| shop.is_quiet()).await;
    change(&shop.database, "update purchases set moved_at = moved_at - interval '40 days'").await;
    shop.stripe.win_dispute(&dispute);
    shop.stripe.lose("*");
    shop.stripe.advance(40 * day);
    let found = report(&shop, 1).await;
    let differed: Vec<_> = of(&found, &purchase).into_iter().map(|(field, ..)| field).collect();
    assert_eq!(differed, ["disputed_minor", "disputed", "reversed_minor"]);
    shop.until_available(300).await;
    shop.close().await;
}

/// The payment is known here, and not at Stripe: it is told, and nothing can be done about it.
#[tokio::test]
async fn a_payment_that_stripe_does_not_know_is_reported() {
    let mut shop = Shop::open().await;
    shop.administrate();
    let (purchase, _) = shop.bought("Starter", "one").await;
    let another = StripeDouble::start().await;
    shop.server = serve(&shop.database, &another);
    let found = report(&shop, 1).await;
    let told = of(&found, &purchase);
    assert_eq!(told.len(), 1, "{found}");
    assert_eq!((told[0].0.as_str(), told[0].3), ("payment", false));
    assert_eq!(told[0].2, "Stripe has no such object");
    assert_eq!(shop.available().await, 300);
    shop.close().await;
}

/// The same for what subscriptions' invoices have taken and given back.
#[tokio::test]
async fn what_nobody_was_told_of_an_invoice_is_reported_and_settled() {
    let shop = Shop::open().await;
    shop.administrate();
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    shop.until(|| shop.is_quiet()).await;
    let id = shop.subscription().await["id"].as_str().expect("an id").to_owned();
    let quiet = report(&shop, 1).await;
    // The payment, and how the subscription stands.
    assert_eq!((&quiet["compared"], &quiet["mismatches"]), (&json!(2), &json!([])));
    let invoice = shop.stripe.object(&subscription)["latest_invoice"].clone();
    shop.stripe.refund(invoice.as_str().expect("an id"), Some(450));
    shop.stripe.lose_some(100, 1);
    let found = report(&shop, 2).await;
    let refunded = ("refunded_minor".to_owned(), json!(0), json!(450), true);
    let reversed = ("reversed_minor".to_owned(), json!(0), json!(450), true);
    assert_eq!(of(&found, &id), [refunded, reversed], "{found}");
    shop.until_available(600).await;
    shop.close().await;
}

#[tokio::test]
async fn a_subscription_that_nobody_was_told_of_is_reported_and_settled() {
    let shop = Shop::open().await;
    shop.administrate();
    let checkout = shop.subscribe("Basic", "one").await;
    shop.stripe.pay_checkout(&checkout);
    shop.stripe.lose_some(100, 1);
    let id = shop.stripe.object(&checkout)["client_reference_id"].clone();
    let id = id.as_str().expect("an id").to_owned();
    let found = report(&shop, 1).await;
    let fields: Vec<_> =
        of(&found, &id).into_iter().map(|(field, _, _, done)| (field, done)).collect();
    assert_eq!(fields, [("payment".to_owned(), true)], "{found}");
    shop.until_available(1_100).await;
    shop.close().await;
}

#[tokio::test]
async fn an_invoice_whose_payment_nobody_was_told_of_is_settled() {
    let shop = Shop::open_ago(34 * DAY).await;
    shop.administrate();
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    shop.cards_of(&subscription, Mood::Declines("card_declined"));
    shop.stripe.renew(&subscription);
    shop.hear().await;
    assert_eq!(shop.subscription().await["status"], "past_due");
    shop.cards_of(&subscription, Mood::Pays);
    shop.stripe.advance(4 * DAY);
    shop.stripe.lose_some(100, 1);
    let id = shop.subscription().await["id"].as_str().expect("an id").to_owned();
    let found = report(&shop, 1).await;
    let state = of(&found, &id).into_iter().find(|(field, ..)| field == "state");
    assert_eq!(state, Some(("state".to_owned(), json!("open"), json!("paid"), true)), "{found}");
    shop.until_available(2_100).await;
    shop.close().await;
}

/// Nothing is paid for any of it.
#[tokio::test]
async fn how_subscriptions_stand_is_compared_too() {
    let shop = Shop::open_ago(20 * DAY).await;
    shop.administrate();
    let subscription = shop.subscribed("Basic", "one").await;
    shop.hear().await;
    let id = shop.subscription().await["id"].as_str().expect("an id").to_owned();
    shop.stripe.portal_cancel(&subscription);
    shop.stripe.lose("*");
    let found = report(&shop, 1).await;
    let told = of(&found, &id);
    assert!(
        matches!(&told[..], [(field, ours, _, true)] if field == "ends_at" && ours.is_null()),
        "{found}"
    );
    assert_eq!(shop.subscription().await["cancel_at_period_end"], true);
    shop.stripe.cancel_now(&subscription);
    shop.stripe.lose("*");
    let found = report(&shop, 2).await;
    let status = ("status".to_owned(), json!("active"), json!("canceled"), true);
    assert!(of(&found, &id).contains(&status), "{found}");
    assert_eq!(shop.subscription().await["status"], "canceled");
    // A trial, of which nobody has heard.
    shop.offer("Tried", &json!({ "trial_days": 14 })).await;
    let checkout = shop.subscribe("Tried", "two").await;
    shop.stripe.pay_checkout(&checkout);
    shop.stripe.lose("*");
    let found = report(&shop, 3).await;
    let told = found["mismatches"].as_array().expect("mismatches").clone();
    assert!(
        told.iter().any(|it| it["field"] == "subscription" && it["settled"] == true),
        "{found}"
    );
    assert_ne!(shop.subscription().await["status"], "ordered");
    let quiet = report(&shop, 4).await;
    assert_eq!(quiet["mismatches"], json!([]), "{quiet}");
    shop.close().await;
}

/// A dispute of an invoice ends when the invoice is none of the last ones any more, and nobody hears.
#[tokio::test]
async fn a_dispute_of_an_old_invoice_is_compared_however_old_it_is() {
    let shop = Shop::open_ago(100 * DAY).await;
    shop.administrate();
    let subscription = shop.subscribed("Basic", "one").await;
    shop.hear().await;
    let invoice = shop.stripe.object(&subscription)["latest_invoice"].clone();
    let invoice = invoice.as_str().expect("an id");
    let dispute = shop.stripe.open_dispute(invoice, None, Funds::Withdrawn);
    shop.hear().await;
    shop.stripe.advance(98 * DAY);
    shop.stripe.win_dispute(&dispute);
    shop.stripe.lose("*");
    let found = report(&shop, 1).await;
    let id = shop.subscription().await["id"].as_str().expect("an id").to_owned();
    let fields: Vec<_> = of(&found, &id).into_iter().map(|(field, ..)| field).collect();
    // Nobody has heard of the renewals, either.
    assert_eq!(fields, ["disputed_minor", "disputed", "reversed_minor", "period"], "{found}");
    let body = json!({ "amount": 1, "reason": "render" });
    let spent = send(&shop.server, Method::POST, "/wallet/debits", &shop.ada.access, &body).await;
    assert_eq!(spent.status, StatusCode::CREATED, "{:?}", spent.body);
    shop.close().await;
}

/// Nothing that cannot be read keeps the rest from being compared.
#[tokio::test]
async fn a_subscription_that_cannot_be_read_is_reported() {
    let shop = Shop::open_ago(20 * DAY).await;
    shop.administrate();
    let subscription = shop.subscribed("Basic", "one").await;
    shop.hear().await;
    let id = shop.subscription().await["id"].as_str().expect("an id").to_owned();
    shop.stripe.portal_cancel(&subscription);
    shop.stripe.lose("*");
    let refuses = json!({ "error": { "type": "invalid_request_error", "message": "no" } });
    shop.stripe.fault("GET /v1/subscriptions/", 1000, Fault::Says(400, refuses));
    let found = report(&shop, 1).await;
    let told = of(&found, &id);
    assert!(matches!(&told[..], [(field, .., false)] if field == "subscription"), "{found}");
    shop.stripe.heal();
    let found = report(&shop, 2).await;
    assert!(matches!(&of(&found, &id)[..], [(field, .., true)] if field == "ends_at"), "{found}");
    shop.close().await;
}
