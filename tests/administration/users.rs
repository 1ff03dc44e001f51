//! Who has an account, as administrators see it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::things::House;
use crate::world::register;

fn emails(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("accounts");
    items.iter().filter_map(|account| account["email"].as_str()).collect()
}

#[tokio::test]
async fn accounts_are_listed_the_newest_first_page_by_page_and_by_role() {
    let house = House::open().await;
    register(&house.shop.server, "eve@example.com").await;
    let all = ["eve@example.com", "root@example.com", "ben@example.com", "ada@example.com"];
    let end = house.shop.database.end().await;
    assert_eq!(emails(&house.root_sees_at("/admin/users", &end).await), all);
    let first = house.root_sees("/admin/users?limit=3").await;
    assert_eq!(emails(&first), all[..3]);
    let cursor = first["next_cursor"].as_str().expect("another page");
    let second = house.root_sees(&format!("/admin/users?limit=3&cursor={cursor}")).await;
    assert_eq!((emails(&second), &second["next_cursor"]), (all[3..].to_vec(), &Value::Null));
    assert_eq!(emails(&house.root_sees("/admin/users?role=admin").await), ["root@example.com"]);
    assert_eq!(emails(&house.root_sees("/admin/users?status=erased").await), [""; 0]);
    let wrong = house.as_root(Method::GET, "/admin/users?role=king", &json!({})).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    house.shop.close().await;
}

#[tokio::test]
async fn an_account_is_found_by_its_whole_address_and_shown_with_its_wallet() {
    let house = House::open().await;
    let end = house.shop.database.end().await;
    house.root_sees_at("/admin/users", &end).await;
    let address = json!({ "email": " Ada@Example.com" });
    let found = house.as_root(Method::POST, "/admin/users/find", &address).await;
    assert_eq!(found.status, StatusCode::OK, "{:?}", found.body);
    assert_eq!(emails(&found.body), ["ada@example.com"]);
    for (body, status) in [
        (json!({ "email": "nobody@example.com" }), 200),
        (json!({ "phone": "+15551234567" }), 200),
        (json!({ "email": "ada" }), 422),
        (json!({}), 422),
        (json!({ "email": "ada@example.com", "phone": "+15551234567" }), 422),
    ] {
        let answer = house.as_root(Method::POST, "/admin/users/find", &body).await;
        assert_eq!(answer.status, status, "{body}: {:?}", answer.body);
        assert!(answer.body["items"].as_array().is_none_or(Vec::is_empty), "{:?}", answer.body);
    }
    let path = format!("/admin/users/{}", house.ada());
    let reason = json!({ "reason": "somebody else has the card" });
    let frozen = house.as_root(Method::POST, &format!("{path}/freeze"), &reason).await;
    assert_eq!(frozen.status, StatusCode::NO_CONTENT, "{:?}", frozen.body);
    let shown = house.root_sees(&path).await;
    assert_eq!((&shown["email"], &shown["role"]), (&json!("ada@example.com"), &json!("user")));
    let wallet = json!({ "available": 100, "held": 0, "debt": 0, "frozen": reason["reason"] });
    assert_eq!(shown["wallet"], wallet);
    house.as_root(Method::POST, &format!("{path}/unfreeze"), &reason).await;
    assert_eq!(house.root_sees(&path).await["wallet"]["frozen"], Value::Null);
    let nobody = format!("/admin/users/{}", Uuid::nil());
    for path in [nobody.clone(), format!("{nobody}/transactions")] {
        let answer = house.as_root(Method::GET, &path, &json!({})).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    house.shop.close().await;
}
