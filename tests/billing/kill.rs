//! `kill -9` between money and credits: whatever was paid is granted once, and what was given back
//! is taken back.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;

use crate::histories::expected;
use crate::plan_histories;
use crate::seeds::Random;
use crate::shop::Shop;
use crate::stripe::{Fault, Manner};

/// How often the server is killed.
const KILLS: u64 = 10;
/// Purchases that are under way each time.
const PURCHASES: usize = 4;
/// The latest moment of a kill, in milliseconds: settling them all takes about as long.
const LATEST: usize = 600;

#[tokio::test]
async fn whatever_was_paid_is_granted_once_however_often_the_server_is_killed() {
    let mut shop = Shop::open().await;
    let (mut random, mut cut_short) = (Random(41), 0);
    for kill in 0..KILLS {
        let purchases = buy(&shop, kill).await;
        shop.stripe.fault("GET /v1/", 1000, Fault::Slow(Duration::from_millis(20)));
        let moment = Duration::from_millis(random.below(LATEST) as u64);
        let told = shop.stripe.deliver_in(Manner::shuffled(kill).twice().at_once());
        let polls = join_all(purchases.iter().map(|purchase| poll_until_gone(&shop, purchase)));
        let killed = async {
            tokio::time::sleep(moment).await;
            shop.server.kill();
        };
        tokio::join!(told, polls, killed);
        shop.stripe.heal();
        cut_short += unsettled(&shop, kill).await;
        shop.restart().await;
    }
    assert!(cut_short > 0, "no kill came between the money and the credits");
    shop.stripe.deliver_until_taken(3).await;
    shop.until(|| async { unsettled(&shop, KILLS - 1).await == 0 }).await;
    shop.until(|| shop.is_quiet()).await;
    assert_eq!(shop.available().await, expected(&shop));
    shop.close().await;
}

/// Packs that are ordered and paid, the first of them given back in part; nobody has told of it.
async fn buy(shop: &Shop, kill: u64) -> Vec<String> {
    let mut purchases = Vec::new();
    for number in 0..PURCHASES {
        let (purchase, checkout) = shop.order("Starter", &format!("{kill}-{number}")).await;
        shop.stripe.pay_checkout(&checkout);
        if number == 0 {
            shop.stripe.refund(&checkout, Some(450));
        }
        purchases.push(purchase);
    }
    purchases
}

/// Looks at the return page until nobody answers.
async fn poll_until_gone(shop: &Shop, purchase: &str) {
    let path = format!("/api/v1/billing/checkout/{purchase}");
    let bearer = format!("Bearer {}", shop.ada.access);
    let headers = [("authorization", bearer.as_str())];
    while shop.server.send(Method::GET, &path, &headers, None).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How many of the purchases so far are paid, and not granted.
async fn unsettled(shop: &Shop, kill: u64) -> u64 {
    let pool = shop.database.kept().await;
    let fulfilled = "select count(*) from events where event_type = 'Fulfilled'";
    let fulfilled: i64 = sqlx::query_scalar(fulfilled).fetch_one(pool).await.expect("a count");
    (kill + 1) * PURCHASES as u64 - u64::try_from(fulfilled).expect("a count")
}

/// The same for subscriptions: plans are changed, invoices paid and given back in part.
#[tokio::test]
async fn what_invoices_bring_comes_once_however_often_the_server_is_killed() {
    let mut shop = Shop::open_ago(25 * 24 * 3600).await;
    let subscription = shop.subscribed("Basic", "one").await;
    plan_histories::until_listed(&shop).await;
    let (mut random, mut cut_short) = (Random(43), 0);
    for kill in 0..KILLS {
        shop.stripe.advance(24 * 3600);
        let amount = if kill % 2 == 0 { 2_900 } else { 900 };
        shop.stripe.portal_change_plan(&subscription, &shop.price(amount));
        if let Some(invoice) = shop.refundable_invoice(&mut random) {
            shop.stripe.refund(&invoice, Some(50));
        }
        shop.stripe.fault("GET /v1/", 1000, Fault::Slow(Duration::from_millis(20)));
        let moment = Duration::from_millis(random.below(2 * LATEST) as u64);
        let told = shop.stripe.deliver_in(Manner::shuffled(kill).twice().at_once());
        let killed = async {
            tokio::time::sleep(moment).await;
            shop.server.kill();
        };
        tokio::join!(told, killed);
        shop.stripe.heal();
        cut_short += waiting(&shop).await;
        shop.restart().await;
    }
    assert!(cut_short > 0, "no kill came while anything was being settled");
    shop.stripe.deliver_until_taken(3).await;
    shop.until(|| shop.is_quiet()).await;
    let (available, truth) = (shop.available().await, shop.stripe.truth());
    let expected = 100 + plan_histories::expected(&shop, &truth);
    assert_eq!(i128::from(available), expected, "{truth:#?}");
    shop.close().await;
}

/// How many events of Stripe's are kept and not settled.
async fn waiting(shop: &Shop) -> i64 {
    let pool = shop.database.kept().await;
    let waiting = "select count(*) from stripe_inbox where state = 'waiting'";
    sqlx::query_scalar(waiting).fetch_one(pool).await.expect("a count")
}
