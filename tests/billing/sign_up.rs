//! Signing up waits for nobody at Stripe, and makes one customer in the end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::customers::kept;
use crate::shop::Shop;
use crate::stripe::{Fault, StripeDouble};
use crate::world::{change, register};

/// Whoever waited for Stripe would wait for the pauses of five attempts, some four seconds at least;
/// an attempt alone may take twenty.
const QUICK: Duration = Duration::from_secs(3);

const HEAL: &str = "select graphile_worker.add_job('heal', '{}'::json)";

/// The customers that somebody has at Stripe, by our own id.
fn customers_of(shop: &Shop, user: &Value) -> Vec<String> {
    let customers = shop.stripe.objects("customer").into_iter();
    let theirs = customers.filter(|customer| customer["metadata"]["user"] == *user);
    theirs.map(|customer| customer["id"].as_str().expect("an id").to_owned()).collect()
}

/// Lets nobody try again to make the customers that could not be made; how many were given up.
async fn give_up(shop: &Shop) -> i64 {
    change(
        &shop.database,
        "update graphile_worker._private_jobs set attempts = max_attempts
         where key like 'create_customer/%' and last_error is not null and locked_at is null",
    )
    .await;
    let pool = shop.database.kept().await;
    let given_up = "select count(*) from graphile_worker._private_jobs
        where key like 'create_customer/%' and attempts = max_attempts and locked_at is null";
    sqlx::query_scalar(given_up).fetch_one(pool).await.expect("a count")
}

/// Stripe fails for so long that nobody tries any more to make the customer.
#[tokio::test]
async fn whoever_signs_up_while_stripe_fails_is_in_at_once_and_one_customer_later() {
    let stripe = StripeDouble::start().await;
    stripe.fault("/v1/", 1_000_000, Fault::FailsBefore);
    let shop = Shop::at(stripe).await;
    let since = Instant::now();
    // It asserts that she is in.
    let grace = register(&shop.server, "grace@example.com").await;
    assert!(since.elapsed() < QUICK, "it took {:?}", since.elapsed());
    let id = grace.user["id"].clone();
    assert_eq!(shop.stripe.objects("customer"), Vec::<Value>::new());

    // From now on nobody tries for long: whose work waits for Ada's is done soon.
    shop.stripe.heal();
    let no = json!({ "error": { "type": "invalid_request_error", "message": "no" } });
    shop.stripe.fault("/v1/", 1_000_000, Fault::Says(401, no));
    shop.until(|| async { give_up(&shop).await == 2 }).await;
    shop.stripe.heal();
    // It is made, and the answer is lost.
    shop.stripe.fault("POST /v1/customers", 1, Fault::ResetAfter);
    change(&shop.database, HEAL).await;
    shop.until(|| async { kept(&shop).await.len() == 2 }).await;
    assert_eq!(customers_of(&shop, &id).len(), 1);
    assert_eq!(shop.stripe.objects("customer").len(), 2, "Ada is one, too");
    shop.close().await;
}

/// As if it had never been kept here, when Stripe has forgotten the key that it was made with.
#[tokio::test]
async fn a_customer_that_is_not_known_here_any_more_is_found_again_by_our_id() {
    let shop = Shop::open().await;
    shop.until(|| shop.is_quiet()).await;
    let ada = &shop.ada.user["id"];
    let [customer] = &customers_of(&shop, ada)[..] else { panic!("one customer") };
    change(&shop.database, "delete from stripe_customers").await;
    shop.stripe.advance(25 * 3600);
    let (_, checkout) = shop.order("Starter", "one").await;
    assert_eq!(shop.stripe.object(&checkout)["customer"], json!(customer));
    assert_eq!(customers_of(&shop, ada), std::slice::from_ref(customer));
    assert_eq!(kept(&shop).await, std::slice::from_ref(customer));
    shop.close().await;
}
