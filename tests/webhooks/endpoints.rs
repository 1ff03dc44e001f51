//! Endpoints: whose they are, what they may be, and what is told of them.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::Row;

use crate::webhook_house::{House, PRIVATE, ask_as};

const URL: &str = "https://example.com/webhooks";

#[tokio::test]
async fn a_secret_is_told_once_and_kept_where_nobody_reads_it() {
    let house = House::open().await;
    let body = json!({ "url": URL, "description": "the ledger" });
    let made = house.post("/webhook-endpoints", "one", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    let id = made.body["id"].as_str().expect("an id").to_owned();
    let secret = made.body["secret"].as_str().expect("a secret").to_owned();
    let wanted = json!({
        "id": id, "url": URL, "events": ["*"], "description": "the ledger",
        "low_balance_threshold": 10, "enabled": true, "disabled_reason": null,
        "failing_since": null, "created_at": made.body["created_at"],
    });
    assert_eq!(house.endpoint(&id).await, wanted);
    let list = house.get("/webhook-endpoints").await.body;
    assert_eq!(list, json!({ "items": [wanted], "next_cursor": null }));
    assert_eq!(house.get("/me/export").await.body["webhook_endpoints"], json!([wanted]));
    let changed = house.change(&id, &json!({ "low_balance_threshold": 20 })).await;
    assert_eq!(changed.body["low_balance_threshold"], 20);
    assert_eq!(changed.body.get("secret"), None);
    let pool = house.database.pool().await;
    let rows = sqlx::query("select to_jsonb(e)::text from webhook_endpoints e").fetch_all(&pool);
    for row in rows.await.expect("rows") {
        let kept: String = row.get(0);
        assert!(
            !kept.contains(&secret["whsec_".len()..]) && !kept.contains("example.com"),
            "{kept}"
        );
    }
    pool.close().await;
    house.close().await;
}

#[tokio::test]
async fn an_endpoint_that_somebody_else_has_changed_is_not_overwritten() {
    let house = House::open().await;
    let made = house.post("/webhook-endpoints", "one", &json!({ "url": URL })).await;
    let path = format!("/webhook-endpoints/{}", made.body["id"].as_str().expect("an id"));
    let bearer = format!("Bearer {}", house.ada.token);
    let change = async |description: &str, tag: &str| {
        let headers = [("authorization", bearer.as_str()), ("if-match", tag)];
        let (path, body) = (format!("/api/v1{path}"), json!({ "description": description }));
        let answer = house.server.send(Method::PATCH, &path, &headers, Some(&body)).await;
        answer.expect("an answer")
    };
    let read = house.get(&path).await.header("etag").to_owned();
    let first = change("the ledger", &read).await;
    assert_eq!(first.status, StatusCode::OK, "{:?}", first.body);
    let late = change("the crm", &read).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "{:?}", late.body);
    assert_eq!(late.body["code"], "precondition_failed");
    let now = house.get(&path).await;
    assert_eq!(now.body["description"], "the ledger");
    assert_eq!(now.header("etag"), first.header("etag"));
    let many = (1..=8).map(|number| format!("the crm {number}"));
    let (change, tag) = (&change, now.header("etag"));
    let many = join_all(many.map(|name| async move { change(&name, tag).await.status })).await;
    assert_eq!(many.iter().filter(|status| **status == StatusCode::OK).count(), 1, "{many:?}");
    house.close().await;
}

#[tokio::test]
async fn the_same_request_makes_one_endpoint_and_one_secret() {
    let house = House::open().await;
    let body = json!({ "url": URL });
    let first = house.post("/webhook-endpoints", "one", &body).await;
    let again = house.post("/webhook-endpoints", "one", &body).await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &first.body));
    assert_eq!(again.header("idempotency-replayed"), "true");
    let other = json!({ "url": URL, "events": ["payment.failed"] });
    let other = house.post("/webhook-endpoints", "one", &other).await;
    assert_eq!(other.body["code"], "idempotency_key_reused");

    let id = first.body["id"].as_str().expect("an id");
    let path = format!("/webhook-endpoints/{id}/rotate-secret");
    let rotated = house.post(&path, "two", &json!({})).await;
    let again = house.post(&path, "two", &json!({})).await;
    assert_eq!(rotated.body["secret"], again.body["secret"]);
    assert_ne!(rotated.body["secret"], first.body["secret"]);
    assert_ne!(house.post(&path, "three", &json!({})).await.body["secret"], again.body["secret"]);

    let path = format!("/webhook-endpoints/{id}/test");
    let sent = house.post(&path, "four", &json!({})).await;
    let again = house.post(&path, "four", &json!({})).await;
    assert_eq!(sent.body["id"], again.body["id"]);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(house.deliveries(id).await.len(), 1);
    house.close().await;
}

#[tokio::test]
async fn what_is_anothers_is_not_there() {
    let house = House::open().await;
    let opened = house.listen(&["*"]).await;
    let delivery = house.test(&opened.id).await;
    house.receiver.until("endpoint.test", 1).await;
    let eve = house.server.register("eve@example.com").await;
    let theirs = {
        let body = json!({ "url": house.receiver.url });
        let made = house.server.post(&eve, "/webhook-endpoints", "", &body).await;
        made.body["id"].as_str().expect("an id").to_owned()
    };
    let path = format!("/webhook-endpoints/{}", opened.id);
    for (method, path, body) in [
        (Method::GET, path.clone(), None),
        (Method::PATCH, path.clone(), Some(json!({ "enabled": false }))),
        (Method::DELETE, path.clone(), None),
        (Method::POST, format!("{path}/rotate-secret"), None),
        (Method::POST, format!("{path}/test"), None),
        (Method::GET, format!("{path}/deliveries"), None),
        (Method::POST, format!("{path}/deliveries/{delivery}/redeliver"), None),
        // Their own endpoint brings them to no delivery of another's.
        (
            Method::POST,
            format!("/webhook-endpoints/{theirs}/deliveries/{delivery}/redeliver"),
            None,
        ),
    ] {
        let answer = ask_as(&house.server, &eve, method.clone(), &path, body.as_ref()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}: {:?}", answer.body);
    }
    let list = house.server.get(&eve, "/webhook-endpoints").await.body;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(house.endpoint(&opened.id).await["enabled"], true);
    let nobody = house.server.send(Method::GET, "/api/v1/webhook-endpoints", &[], None).await;
    assert_eq!(nobody.expect("an answer").status, StatusCode::UNAUTHORIZED);
    house.close().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_endpoint_is_said_by_field() {
    let house = House::open().await;
    let opened = house.listen(&["*"]).await;
    for (body, field) in [
        (json!({ "url": "example.com" }), "url"),
        (json!({ "url": "http://example.com/" }), "url"),
        (json!({ "url": "https://ada:secret@example.com/" }), "url"),
        (json!({ "url": "https://example.com:25/", "events": [] }), "events"),
        (json!({ "url": URL, "events": ["wallet.full"] }), "events[0]"),
        (json!({ "url": URL, "low_balance_threshold": 0 }), "low_balance_threshold"),
        (json!({ "url": URL, "description": "a".repeat(201) }), "description"),
        (json!({ "url": URL, "secret": "whsec_mine" }), "secret"),
    ] {
        let made = house.post("/webhook-endpoints", "", &body).await;
        let changed = house.change(&opened.id, &body).await;
        for answer in [made, changed] {
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
            assert!(answer.body["errors"][field].is_string(), "{body}: {:?}", answer.body);
        }
    }
    house.close().await;
}

#[tokio::test]
async fn a_person_has_ten_endpoints_however_many_are_made_at_once() {
    let house = House::open().await;
    let body = json!({ "url": URL });
    let made = join_all((0..15).map(|_| house.post("/webhook-endpoints", "", &body))).await;
    let count = |status| made.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(StatusCode::CREATED), count(StatusCode::CONFLICT)), (10, 5));
    let list = house.get("/webhook-endpoints").await.body;
    let oldest = list["items"][9]["id"].as_str().expect("an id").to_owned();
    let path = format!("/webhook-endpoints/{oldest}");
    let gone = ask_as(&house.server, &house.ada, Method::DELETE, &path, None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(house.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(house.post("/webhook-endpoints", "", &body).await.status, StatusCode::CREATED);
    house.close().await;
}

#[tokio::test]
async fn who_has_too_much_sent_by_hand_is_told_to_wait() {
    let house = House::open_with(&[PRIVATE]).await;
    let opened = house.listen(&["*"]).await;
    let path = format!("/webhook-endpoints/{}/test", opened.id);
    let body = json!({});
    let sent = join_all((0..15).map(|_| house.post(&path, "", &body))).await;
    let refused = sent.iter().filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS);
    assert!((4..=5).contains(&refused.count()), "{sent:?}");
    house.close().await;
}

#[tokio::test]
async fn deliveries_are_listed_page_by_page_the_newest_first() {
    let house = House::open().await;
    let opened = house.listen(&["*"]).await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.push(house.test(&opened.id).await);
    }
    house.receiver.until("endpoint.test", 5).await;
    sent.reverse();
    let (mut listed, mut cursor) = (Vec::new(), Value::Null);
    for pages in 1.. {
        let after = cursor.as_str().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let path = format!("/webhook-endpoints/{}/deliveries?limit=2{after}", opened.id);
        let page = house.get(&path).await.body;
        let items = page["items"].as_array().expect("a page").clone();
        listed.extend(items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()));
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            assert_eq!(pages, 3);
            break;
        }
    }
    assert_eq!(listed, sent);
    house.close().await;
}
