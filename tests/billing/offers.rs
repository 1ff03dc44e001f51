//! Offers that are changed, retired and restored while people have them, and while Stripe fails.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::plans::DAY;
use crate::shop::Shop;
use crate::stripe::Fault;
use crate::support::Answer;
use crate::world::{ask, change, register, send};

/// A plan by the month, as an administrator makes it.
fn terms(name: &str, quota: i64, amount: i64) -> Value {
    let price = json!({ "amount_minor": amount, "currency": "usd" });
    json!({ "name": name, "tier": "basic", "quota": quota, "price": price, "interval": "month" })
}

impl Shop {
    /// Somebody else comes, and buys from now on.
    async fn next_comes(&mut self) {
        self.ada = register(&self.server, "grace@example.com").await;
    }

    /// Takes an offer (`packs/{id}`) off sale, or puts it there again.
    pub async fn administer(&self, offer: &str, what: &str) {
        let path = format!("/admin/{offer}/{what}");
        let done = ask(&self.server, Method::POST, &path, &self.ada.access).await;
        assert_eq!(done.status, StatusCode::NO_CONTENT, "{:?}", done.body);
    }

    /// Waits until Stripe sells a product by our id, or does not.
    async fn until_sold(&self, product: &str, sold: bool) {
        let is_so = |known: &Value| known["id"] == product && known["active"] == sold;
        self.until(|| async { self.stripe.objects("product").iter().any(is_so) }).await;
    }

    /// The amounts of a product's prices at Stripe that can be bought, and of those that cannot.
    fn prices_of(&self, product: &str) -> (Vec<i64>, Vec<i64>) {
        let prices = self.stripe.objects("price").into_iter();
        let prices = prices.filter(|price| price["product"] == product);
        let (active, archived): (Vec<_>, Vec<_>) =
            prices.partition(|price| price["active"] == true);
        let amounts = |prices: Vec<Value>| {
            let amounts = prices.iter().map(|price| price["unit_amount"].as_i64());
            amounts.map(|amount| amount.expect("an amount")).collect()
        };
        (amounts(active), amounts(archived))
    }

    fn paid_last(&self) -> i64 {
        self.stripe.truth().payments.last().expect("a payment").paid
    }
}

fn told(answer: &Answer) -> (StatusCode, &Value) {
    (answer.status, &answer.body["code"])
}

/// What Stripe knows a plan by.
fn product_of(kind: &str, id: &str) -> String {
    format!("{kind}_{}", id.replace('-', ""))
}

#[tokio::test]
async fn whoever_has_a_plan_keeps_its_terms_when_it_becomes_another() {
    let mut shop = Shop::open_ago(40 * DAY).await;
    shop.administrate();
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    let basic = shop.plan("Basic").await;
    let (path, dearer) = (format!("/admin/plans/{basic}"), terms("Basic", 2_000, 1_200));
    let changed = send(&shop.server, Method::PUT, &path, &shop.ada.access, &dearer).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{:?}", changed.body);
    let product = product_of("plan", &basic);
    shop.until(|| async { shop.prices_of(&product) == (vec![1_200], vec![900]) }).await;

    shop.stripe.renew(&subscription);
    shop.hear().await;
    assert_eq!((shop.paid_last(), shop.available().await), (900, 2_100));
    let kept = shop.subscription().await;
    let kept = (&kept["plan"]["amount_minor"], &kept["plan"]["quota"], &kept["pending_change"]);
    assert_eq!(kept, (&json!(900), &json!(1_000), &Value::Null));

    shop.next_comes().await;
    shop.subscribed("Basic", "two").await;
    shop.until_available(2_100).await;
    assert_eq!(shop.paid_last(), 1_200);
    let new = shop.subscription().await;
    let new = (&new["plan"]["amount_minor"], &new["plan"]["quota"]);
    assert_eq!(new, (&json!(1_200), &json!(2_000)));
    shop.close().await;
}

#[tokio::test]
async fn a_plan_that_is_sold_no_more_goes_on_for_whoever_has_it_and_may_be_sold_again() {
    let mut shop = Shop::open_ago(40 * DAY).await;
    shop.administrate();
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    let basic = shop.plan("Basic").await;
    let (offer, product) = (format!("plans/{basic}"), product_of("plan", &basic));
    shop.administer(&offer, "retire").await;
    shop.until_sold(&product, false).await;
    shop.stripe.renew(&subscription);
    shop.hear().await;
    assert_eq!((shop.paid_last(), shop.available().await), (900, 2_100));
    assert_eq!(shop.subscription().await["status"], "active");

    let administrator = shop.ada.clone();
    shop.next_comes().await;
    let plans = ask(&shop.server, Method::GET, "/billing/plans", "").await;
    let mut names = plans.body["items"].as_array().expect("plans").iter();
    assert!(names.all(|plan| plan["name"] != "Basic"), "{:?}", plans.body);
    let refused = shop.try_subscribe(&basic, "two").await;
    assert_eq!(told(&refused), (StatusCode::CONFLICT, &json!("retired")));

    let grace = std::mem::replace(&mut shop.ada, administrator);
    shop.administer(&offer, "restore").await;
    shop.until_sold(&product, true).await;
    shop.ada = grace;
    shop.subscribed("Basic", "three").await;
    shop.until_available(1_100).await;
    shop.close().await;
}

#[tokio::test]
async fn a_pack_that_was_sold_no_more_may_be_sold_again() {
    let shop = Shop::open().await;
    shop.administrate();
    let starter = shop.pack("Starter").await;
    let (offer, product) = (format!("packs/{starter}"), product_of("pack", &starter));
    shop.administer(&offer, "retire").await;
    shop.until_sold(&product, false).await;
    let refused = shop.try_order(&starter, "one").await;
    assert_eq!(told(&refused), (StatusCode::CONFLICT, &json!("retired")));
    shop.administer(&offer, "restore").await;
    shop.until_sold(&product, true).await;
    shop.bought("Starter", "two").await;
    shop.until_available(300).await;
    shop.close().await;
}

/// Whoever makes a plan has made it; whoever wants it comes again. The job that lists it was given
/// up: what heals each hour lists it all the same.
#[tokio::test]
async fn a_plan_that_stripe_could_not_list_is_listed_when_it_can() {
    let shop = Shop::open().await;
    shop.until(|| shop.is_quiet()).await;
    shop.stripe.fault("POST /v1/prices", 1000, Fault::FailsBefore);
    shop.offer("Large", &json!({ "quota": 5_000, "price": terms("", 0, 4_000)["price"] })).await;
    let large = shop.plan("Large").await;
    let early = shop.try_subscribe(&large, "one").await;
    let unavailable = (StatusCode::SERVICE_UNAVAILABLE, &json!("stripe_unavailable"));
    assert_eq!(told(&early), unavailable);
    // What is listed is sold meanwhile.
    shop.bought("Starter", "pack").await;
    shop.until(|| has_failed(&shop)).await;
    let given_up = "update graphile_worker._private_jobs set attempts = max_attempts
        where key like 'list_plan/%'";
    change(&shop.database, given_up).await;
    shop.stripe.heal();
    let product = product_of("plan", &large);
    assert_eq!(shop.prices_of(&product), (vec![], vec![]));
    change(&shop.database, "select graphile_worker.add_job('heal', '{}'::json)").await;
    shop.until(|| async { shop.prices_of(&product) == (vec![4_000], vec![]) }).await;
    shop.subscribed("Large", "one").await;
    shop.until_available(100 + 200 + 5_000).await;
    shop.close().await;
}

/// Whether the job that lists a plan has failed, and waits.
async fn has_failed(shop: &Shop) -> bool {
    let pool = shop.database.kept().await;
    let failed = "select exists (select from graphile_worker._private_jobs
        where key like 'list_plan/%' and last_error is not null and locked_by is null)";
    sqlx::query_scalar(failed).fetch_one(pool).await.expect("an answer")
}
