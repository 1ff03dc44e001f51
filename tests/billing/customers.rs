//! Customers at Stripe: one for each person, and whoever is erased here is forgotten there.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::stripe::{Fault, Mood, SECRET_KEY, StripeDouble};
use crate::world::{PASSWORD, Tokens, change, register, send};

/// How often all keep one customer at once: one round in some two hundred showed that two could collide.
const ROUNDS: usize = 250;

async fn erase(shop: &Shop, person: &Tokens) {
    let body = json!({ "password": PASSWORD });
    let erased = send(&shop.server, Method::DELETE, "/me", &person.access, &body).await;
    assert_eq!(erased.status, StatusCode::NO_CONTENT, "{:?}", erased.body);
}

/// The ids of Stripe's customers that nobody has deleted.
fn customers(shop: &Shop) -> Vec<String> {
    let customers = shop.stripe.objects("customer").into_iter();
    let there = customers.filter(|customer| customer["deleted"] != json!(true));
    there.map(|customer| customer["id"].as_str().expect("an id").to_owned()).collect()
}

/// A plan that the customer pays for.
async fn subscribe(shop: &Shop, customer: &str) -> String {
    shop.until(|| async { price_of_a_plan(shop).is_some() }).await;
    let (card, price) = (shop.stripe.attach_card(customer, Mood::Pays), price_of_a_plan(shop));
    let url = format!("{}/v1/subscriptions", shop.stripe.url);
    let form = [
        ("customer", customer.to_owned()),
        ("default_payment_method", card),
        ("items[0][price]", price.expect("a price")),
    ];
    let client = saldo::clients::http().build().expect("a client");
    let made = client.post(url).bearer_auth(SECRET_KEY).form(&form).send().await;
    let made = made.expect("an answer").text().await.expect("a body");
    let made: Value = serde_json::from_str(&made).expect("JSON");
    assert_eq!(made["status"], "active", "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

fn price_of_a_plan(shop: &Shop) -> Option<String> {
    let prices = shop.stripe.objects("price");
    let plan = prices.iter().find(|price| price["recurring"].is_object())?;
    plan["id"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn whoever_is_erased_is_a_customer_no_more_and_pays_no_more() {
    let shop = Shop::open().await;
    shop.bought("Starter", "one").await;
    let [customer] = &customers(&shop)[..] else { panic!("one customer") };
    let subscription = subscribe(&shop, customer).await;
    // It has an effect, and nobody hears of it: the next try finds that it is gone.
    shop.stripe.fault("DELETE /v1/customers", 1, Fault::ResetAfter);
    erase(&shop, &shop.ada).await;
    shop.until(|| async { customers(&shop).is_empty() }).await;
    shop.stripe.deliver().await;
    shop.until(|| shop.is_quiet()).await;
    assert_eq!(shop.stripe.object(&subscription)["status"], "canceled");
    assert_eq!(shop.stripe.calls_to("DELETE", &format!("/v1/customers/{customer}")).len(), 2);
    shop.close().await;
}

#[tokio::test]
async fn a_customer_that_somebody_deleted_at_stripe_is_forgotten() {
    let shop = Shop::open().await;
    shop.until(|| shop.is_quiet()).await;
    let [customer] = &customers(&shop)[..] else { panic!("one customer") };
    shop.stripe.delete_customer(customer);
    erase(&shop, &shop.ada).await;
    shop.until(|| shop.is_quiet()).await;
    shop.close().await;
}

/// Somebody cleans up in the dashboard: the person buys on, as another customer.
#[tokio::test]
async fn whose_customer_was_deleted_at_stripe_has_another_one() {
    let shop = Shop::open().await;
    shop.bought("Starter", "one").await;
    let [customer] = &customers(&shop)[..] else { panic!("one customer") };
    shop.stripe.delete_customer(customer);
    shop.stripe.deliver().await;
    shop.until(|| shop.is_quiet()).await;
    shop.bought("Starter", "two").await;
    assert_eq!(shop.available().await, 500);
    let [other] = &customers(&shop)[..] else { panic!("another customer") };
    assert_ne!(other, customer);
    assert_eq!(kept(&shop).await, std::slice::from_ref(other));
    shop.close().await;
}

/// Stripe has made the customer, and says so when the person is gone.
#[tokio::test]
async fn a_customer_that_is_made_while_its_person_is_erased_is_deleted() {
    let shop = Shop::open().await;
    shop.until(|| shop.is_quiet()).await;
    let slow = Fault::Slow(Duration::from_secs(2));
    shop.stripe.fault("POST /v1/customers", 1, slow);
    let grace = register(&shop.server, "grace@example.com").await;
    shop.until(|| async { customers(&shop).len() == 2 }).await;
    erase(&shop, &grace).await;
    shop.until(|| async { customers(&shop).len() == 1 }).await;
    shop.until(|| shop.is_quiet()).await;
    assert_eq!(kept(&shop).await, customers(&shop));
    shop.close().await;
}

/// The customers that people here have.
pub async fn kept(shop: &Shop) -> Vec<String> {
    let pool = shop.database.kept().await;
    let kept = sqlx::query_scalar("select customer from stripe_customers");
    kept.fetch_all(pool).await.expect("customers")
}

/// Who takes another name while both are being made asks Stripe for another one.
#[tokio::test]
async fn of_two_customers_of_a_person_that_are_made_at_once_one_stays() {
    let stripe = StripeDouble::start().await;
    stripe.fault("GET /v1/customers", 20, Fault::Slow(Duration::from_secs(1)));
    let shop = Shop::at(stripe).await;
    shop.until(|| async { !shop.stripe.calls_to("GET", "/v1/customers/search").is_empty() }).await;
    let renamed = json!({ "name": "Augusta" });
    let renamed = send(&shop.server, Method::PATCH, "/me", &shop.ada.access, &renamed).await;
    assert_eq!(renamed.status, StatusCode::OK, "{:?}", renamed.body);
    shop.order("Starter", "one").await;
    shop.until(|| shop.is_quiet()).await;
    assert_eq!(shop.stripe.calls_to("POST", "/v1/customers").len(), 2, "both were made");
    let [customer] = &customers(&shop)[..] else { panic!("one customer") };
    assert_eq!(kept(&shop).await, std::slice::from_ref(customer));
    shop.close().await;
}

/// As the job after sign-up and the first order do: both find the customer at the same moment.
#[tokio::test]
async fn whoever_keeps_a_customer_at_the_same_moment_keeps_the_same_one() {
    let shop = Shop::open().await;
    shop.until(|| shop.is_quiet()).await;
    for _ in 0..ROUNDS {
        change(&shop.database, "delete from stripe_customers").await;
        let nothing = json!({});
        let visits = (0..8).map(|_| {
            send(&shop.server, Method::POST, "/billing/portal", &shop.ada.access, &nothing)
        });
        for visit in join_all(visits).await {
            assert!(visit.status.is_success(), "{:?}", visit.body);
        }
    }
    assert_eq!(kept(&shop).await, customers(&shop));
    shop.close().await;
}
