//! The log, as administrators browse it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::things::House;

fn positions(page: &Value) -> Vec<i64> {
    let items = page["items"].as_array().expect("events");
    items.iter().map(|event| event["position"].as_i64().expect("a position")).collect()
}

#[tokio::test]
async fn the_log_is_browsed_from_its_end_to_its_beginning_without_a_hole() {
    let house = House::open().await;
    let (mut seen, mut path) = (vec![], "/admin/events?limit=7".to_owned());
    loop {
        let page = house.root_sees(&path).await;
        seen.extend(positions(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/admin/events?limit=7&cursor={cursor}");
    }
    let all: Vec<i64> = (1..=seen[0]).rev().collect();
    assert!(seen.len() > 20, "{seen:?}");
    assert_eq!(seen, all);
    house.shop.close().await;
}

#[tokio::test]
async fn events_are_found_by_what_they_are_of_and_what_happened() {
    let house = House::open().await;
    let ada = house.ada();
    let of_ada = format!("/admin/events?aggregate_type=wallet&aggregate_id={ada}");
    let names = |page: &Value| {
        let items = page["items"].as_array().expect("events").clone();
        assert!(items.iter().all(|event| event["aggregate_type"] == "wallet"));
        items.into_iter().map(|event| event["event_type"].clone()).collect::<Vec<_>>()
    };
    let page = house.root_sees(&of_ada).await;
    assert_eq!(
        (names(&page), &page["next_cursor"]),
        (vec![json!("Granted"), json!("Opened")], &Value::Null)
    );
    let first = house.root_sees(&format!("{of_ada}&limit=1")).await;
    let cursor = first["next_cursor"].as_str().expect("another page");
    let second = house.root_sees(&format!("{of_ada}&limit=1&cursor={cursor}")).await;
    assert_eq!(names(&second), ["Opened"]);
    let granted = house.root_sees(&format!("{of_ada}&event_type=Granted")).await;
    assert_eq!(names(&granted), ["Granted"]);
    // Of three wallets.
    let opened = house.root_sees("/admin/events?aggregate_type=wallet&event_type=Opened").await;
    assert_eq!(names(&opened), ["Opened"; 3]);
    for (path, status) in [
        (format!("/admin/events?aggregate_id={ada}"), StatusCode::UNPROCESSABLE_ENTITY),
        ("/admin/events?limit=201".to_owned(), StatusCode::UNPROCESSABLE_ENTITY),
        ("/admin/events/0".to_owned(), StatusCode::NOT_FOUND),
        ("/admin/events/1000000".to_owned(), StatusCode::NOT_FOUND),
    ] {
        let answer = house.as_root(Method::GET, &path, &json!({})).await;
        assert_eq!(answer.status, status, "{path}: {:?}", answer.body);
    }
    house.shop.close().await;
}

#[tokio::test]
async fn personal_data_stays_sealed_in_what_administrators_browse() {
    let house = House::open().await;
    let path = format!("/admin/events?aggregate_type=user&aggregate_id={}", house.ada());
    let page = house.root_sees(&path).await;
    let registered = page["items"].as_array().and_then(|items| items.last()).expect("an event");
    assert_eq!(registered["event_type"], "Registered");
    for field in ["email", "name"] {
        let field = &registered["payload"]["Registered"][field];
        assert!(
            field["$sealed"].is_string() && field.as_object().is_some_and(|all| all.len() == 1),
            "{field}"
        );
    }
    let whole = house.root_sees("/admin/events?limit=200").await.to_string();
    assert!(!whole.contains("ada@example.com"), "{whole}");
    house.shop.close().await;
}

#[tokio::test]
async fn payments_that_failed_are_listed_page_by_page_the_newest_first() {
    let house = House::open().await;
    let shop = &house.shop;
    let mut failed = vec![];
    for key in ["one", "two", "three"] {
        let (purchase, checkout) = shop.order("Starter", key).await;
        shop.stripe.pay_checkout_slowly(&checkout);
        shop.stripe.deliver().await;
        shop.until(|| async { shop.state(&purchase).await == "awaiting_payment" }).await;
        shop.stripe.fail_processing(&checkout);
        shop.stripe.deliver().await;
        shop.until(|| async { shop.state(&purchase).await == "payment_failed" }).await;
        failed.insert(0, purchase);
    }
    // One that goes well is none of them.
    shop.bought("Starter", "four").await;
    let declines = "/admin/events?aggregate_type=purchase&event_type=PaymentFailed&limit=2";
    let of = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().expect("events").iter();
        items.map(|event| event["aggregate_id"].as_str().expect("an id").to_owned()).collect()
    };
    let first = house.root_sees(declines).await;
    let cursor = first["next_cursor"].as_str().expect("another page");
    let second = house.root_sees(&format!("{declines}&cursor={cursor}")).await;
    assert_eq!([of(&first), of(&second)].concat(), failed);
    assert_eq!(second["next_cursor"], Value::Null);
    house.shop.close().await;
}

#[tokio::test]
async fn what_no_database_keeps_is_refused_in_addresses_too() {
    let house = House::open().await;
    let page = house.as_root(Method::GET, "/admin/stripe/events?cursor=a%00b", &json!({})).await;
    assert_eq!((page.status, &page.body["code"]), (StatusCode::BAD_REQUEST, &json!("malformed")));
    let replay = house.as_root(Method::POST, "/admin/stripe/events/a%00b/replay", &json!({})).await;
    assert_eq!(replay.status, StatusCode::NOT_FOUND, "{:?}", replay.body);
    house.shop.close().await;
}
