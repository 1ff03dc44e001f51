//! What becomes of what Stripe tells: one look for each object, and somebody told of what fails.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::stripe::{Envelope, Fault, Manner};
use crate::world::{ask, change, register};

const EVENTS: &str = "/admin/stripe/events";

/// A page of Stripe's that is open, and nothing that waits to be heard: a look at it is one call.
async fn looked_at(shop: &Shop) -> String {
    let (_, checkout) = shop.order("Starter", "one").await;
    shop.hear().await;
    assert_eq!(looks(shop, &checkout), 0);
    checkout
}

fn looks(shop: &Shop, checkout: &str) -> usize {
    shop.stripe.calls_to("GET", &format!("/v1/checkout/sessions/{checkout}")).len()
}

/// How often Stripe was asked what became of money.
fn asked(shop: &Shop) -> usize {
    let calls = shop.stripe.calls();
    let of_money = |path: &str| path.contains("/checkout/") || path.contains("/payment_intents");
    calls.iter().filter(|call| call.method == "GET" && of_money(&call.path)).count()
}

/// Stripe tells of it, be it nothing new.
async fn tell(shop: &Shop, checkout: &str) -> String {
    let event = shop.stripe.make_event("checkout.session.expired", &shop.stripe.object(checkout));
    for answer in shop.stripe.deliver().await {
        assert_eq!(answer.status, Some(204), "{answer:?}");
    }
    event["id"].as_str().expect("an id").to_owned()
}

/// What became of an event, and how often it was tried.
async fn became(shop: &Shop, event: &str) -> (String, i32) {
    let pool = shop.database.kept().await;
    let rows = "select state, attempts from stripe_inbox where event_id = $1";
    let rows: Vec<(String, i32)> =
        sqlx::query_as(rows).bind(event).fetch_all(pool).await.expect("rows");
    let [row] = rows.as_slice() else { panic!("{event} is there {} times", rows.len()) };
    row.clone()
}

/// The event, as administrators see it.
async fn shown(shop: &Shop, event: &str) -> Value {
    let events = ask(&shop.server, Method::GET, EVENTS, &shop.ada.access).await;
    assert_eq!(events.status, StatusCode::OK, "{:?}", events.body);
    let mut items = events.body["items"].as_array().expect("events").iter();
    items.find(|row| row["event_id"] == event).expect("the event").clone()
}

#[tokio::test]
async fn an_event_that_comes_ten_times_is_kept_and_looked_at_once() {
    let shop = Shop::open().await;
    let checkout = looked_at(&shop).await;
    let event = tell(&shop, &checkout).await;
    for _ in 0..9 {
        assert_eq!(shop.stripe.redeliver(&event).await.status, Some(204));
    }
    shop.until(|| shop.is_quiet()).await;
    assert_eq!(became(&shop, &event).await, ("done".to_owned(), 1));
    assert_eq!(looks(&shop, &checkout), 1);
    let pool = shop.database.kept().await;
    let rows = "select count(*) from stripe_inbox where object_id = $1 and kind like '%expired'";
    let rows: i64 =
        sqlx::query_scalar(rows).bind(&checkout).fetch_one(pool).await.expect("a count");
    assert_eq!(rows, 1);
    shop.close().await;
}

/// While Stripe is slow, more is told of the same: it waits, and one look after that settles it all.
#[tokio::test]
async fn what_is_told_of_an_object_while_it_is_looked_at_is_one_more_look_after_that() {
    let shop = Shop::open().await;
    let checkout = looked_at(&shop).await;
    shop.stripe.fault("GET /v1/checkout", 1000, Fault::Slow(Duration::from_secs(2)));
    let first = tell(&shop, &checkout).await;
    shop.until(|| async { looks(&shop, &checkout) == 1 }).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(tell(&shop, &checkout).await);
    }
    // What is counted before the first is seen to wait was counted while it was looked at.
    let mut counted = vec![looks(&shop, &checkout)];
    while became(&shop, &first).await.0 == "waiting" {
        assert_eq!(counted.last(), Some(&1), "it is looked at twice at the same time");
        counted.push(looks(&shop, &checkout));
    }
    assert!(counted.len() > 1, "it was settled before Stripe had answered");
    shop.until(|| shop.is_quiet()).await;
    for event in &others {
        assert_eq!(became(&shop, event).await, ("done".to_owned(), 1));
    }
    assert_eq!(looks(&shop, &checkout), 2);
    shop.close().await;
}

#[tokio::test]
async fn what_is_of_another_account_is_kept_apart_and_what_does_not_concern_us_is_passed_over() {
    let shop = Shop::open().await;
    shop.administrate();
    let (purchase, checkout) = shop.order("Starter", "one").await;
    shop.hear().await;
    shop.stripe.pay_checkout(&checkout);
    let paid = shop.stripe.events_of("checkout.session.completed").pop().expect("an event");
    let account = Some("acct_somebody_else".to_owned());
    shop.stripe.wrap_in(Envelope { account, ..Envelope::default() });
    let calls = asked(&shop);
    shop.hear().await;
    shop.stripe.wrap_in(Envelope::default());
    let account = json!({ "id": "acct_ours", "object": "account" });
    let other = shop.stripe.make_event("account.updated", &account);
    shop.hear().await;
    let state = async |event: &Value| {
        let row = shown(&shop, event["id"].as_str().expect("an id")).await;
        row["state"].as_str().expect("a state").to_owned()
    };
    assert_eq!(
        (state(&paid).await.as_str(), state(&other).await.as_str()),
        ("quarantined", "ignored")
    );
    assert_eq!(asked(&shop), calls, "nothing is asked of Stripe");
    assert_eq!(
        (shop.state(&purchase).await.as_str(), shop.available().await),
        ("checkout_opened", 100)
    );
    shop.close().await;
}

/// Stripe takes our key for nothing, until nobody tries any more.
#[tokio::test]
async fn what_has_failed_for_the_last_time_waits_for_somebody_who_has_it_done_again() {
    let shop = Shop::open().await;
    let grace = register(&shop.server, "grace@example.com").await;
    let (purchase, checkout) = shop.order("Starter", "one").await;
    shop.hear().await;
    let no = json!({ "error": { "type": "invalid_request_error", "message": "no" } });
    shop.stripe.fault("/v1/", 1000, Fault::Says(401, no));
    shop.stripe.pay_checkout(&checkout);
    let paid = shop.stripe.events_of("checkout.session.completed").pop().expect("an event");
    let paid = paid["id"].as_str().expect("an id");
    assert_eq!(shop.stripe.redeliver(paid).await.status, Some(204));
    shop.until(|| async { became(&shop, paid).await.1 > 0 }).await;
    assert_eq!(became(&shop, paid).await.0, "waiting");
    let old = "update stripe_inbox set waiting_since = now() - interval '49 hours'
        where state = 'waiting'";
    change(&shop.database, old).await;
    shop.until(|| async { became(&shop, paid).await.0 == "dead" }).await;

    let path = format!("{EVENTS}/{paid}/replay");
    for (method, path) in [(Method::GET, EVENTS), (Method::POST, path.as_str())] {
        let refused = ask(&shop.server, method, path, &grace.access).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}: {:?}", refused.body);
    }
    shop.administrate();
    let dead = shown(&shop, paid).await;
    assert_eq!((&dead["state"], &dead["source"]), (&json!("dead"), &json!("webhook")));
    assert_eq!(
        (&dead["kind"], &dead["object_id"]),
        (&json!("checkout.session.completed"), &json!(checkout))
    );
    assert!(dead["error"].as_str().is_some_and(|why| why.contains("STRIPE_SECRET_KEY")), "{dead}");

    shop.stripe.heal();
    let again = ask(&shop.server, Method::POST, &path, &shop.ada.access).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{:?}", again.body);
    shop.until_available(300).await;
    shop.until(|| shop.is_quiet()).await;
    let done = shown(&shop, paid).await;
    let told = (&done["state"], &done["source"], &done["error"]);
    assert_eq!(told, (&json!("done"), &json!("replayed"), &Value::Null));
    assert_eq!(shop.state(&purchase).await, "fulfilled");
    let unknown = format!("{EVENTS}/evt_of_nobody/replay");
    let unknown = ask(&shop.server, Method::POST, &unknown, &shop.ada.access).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    shop.stripe.deliver_in(Manner::in_order().twice()).await;
    shop.until(|| shop.is_quiet()).await;
    assert_eq!(shop.available().await, 300);
    shop.close().await;
}
