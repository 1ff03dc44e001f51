//! Replies that are stopped while a provider makes them that charges on: it is read to its end, so that the bill
//! is right, and nobody hears more of it.

use std::time::Duration;

use reqwest::StatusCode;
use saldo::clients::llm::Finish;
use serde_json::json;

use crate::house::House;
use crate::listening::Listener;
use crate::script::{Script, Step};

const REST: Duration = Duration::from_secs(1);

/// Ada has 1,100 credits, and a reply under way of which two words have come.
async fn half_a_reply() -> (House, String, String, Listener) {
    let house = House::with(100, Script::new(true)).await;
    house.give(1000).await;
    let steps = vec![
        Step::Says("half a".to_owned()),
        Step::Waits,
        Step::Says(" reply".to_owned()),
        // It is looked whether it is to stop with each slice that is told.
        Step::Rests(REST),
        Step::Says(" and more".to_owned()),
        Step::Used(Some(20), Some(300)),
        Step::Ends(Finish::Stop),
    ];
    house.script.answer("one", steps);
    let chat = house.chat().await;
    let mut listener = Listener::to(&house.server, &house.ada, &chat, None).await;
    let reply = house.say(&chat, "one").await;
    listener.until("message.delta").await;
    (house, chat, reply, listener)
}

#[tokio::test]
async fn a_cancelled_reply_of_a_provider_that_charges_on_costs_what_it_counted() {
    let (house, chat, reply, _listener) = half_a_reply().await;
    let path = format!("/chats/{chat}/messages/{reply}/cancel");
    let stopped = house.post(&path, &json!({})).await;
    assert_eq!(
        (stopped.status, &stopped.body["state"]),
        (StatusCode::ACCEPTED, &json!("cancelling"))
    );
    house.script.go_on();
    let reply = house.until(&chat, &reply, "cancelled").await;
    let text = reply["text"].as_str().expect("what had come");
    assert!(["half a", "half a reply"].contains(&text), "{text}");
    assert_eq!(reply["credits"], 320);
    assert_eq!(house.captured_usage().await["estimated"], json!(null));
    assert_eq!(house.settled().await, 1100 - 320);
    assert_eq!(house.script.left(), 0);
    house.close().await;
}

#[tokio::test]
async fn what_is_charged_on_for_a_chat_that_is_deleted_is_paid() {
    let (house, chat, ..) = half_a_reply().await;
    assert_eq!(house.delete(&format!("/chats/{chat}")).await, StatusCode::NO_CONTENT);
    house.script.go_on();
    assert_eq!(house.settled().await, 1100 - 320);
    assert_eq!(house.script.left(), 0);
    assert_eq!(house.count("select count(*) from chat_texts").await, 0);
    house.close().await;
}

/// A node that stops does not wait for what nobody reads.
#[tokio::test]
async fn what_had_come_of_a_cancelled_reply_is_charged_when_its_node_stops() {
    let (house, chat, reply, _listener) = half_a_reply().await;
    let stopped = house.post(&format!("/chats/{chat}/messages/{reply}/cancel"), &json!({})).await;
    assert_eq!(stopped.body["state"], "cancelling", "{:?}", stopped.body);
    house.node.app.leaving.send_replace(true);
    house.until_none("select 1 - count(*) from events where event_type = 'HoldCaptured'").await;
    assert_eq!(house.captured_usage().await["estimated"], true);
    assert_eq!(house.script.left(), 1);
    house.close().await;
}
