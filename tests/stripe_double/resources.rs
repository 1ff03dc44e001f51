//! What an application keeps in step: customers, products, prices, the portal, events.

use serde_json::json;

use crate::support::{DAY, Shop, text};

#[tokio::test]
async fn customers_are_found_by_address_and_by_metadata() {
    let shop = Shop::open().await;
    let (_, list) = shop.get("customers?email=a%40b.test").await;
    assert_eq!(list["data"][0]["id"], *shop.customer);
    let (_, found) = shop.get("customers/search?query=metadata%5B'user'%5D:'7'").await;
    assert_eq!(
        (&found["object"], &found["data"][0]["id"]),
        (&json!("search_result"), &json!(shop.customer))
    );
    let (_, none) = shop.get("customers/search?query=metadata%5B'user'%5D:'8'").await;
    assert_eq!(none["data"], json!([]));
}

#[tokio::test]
async fn metadata_merge_and_a_deleted_customer_leaves_a_stub() {
    let shop = Shop::open().await;
    let path = format!("customers/{}", shop.customer);
    let (_, customer) = shop.post(&path, &[("metadata[a]", "1"), ("metadata[user]", "")]).await;
    assert_eq!(customer["metadata"], json!({ "a": "1" }));
    let subscription = shop.subscribed(&shop.basic).await;
    shop.stripe.delete_customer(&shop.customer);
    assert_eq!(
        shop.get(&path).await.1,
        json!({ "id": shop.customer, "object": "customer", "deleted": true })
    );
    assert_eq!(shop.stripe.object(&subscription)["status"], "canceled");
    assert_eq!(shop.post(&path, &[("name", "x")]).await.0, 404);
}

#[tokio::test]
async fn prices_are_found_by_lookup_key_and_retired() {
    let shop = Shop::open().await;
    let product = text(&shop.stripe.object(&shop.pack)["product"]);
    let form = [
        ("product", product.as_str()),
        ("currency", "usd"),
        ("unit_amount", "1900"),
        ("lookup_key", "pro"),
    ];
    let old = shop.made("prices", &form).await;
    assert_eq!(shop.post("prices", &form).await.0, 400, "the key is taken");
    let mut moving = form.to_vec();
    moving.push(("transfer_lookup_key", "true"));
    let new = shop.made("prices", &moving).await;
    let (_, list) = shop.get("prices?lookup_keys[]=pro").await;
    assert_eq!(
        (list["data"].as_array().map(Vec::len), &list["data"][0]["id"]),
        (Some(1), &json!(new))
    );
    shop.post(&format!("prices/{old}"), &[("active", "false")]).await;
    let (_, active) = shop.get(&format!("prices?active=true&product={product}")).await;
    assert!(
        active["data"].as_array().is_some_and(|all| all.iter().all(|price| price["id"] != *old))
    );
    let form = [
        ("mode", "payment"),
        ("line_items[0][price]", old.as_str()),
        ("line_items[0][quantity]", "1"),
        ("success_url", "https://app.test"),
    ];
    let (status, body) = shop.post("checkout/sessions", &form).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("line_items[0][price]")));
}

#[tokio::test]
async fn events_are_listed_newest_first_for_thirty_days() {
    let shop = Shop::open().await;
    let (_, list) = shop.get("events?limit=3").await;
    assert_eq!(list["data"][0]["type"], "price.created");
    let (_, customers) = shop.get("events?types[]=customer.created&types[]=product.created").await;
    assert_eq!(customers["data"].as_array().map(Vec::len), Some(2));
    shop.stripe.advance(DAY);
    let since = shop.stripe.now();
    shop.post("customers", &[("email", "late@b.test")]).await;
    let (_, recent) = shop.get(&format!("events?created[gte]={since}")).await;
    assert_eq!(recent["data"].as_array().map(Vec::len), Some(1));
    let id = text(&recent["data"][0]["id"]);
    assert_eq!(shop.get(&format!("events/{id}")).await.1, recent["data"][0]);
    shop.stripe.advance(31 * DAY);
    assert_eq!(shop.get("events").await.1["data"], json!([]));
}

#[tokio::test]
async fn the_portal_has_a_page() {
    let shop = Shop::open().await;
    let form = [("customer", shop.customer.as_str()), ("return_url", "https://app.test")];
    let (status, session) = shop.post("billing_portal/sessions", &form).await;
    assert_eq!(status, 200);
    assert!(text(&session["url"]).starts_with("https://billing.stripe.com/"));
}
