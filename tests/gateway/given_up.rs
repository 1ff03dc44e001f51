//! Calls that nobody waits for, at the edges of their holds: what whoever asked was told last stays true.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use saldo::clients::llm::Finish;
use saldo::metering;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::House;
use crate::script::Step;
use crate::support::Answer;

const TEXT: &str = "It rained, and then it rained on.";

/// The provider answers when the test lets it.
async fn open() -> House {
    let house = House::open(100).await;
    let said = Step::Says(r#"{"summary":"It rained.","language":null}"#.to_owned());
    let steps = vec![Step::Waits, said, Step::Used(Some(2), Some(1)), Step::Ends(Finish::Stop)];
    house.script.answer(TEXT, steps);
    house
}

async fn try_queue(house: &House, key: &str) -> Answer {
    let bearer = format!("Bearer {}", house.ada.token);
    let headers =
        [("authorization", bearer.as_str()), ("idempotency-key", key), ("prefer", "respond-async")];
    let body = json!({ "text": TEXT });
    let path = "/api/v1/ai/summarize";
    house.server.send(Method::POST, path, &headers, Some(&body)).await.expect("an answer")
}

/// A call that waits for its provider.
async fn queue(house: &House) -> Uuid {
    let queued = try_queue(house, "one").await;
    assert_eq!(queued.status, StatusCode::ACCEPTED, "{:?}", queued.body);
    asked(house, 1).await;
    queued.body["id"].as_str().expect("an id").parse().expect("an id")
}

async fn asked(house: &House, times: usize) {
    for _ in 0..300 {
        if house.script.asked() == times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the provider was asked {} times", house.script.asked());
}

/// The call, once nobody makes it any more.
async fn ended(house: &House, call: Uuid) -> Value {
    house.node.app.calls.ended().await;
    for _ in 0..300 {
        let found = house.get(&format!("/ai/analyses/{call}")).await;
        if found["state"] != "queued" {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not end");
}

fn failure(call: &Value) -> &Value {
    assert_eq!(call["state"], "failed", "{call}");
    &call["failure"]["code"]
}

#[tokio::test]
async fn a_call_of_which_was_told_that_it_is_expired_is_not_charged_by_a_process_that_comes_back() {
    let house = open().await;
    let call = queue(&house).await;
    house.expire().await;
    // Another process takes it meanwhile.
    metering::make(&house.node.app, call).await.expect("it is given up");
    let told = house.get(&format!("/ai/analyses/{call}")).await;
    assert_eq!(failure(&told), "expired");
    house.script.go_on();
    assert_eq!(ended(&house, call).await, told);
    assert_eq!(house.wallet().await, (100, 0));
    assert_eq!(house.count("select count(*) from analyses").await, 0);
    house.close().await;
}

#[tokio::test]
async fn a_call_whose_hold_has_ended_before_its_answer_came_is_given_up_and_free() {
    let house = open().await;
    let call = queue(&house).await;
    house.expire().await;
    house.script.go_on();
    assert_eq!(failure(&ended(&house, call).await), "expired");
    assert_eq!(house.wallet().await, (100, 0));
    house.close().await;
}

#[tokio::test]
async fn a_call_that_two_processes_make_is_charged_once_and_counted_once() {
    let house = open().await;
    let call = queue(&house).await;
    let app = house.node.app.clone();
    let other = tokio::spawn(async move { metering::make(&app, call).await });
    asked(&house, 2).await;
    house.script.go_on();
    house.script.go_on();
    other.await.expect("no panic").expect("it is made");
    assert_eq!(ended(&house, call).await["state"], "done");
    assert_eq!(house.wallet().await, (90, 0));
    let credits = house.node.app.counters.ai_credits.read();
    assert_eq!(credits, [(["local-1".to_owned(), "summarize".to_owned()], 10)]);
    house.close().await;
}

#[tokio::test]
async fn a_call_whose_text_cannot_be_read_fails_with_a_code_and_is_free() {
    let house = open().await;
    let call = queue(&house).await;
    house.execute("update queued_calls set sealed = 'bm9uc2Vuc2U='").await;
    metering::make(&house.node.app, call).await.expect("it is given up");
    assert_eq!(house.wallet().await, (100, 0));
    house.script.go_on();
    assert_eq!(failure(&ended(&house, call).await), "unreadable");
    assert_eq!(house.wallet().await, (100, 0));
    house.close().await;
}

#[tokio::test]
async fn a_call_of_more_than_thirty_days_ago_is_removed_and_its_key_makes_no_other() {
    let house = open().await;
    let call = queue(&house).await;
    house.expire().await;
    house.script.go_on();
    assert_eq!(failure(&ended(&house, call).await), "expired");
    for (age, left) in [("29 days", 1), ("2 days", 0)] {
        let aged = "update queued_calls set created_at = created_at - $1::interval";
        let pool = house.pool().await;
        sqlx::query(aged).bind(age).execute(&pool).await.expect("it is old");
        pool.close().await;
        house.sweep().await;
        assert_eq!(house.count("select count(*) from queued_calls").await, left, "{age}");
    }
    let again = try_queue(&house, "one").await;
    assert_eq!((again.status, &again.body["code"]), (StatusCode::CONFLICT, &json!("not_kept")));
    assert_eq!((house.wallet().await, house.script.asked()), ((100, 0), 1));
    house.close().await;
}

#[tokio::test]
async fn what_was_charged_late_is_shown_as_it_was_charged() {
    let house = open().await;
    let body = json!({ "text": TEXT });
    let call = house.server.post(&house.ada, "/ai/summarize", "late", &body);
    let meanwhile = async {
        asked(&house, 1).await;
        house.expire().await;
        let spent = house.server.debit(&house.ada, 96, "").await;
        assert_eq!(spent.status, StatusCode::CREATED, "{:?}", spent.body);
        house.script.go_on();
    };
    let (answer, ()) = tokio::join!(call, meanwhile);
    assert_eq!((answer.status, answer.header("credits-charged")), (StatusCode::OK, "4"));
    let listed = house.get("/ai/analyses").await;
    assert_eq!(listed["items"][0]["usage"]["credits"], 4, "{listed}");
    let again = house.server.post(&house.ada, "/ai/summarize", "late", &body).await;
    assert_eq!(again.body["usage"]["credits"], 4, "{:?}", again.body);
    house.close().await;
}
