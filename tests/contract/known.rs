//! What nobody can guess who has just the document: a password that is hard to guess, and the ids of what is on sale or has happened. Schemathesis
//! draws it where it fits, besides what it makes up.

use std::fmt::Write;

use reqwest::Method;
use serde_json::json;

use crate::shop::Shop;
use crate::world::{PASSWORD, ask, post_with};

/// How often it is drawn.
const PROBABILITY: &str = "0.5";
/// People who are nobody yet.
const NEWCOMERS: usize = 50;

/// For an operation and its parameters: what they may be.
type Known = (&'static str, Vec<(&'static str, Vec<String>)>);

/// Has Ada subscribe to a plan and buy a pack, and tells what may be known of that, as settings of schemathesis.
pub async fn known(shop: &Shop) -> String {
    let (purchase, _) = shop.bought("Starter", "first").await;
    let (basic, pro) = (plan(shop, "Basic").await, plan(shop, "Pro").await);
    subscribe(shop, &basic).await;
    let history = ask(&shop.server, Method::GET, "/wallet/transactions", &shop.ada.access).await;
    let transactions = history.body["items"].as_array().expect("transactions").iter();
    let transactions =
        transactions.map(|it| it["id"].as_str().expect("an id").to_owned()).collect();
    let newcomers = (0..NEWCOMERS).map(|number| format!("{number}@example.com")).collect();
    let one = |value: &str| vec![value.to_owned()];
    let period =
        [("query.from", one("2000-01-01T00:00:00Z")), ("query.to", one("2100-01-01T00:00:00Z"))];
    let ada = shop.ada.user["id"].as_str().expect("an id");
    let gift = "select grant_id::text from balances.grants
         where wallet_id::text = $1 and kind = 'promotional'";
    let told = "select event_id from stripe_inbox
         where kind = 'checkout.session.completed' and $1 <> ''";
    settings(&[
        (
            "POST /api/v1/admin/users/{id}/grants/{grant}/void",
            vec![("path.id", one(ada)), ("path.grant", ids(shop, gift, ada).await)],
        ),
        (
            "POST /api/v1/admin/stripe/events/{id}/replay",
            vec![("path.id", ids(shop, told, ada).await)],
        ),
        ("GET /api/v1/admin/packs/{id}", vec![("path.id", one(&shop.pack("Starter").await))]),
        ("GET /api/v1/admin/plans/{id}", vec![("path.id", one(&basic))]),
        ("POST /api/v1/admin/purchases/{id}/refund", vec![("path.id", one(&purchase))]),
        ("POST /api/v1/admin/users/{id}/deactivate", vec![("path.id", one(ada))]),
        ("POST /api/v1/admin/users/{id}/reactivate", vec![("path.id", one(ada))]),
        ("POST /api/v1/admin/users/{id}/role", vec![("path.id", one(ada))]),
        ("GET /healthz/{part}", vec![("path.part", one("db"))]),
        ("GET /api/v1/wallet/statement", period.to_vec()),
        ("GET /api/v1/wallet/transactions/{id}/explain", vec![("path.id", transactions)]),
        ("POST /api/v1/billing/checkout", vec![("body.pack", one(&shop.pack("Starter").await))]),
        ("GET /api/v1/billing/checkout/{id}", vec![("path.id", one(&purchase))]),
        ("POST /api/v1/billing/subscription/change", vec![("body.plan", one(&pro))]),
        ("POST /api/v1/billing/subscription/change/preview", vec![("body.plan", one(&pro))]),
        (
            "POST /api/v1/auth/register",
            vec![("body.email", newcomers), ("body.password", one(PASSWORD))],
        ),
    ])
}

async fn ids(shop: &Shop, query: &'static str, user: &str) -> Vec<String> {
    let pool = shop.database.kept().await;
    let ids: Vec<String> =
        sqlx::query_scalar(query).bind(user).fetch_all(pool).await.expect("the database answers");
    assert!(!ids.is_empty(), "{query}");
    ids
}

async fn plan(shop: &Shop, name: &str) -> String {
    shop.on_sale("/billing/plans", name).await
}

async fn subscribe(shop: &Shop, plan: &str) {
    let bearer = format!("Bearer {}", shop.ada.access);
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "plan")];
    let body = json!({ "plan": plan });
    let order = post_with(&shop.server, "/billing/subscriptions", &headers, &body).await;
    shop.stripe.pay_checkout(&shop.checkout_of(order.body["id"].as_str().expect("an id")));
    shop.stripe.deliver().await;
    shop.until(|| async {
        let path = "/billing/subscription";
        ask(&shop.server, Method::GET, path, &shop.ada.access).await.body["status"] == "active"
    })
    .await;
}

/// As schemathesis reads it.
fn settings(known: &[Known]) -> String {
    let mut settings = String::new();
    let mut number = 0;
    for (operation, parameters) in known {
        let mut bindings = vec![];
        for (parameter, values) in parameters {
            number += 1;
            let values: Vec<_> = values.iter().map(|value| written(value)).collect();
            let values = values.join(", ");
            writeln!(settings, "[dictionaries.known-{number}]\nvalues = [{values}]")
                .expect("a string takes it");
            bindings.push(format!(
                "\"{parameter}\" = {{ dictionary = \"known-{number}\", probability = {PROBABILITY} }}"
            ));
        }
        let bindings = bindings.join(", ");
        writeln!(
            settings,
            "[[operations]]\ninclude-name = \"{operation}\"\nparameters = {{ {bindings} }}"
        )
        .expect("a string takes it");
    }
    settings
}

/// A number as a number, and a text, which has no quotes, in quotes.
fn written(value: &str) -> String {
    if value.parse::<i64>().is_ok() { value.to_owned() } else { format!("{value:?}") }
}
