//! A server that is told to stop while it sends a webhook: it ends in time, and the webhook comes, by this server or
//! by the next.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::receiver::{Mood, Received, until};
use crate::webhook_house::House;

const KIND: &str = "endpoint.test";

/// What became of each try, by its answer.
fn answers(delivery: &Value) -> Vec<&Value> {
    let attempts = delivery["attempts"].as_array().expect("attempts").iter();
    attempts.map(|attempt| &attempt["status"]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_under_way_when_its_server_is_told_to_stop_is_sent_once() {
    let mut house = House::open().await;
    house.receiver.is(Mood::Waits(Duration::from_secs(3)));
    let opened = house.listen(&["*"]).await;
    house.test(&opened.id).await;
    house.receiver.until(KIND, 1).await;
    block_in_place(|| house.server.stop());
    house.server = house.another();
    let delivery = house.deliveries(&opened.id).await.remove(0);
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!(answers(&delivery), [&json!(204)]);
    house.until_sent().await;
    assert_eq!(house.receiver.received().len(), 1);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_outlasts_its_server_is_sent_by_the_next_under_the_same_id() {
    let mut house = House::open().await;
    house.receiver.is(Mood::Hangs);
    let opened = house.listen(&["*"]).await;
    let id = house.test(&opened.id).await;
    house.receiver.until(KIND, 1).await;
    block_in_place(|| house.server.stop());
    house.receiver.is(Mood::Takes);
    house.server = house.another();
    until("it was delivered", || async {
        house.hurry().await;
        house.deliveries(&opened.id).await[0]["state"] == "delivered"
    })
    .await;
    assert_eq!(answers(&house.deliveries(&opened.id).await[0]), [&json!(204)]);
    let received = house.receiver.received();
    assert_eq!(received.iter().map(Received::id).collect::<Vec<_>>(), [&id, &id]);
    house.close().await;
}
