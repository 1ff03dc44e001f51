//! What is on sale: an administrator's, and Stripe's.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::support::Answer;
use crate::world::{ask, post_with, send};

#[tokio::test]
async fn the_shop_opens_with_the_packs_and_plans_of_old() {
    let shop = Shop::open().await;
    shop.pack("Starter").await;
    let packs = ask(&shop.server, Method::GET, "/billing/packs", "").await;
    let told = |item: &Value, credits: &str| {
        (item["name"].clone(), item[credits].clone(), item["amount_minor"].clone())
    };
    let items = packs.body["items"].as_array().expect("packs");
    let packs: Vec<_> = items.iter().map(|item| told(item, "credits")).collect();
    assert_eq!(
        packs,
        [(json!("Starter"), json!(200), json!(900)), (json!("Pro"), json!(500), json!(1900)),]
    );
    let plans = ask(&shop.server, Method::GET, "/billing/plans", "").await;
    let items = plans.body["items"].as_array().expect("plans");
    let plans: Vec<_> = items.iter().map(|item| told(item, "quota")).collect();
    assert_eq!(
        plans,
        [(json!("Basic"), json!(1000), json!(900)), (json!("Pro"), json!(10_000), json!(2900)),]
    );
    shop.close().await;
}

#[tokio::test]
async fn an_administrator_makes_changes_and_retires_a_pack_and_stripe_follows() {
    let shop = Shop::open().await;
    let price = |amount: i64| json!({ "amount_minor": amount, "currency": "eur" });
    let body = json!({ "name": "Large", "credits": 1000, "bonus": 100, "price": price(4000) });
    let refused = send(&shop.server, Method::POST, "/admin/packs", &shop.ada.access, &body).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let (done, said) = shop.database.run(&["admin", "grant", "ada@example.com"]);
    assert!(done, "{said}");
    let made = send(&shop.server, Method::POST, "/admin/packs", &shop.ada.access, &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    let active = |amount: i64| {
        let prices = shop.stripe.objects("price");
        prices.iter().any(|price| price["unit_amount"] == amount && price["active"] == true)
    };
    shop.until(|| async { active(4000) }).await;

    let pack = made.body["id"].as_str().expect("an id");
    let early = shop.try_order(pack, "early").await;
    assert_eq!(early.status, StatusCode::CREATED, "{:?}", early.body);
    let path = format!("/admin/packs/{pack}");
    let cheaper = json!({ "name": "Large", "credits": 1000, "price": price(3500) });
    let changed = send(&shop.server, Method::PUT, &path, &shop.ada.access, &cheaper).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{:?}", changed.body);
    shop.until(|| async { active(3500) && !active(4000) }).await;
    // What was ordered stays as it was ordered, however often it is asked for.
    let again = shop.try_order(pack, "early").await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &early.body));
    let free = json!({ "name": "Large", "credits": 1000, "price": price(0) });
    let refused = send(&shop.server, Method::PUT, &path, &shop.ada.access, &free).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "free is not sold");

    let retire = format!("{path}/retire");
    let retired = ask(&shop.server, Method::POST, &retire, &shop.ada.access).await;
    assert_eq!(retired.status, StatusCode::NO_CONTENT);
    let order = shop.try_order(pack, "one").await;
    assert_eq!((order.status, &order.body["code"]), (StatusCode::CONFLICT, &json!("retired")));
    let again = shop.try_order(pack, "early").await;
    assert_eq!((again.status, again.body), (StatusCode::CREATED, early.body));
    assert_eq!(again.headers["x-event-position"], early.headers["x-event-position"]);
    let other = shop.try_order(&shop.pack("Starter").await, "early").await;
    assert_eq!(other.body["code"], "idempotency_key_reused", "{:?}", other.body);
    let product = |product: &Value| product["name"] == "Large" && product["active"] == false;
    shop.until(|| async { shop.stripe.objects("product").iter().any(product) }).await;
    shop.close().await;
}

#[tokio::test]
async fn an_offer_that_somebody_else_has_changed_is_not_overwritten() {
    let shop = Shop::open().await;
    shop.administrate();
    let price = |amount: i64| json!({ "amount_minor": amount, "currency": "usd" });
    let pack = |amount| json!({ "name": "Starter", "credits": 200, "price": price(amount) });
    let plan = |amount| {
        json!({
            "name": "Basic", "tier": "basic", "quota": 1000, "price": price(amount),
            "interval": "month",
        })
    };
    let starter = format!("/admin/packs/{}", shop.pack("Starter").await);
    let basic = format!("/admin/plans/{}", shop.on_sale("/billing/plans", "Basic").await);
    let offers: [(_, &dyn Fn(i64) -> Value); 2] = [(starter, &pack), (basic, &plan)];
    for (path, terms) in offers {
        let read = async || ask(&shop.server, Method::GET, &path, &shop.ada.access).await;
        let change = async |amount: i64, tag: &str| {
            let bearer = format!("Bearer {}", shop.ada.access);
            let headers = [("authorization", bearer.as_str()), ("if-match", tag)];
            let path = format!("/api/v1{path}");
            let answer = shop.server.send(Method::PUT, &path, &headers, Some(&terms(amount))).await;
            answer.expect("an answer")
        };
        let first = read().await;
        assert_eq!((first.status, &first.body["amount_minor"]), (StatusCode::OK, &json!(900)));
        let (list, id) = path.rsplit_once('/').expect("a path");
        let all = ask(&shop.server, Method::GET, list, &shop.ada.access).await;
        let listed = all.body["items"].as_array().expect("offers").iter();
        assert_eq!(listed.filter(|offer| offer["id"] == id).collect::<Vec<_>>(), [&first.body]);

        let tag = first.header("etag");
        let changed = change(1000, tag).await;
        assert_eq!(changed.status, StatusCode::NO_CONTENT, "{:?}", changed.body);
        let late = change(1100, tag).await;
        assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "{:?}", late.body);
        assert_eq!(late.body["code"], "precondition_failed");
        assert_eq!(
            change(0, tag).await.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "whatever it was"
        );
        let now = read().await;
        assert_eq!(now.body["amount_minor"], 1000);
        let both = format!("{tag}, {}", now.header("etag"));
        assert_eq!(change(1100, &both).await.status, StatusCode::NO_CONTENT);
        assert_eq!(change(1200, "*").await.status, StatusCode::NO_CONTENT);
        let retire = format!("{path}/retire");
        let before = read().await;
        ask(&shop.server, Method::POST, &retire, &shop.ada.access).await;
        assert_ne!(read().await.header("etag"), before.header("etag"), "it says something else");
    }
    shop.close().await;
}

#[tokio::test]
async fn of_many_who_change_an_offer_at_once_by_what_they_read_one_does_and_the_others_are_told() {
    let shop = Shop::open().await;
    shop.administrate();
    let path = format!("/admin/packs/{}", shop.pack("Starter").await);
    let read = ask(&shop.server, Method::GET, &path, &shop.ada.access).await;
    let bearer = format!("Bearer {}", shop.ada.access);
    let headers = [("authorization", bearer.as_str()), ("if-match", read.header("etag"))];
    let change = async |amount: i64| {
        let price = json!({ "amount_minor": amount, "currency": "usd" });
        let body = json!({ "name": "Starter", "credits": 200, "price": price });
        let path = format!("/api/v1{path}");
        let answer = shop.server.send(Method::PUT, &path, &headers, Some(&body)).await;
        answer.expect("an answer").status
    };
    let answers = futures_util::future::join_all((1..=8).map(|number| change(1000 + number))).await;
    let changed = answers.iter().filter(|status| **status == StatusCode::NO_CONTENT).count();
    let told = answers.iter().filter(|status| **status == StatusCode::PRECONDITION_FAILED).count();
    assert_eq!((changed, told), (1, 7), "{answers:?}");
    shop.close().await;
}

/// A form that is sent twice makes one pack; one that is sold no more is found again.
#[tokio::test]
async fn an_offer_is_made_once_for_a_key_and_administrators_see_all_of_them() {
    let shop = Shop::open().await;
    let bearer = format!("Bearer {}", shop.ada.access);
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "form")];
    let price = json!({ "amount_minor": 4_900, "currency": "usd" });
    let pack = json!({ "name": "Huge", "credits": 2_000, "price": price });
    let refused = post_with(&shop.server, "/admin/packs", &headers, &pack).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    shop.administrate();
    let made = post_with(&shop.server, "/admin/packs", &headers, &pack).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    let again = post_with(&shop.server, "/admin/packs", &headers, &pack).await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &made.body));
    assert_eq!(again.header("idempotency-replayed"), "true");
    let id = made.body["id"].as_str().expect("an id");
    let retire = format!("/admin/packs/{id}/retire");
    let retired = ask(&shop.server, Method::POST, &retire, &shop.ada.access).await;
    assert_eq!(retired.status, StatusCode::NO_CONTENT, "{:?}", retired.body);
    let names = |answer: &Answer| {
        let items = answer.body["items"].as_array().expect("offers").clone();
        let names = items.iter().map(|item| (item["name"].clone(), item["on_sale"].clone()));
        names.collect::<Vec<_>>()
    };
    let all = ask(&shop.server, Method::GET, "/admin/packs", &shop.ada.access).await;
    let wanted = [("Starter", true), ("Pro", true), ("Huge", false)];
    assert_eq!(names(&all), wanted.map(|(name, on_sale)| (json!(name), json!(on_sale))));
    let all = ask(&shop.server, Method::GET, "/admin/plans", &shop.ada.access).await;
    assert_eq!(names(&all).len(), 2);
    shop.close().await;
}
