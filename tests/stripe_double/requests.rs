//! The wire: keys, forms, pages, errors, idempotency.

use crate::stripe::Form;
use serde_json::json;

use crate::support::Shop;

#[tokio::test]
async fn a_wrong_key_or_none_is_refused() {
    let shop = Shop::open().await;
    let url = format!("{}/v1/customers", shop.stripe.url);
    for key in [Some("sk_test_other"), None] {
        let mut request = shop.client.get(&url);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 401);
        assert!(answer.headers().contains_key("request-id"));
        let body: serde_json::Value = answer.json().await.expect("JSON");
        assert_eq!(body["error"]["type"], "invalid_request_error");
    }
}

#[test]
fn forms_nest_by_brackets() {
    let form = Form::parse(
        "line_items%5B0%5D%5Bprice%5D=price_1&line_items[1][price]=price_2&metadata[user]=a%20b+c\
         &expand[]=customer&expand[]=invoice&plain=x",
    );
    assert_eq!(
        *form.value(),
        json!({
            "line_items": [{ "price": "price_1" }, { "price": "price_2" }],
            "metadata": { "user": "a b c" }, "expand": ["customer", "invoice"], "plain": "x",
        })
    );
}

#[tokio::test]
async fn the_same_key_and_body_replay_the_answer() {
    let shop = Shop::open().await;
    let once = || shop.post_once("customers", &[("email", "x@y.test")], Some("key-1"));
    let (first, second) = (once().await.expect("an answer"), once().await.expect("an answer"));
    assert_eq!(first, second);
    assert_eq!(shop.stripe.objects("customer").len(), 2);
    let wrong = || shop.post_once("prices", &[("currency", "usd")], Some("key-2"));
    let (first, second) = (wrong().await.expect("an answer"), wrong().await.expect("an answer"));
    assert_eq!(first.0, 400);
    assert_eq!(first, second, "errors are replayed too");
    let calls = shop.stripe.calls_to("POST", "/v1/customers");
    assert_eq!(calls.last().and_then(|call| call.idempotency_key.clone()), Some("key-1".into()));
}

#[tokio::test]
async fn the_same_key_with_another_body_is_a_conflict_until_it_is_forgotten() {
    let shop = Shop::open().await;
    shop.post_once("customers", &[("email", "x@y.test")], Some("key")).await.expect("an answer");
    let other = || shop.post_once("customers", &[("email", "z@y.test")], Some("key"));
    let (status, body) = other().await.expect("an answer");
    assert_eq!((status, &body["error"]["type"]), (400, &json!("idempotency_error")));
    shop.stripe.advance(24 * 3600);
    assert_eq!(other().await.expect("an answer").0, 200);
}

#[tokio::test]
async fn lists_have_pages() {
    let shop = Shop::open().await;
    for number in 0..5 {
        shop.made("customers", &[("name", &number.to_string())]).await;
    }
    let (_, first) = shop.get("customers?limit=4").await;
    assert_eq!(
        (first["data"].as_array().map(Vec::len), &first["has_more"]),
        (Some(4), &json!(true))
    );
    let last = first["data"][3]["id"].as_str().expect("an id").to_owned();
    let (_, second) = shop.get(&format!("customers?limit=4&starting_after={last}")).await;
    assert_eq!(
        (second["data"].as_array().map(Vec::len), &second["has_more"]),
        (Some(2), &json!(false))
    );
    assert_eq!(shop.get("customers?limit=0").await.0, 400);
    assert_eq!(shop.get("nothing").await.0, 404);
}

#[tokio::test]
async fn ids_expand_to_objects() {
    let shop = Shop::open().await;
    let session = shop.checkout().await;
    shop.stripe.pay_checkout(&session);
    let path = format!(
        "checkout/sessions/{session}?expand[]=payment_intent.latest_charge&expand[]=line_items&expand[]=customer"
    );
    let (_, session) = shop.get(&path).await;
    assert_eq!(session["payment_intent"]["latest_charge"]["paid"], true);
    assert_eq!(session["line_items"]["data"][0]["price"]["id"], *shop.pack);
    assert_eq!(session["customer"]["metadata"]["user"], "7");
}

#[tokio::test]
async fn a_misspelt_parameter_is_refused() {
    let shop = Shop::open().await;
    let (status, body) = shop.post("customers", &[("e_mail", "x@y.test")]).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("parameter_unknown")));
    assert_eq!(shop.get("customers?email=x&e_mail=y").await.0, 400);
    assert_eq!(shop.post(&format!("customers/{}", shop.customer), &[("nam", "x")]).await.0, 400);
}
