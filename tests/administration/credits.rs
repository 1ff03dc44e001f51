//! Credits that administrators give and take back.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::Answer;
use crate::things::House;

impl House {
    /// Has Root move Ada's credits, once for a key.
    async fn adjust(&self, path: &str, key: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.root.access);
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        let path = format!("/api/v1/admin/users/{}{path}", self.ada());
        let answer = self.shop.server.send(Method::POST, &path, &headers, Some(body)).await;
        answer.expect("an answer")
    }

    /// What Ada's history says last, as Root sees it.
    async fn last(&self) -> Value {
        let end = self.shop.database.end().await;
        let path = format!("/admin/users/{}/transactions?limit=1", self.ada());
        self.root_sees_at(&path, &end).await["items"][0].clone()
    }
}

#[tokio::test]
async fn credits_are_given_once_for_a_key_with_a_reason_and_the_log_says_by_whom() {
    let house = House::open().await;
    let body = json!({ "amount": 50, "reason": "an outage on Monday" });
    let given = house.adjust("/credits", "one", &body).await;
    assert_eq!(given.status, StatusCode::CREATED, "{:?}", given.body);
    assert_eq!(given.body["available"], 150);
    let again = house.adjust("/credits", "one", &body).await;
    assert_eq!((&again.body, again.header("idempotency-replayed")), (&given.body, "true"));
    let other = house.adjust("/credits", "one", &json!({ "amount": 51, "reason": "more" })).await;
    assert_eq!(other.body["code"], "idempotency_key_reused");
    assert_eq!(house.shop.available().await, 150);

    let last = house.last().await;
    assert_eq!((&last["amount"], &last["reason"]), (&json!(50), &body["reason"]));
    let position = given.header("x-event-position");
    let event = house.root_sees(&format!("/admin/events/{position}")).await;
    assert_eq!(
        (&event["event_type"], &event["metadata"]["actor"]),
        (&json!("Granted"), &house.root.user["id"])
    );
    house.shop.close().await;
}

#[tokio::test]
async fn what_is_left_of_a_grant_is_taken_back_and_what_is_held_stays() {
    let house = House::open().await;
    let given = house.adjust("/credits", "give", &json!({ "amount": 50, "reason": "test" })).await;
    let path = format!("/grants/{}/void", given.body["grant"].as_str().expect("a grant"));
    let some = house.adjust(&path, "some", &json!({ "amount": 20, "reason": "too many" })).await;
    assert_eq!((some.status, &some.body["available"]), (StatusCode::OK, &json!(130)));
    let rest = house.adjust(&path, "rest", &json!({ "reason": "given by mistake" })).await;
    assert_eq!((rest.status, &rest.body["available"]), (StatusCode::OK, &json!(100)));
    assert_eq!(house.last().await["amount"], -30);
    for (key, body) in
        [("more", json!({ "reason": "test" })), ("zero", json!({ "amount": 0, "reason": "test" }))]
    {
        let nothing = house.adjust(&path, key, &body).await;
        assert_eq!(nothing.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}", nothing.body);
        assert!(nothing.body["errors"]["amount"].is_string(), "{:?}", nothing.body);
    }
    let nothing = format!("/grants/{}/void", Uuid::nil());
    let nothing = house.adjust(&nothing, "nothing", &json!({ "reason": "test" })).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    house.shop.close().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_names_the_field() {
    let house = House::open().await;
    let past = "2020-01-01T00:00:00Z";
    for (path, body, field) in [
        ("/credits", json!({ "amount": 0, "reason": "test" }), "amount"),
        ("/credits", json!({ "amount": -1, "reason": "test" }), "amount"),
        ("/credits", json!({ "amount": 1, "reason": "" }), "reason"),
        ("/credits", json!({ "amount": 1 }), "body"),
        ("/credits", json!({ "amount": 1, "reason": "test", "expires_at": past }), "expires_at"),
        ("/debt/write-off", json!({ "amount": 1, "reason": "no debt" }), "amount"),
    ] {
        let refused = house.adjust(path, &format!("{path}{body}").replace('"', "'"), &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {:?}", refused.body);
        assert!(refused.body["errors"][field].is_string(), "{body}: {:?}", refused.body);
    }
    assert_eq!(house.shop.available().await, 100);
    house.shop.close().await;
}
