//! What is not taken is tried again, less and less often, and not for ever.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::receiver::{Mood, Received, until};
use crate::support::Answer;
use crate::webhook_house::House;
use crate::world::{ADA, Tokens, login, message, verify};

/// Seconds between one try and the next, as Standard Webhooks recommends.
const SCHEDULE: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value}"))
}

#[tokio::test]
async fn what_is_not_taken_is_tried_ten_times_by_the_schedule_and_by_hand_once_more() {
    let house = House::open().await;
    house.receiver.is(Mood::Answers(500));
    let opened = house.listen(&["hold.expired"]).await;
    let id = house.test(&opened.id).await;
    for (tries, after) in (1..).zip(SCHEDULE) {
        let delivery = house.tried(&opened.id, tries).await;
        let last = &delivery["attempts"][tries - 1];
        assert_eq!((&delivery["state"], &last["status"]), (&json!("waiting"), &json!(500)));
        assert_eq!(last["response"], "no, thanks");
        let waits = time(&delivery["next_at"]) - time(&last["at"]);
        assert_eq!(waits, TimeDelta::seconds(after), "after try {tries}");
        house.hurry().await;
    }
    let delivery = house.tried(&opened.id, 10).await;
    assert_eq!((&delivery["state"], &delivery["next_at"]), (&json!("failed"), &Value::Null));
    house.hurry().await;
    assert!(house.endpoint(&opened.id).await["failing_since"].is_string());

    house.receiver.is(Mood::Takes);
    let path = format!("/webhook-endpoints/{}/deliveries/{id}/redeliver", opened.id);
    let sent = house.post(&path, "again", &json!({})).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{:?}", sent.body);
    let delivery = house.tried(&opened.id, 11).await;
    assert_eq!(delivery["state"], "delivered");
    let again = house.post(&path, "again", &json!({})).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(house.endpoint(&opened.id).await["failing_since"], Value::Null);
    let received = house.receiver.received();
    assert_eq!(received.iter().map(Received::id).collect::<Vec<_>>(), vec![id.as_str(); 11]);
    assert!(received.iter().all(|it| it.body == received[0].body));
    house.close().await;
}

/// Its last try is under way, and comes to nothing.
#[tokio::test]
async fn what_is_sent_once_more_while_it_is_tried_has_all_the_tries_of_a_new_one() {
    let house = House::open().await;
    house.receiver.is(Mood::Answers(500));
    let opened = house.listen(&["hold.expired"]).await;
    let id = house.test(&opened.id).await;
    for tries in 1..9 {
        house.tried(&opened.id, tries).await;
        house.hurry().await;
    }
    house.tried(&opened.id, 9).await;
    house.receiver.is(Mood::Fails(Duration::from_secs(2)));
    house.hurry().await;
    house.receiver.until("endpoint.test", 10).await;
    let sent = again(&house, &opened.id, &id, "again").await;
    assert_eq!((sent.status, &sent.body["state"]), (StatusCode::ACCEPTED, &json!("waiting")));
    house.receiver.is(Mood::Answers(500));
    for (tries, after) in (11..).zip(SCHEDULE) {
        let delivery = house.tried(&opened.id, tries).await;
        let last = &delivery["attempts"][tries - 1];
        assert_eq!(delivery["state"], "waiting", "after try {tries}");
        let waits = time(&delivery["next_at"]) - time(&last["at"]);
        assert_eq!(waits, TimeDelta::seconds(after), "after try {tries}");
        house.hurry().await;
    }
    let delivery = house.tried(&opened.id, 20).await;
    assert_eq!((&delivery["state"], &delivery["next_at"]), (&json!("failed"), &Value::Null));
    house.close().await;
}

/// Its first try is under way, and is taken: whoever asks for another one gets it.
#[tokio::test]
async fn what_is_sent_once_more_while_it_is_taken_is_sent_once_more() {
    let house = House::open().await;
    house.receiver.is(Mood::Waits(Duration::from_secs(2)));
    let opened = house.listen(&["hold.expired"]).await;
    let id = house.test(&opened.id).await;
    house.receiver.until("endpoint.test", 1).await;
    let sent = again(&house, &opened.id, &id, "again").await;
    assert_eq!((sent.status, &sent.body["state"]), (StatusCode::ACCEPTED, &json!("waiting")));
    house.receiver.is(Mood::Takes);
    let delivery = house.tried(&opened.id, 2).await;
    assert_eq!(delivery["state"], "delivered");
    house.close().await;
}

#[tokio::test]
async fn a_key_sends_once_also_when_others_have_sent_since() {
    let house = House::open().await;
    let opened = house.listen(&["hold.expired"]).await;
    let id = house.test(&opened.id).await;
    house.tried(&opened.id, 1).await;
    for (key, replayed, tries) in
        [("one", "", 2), ("other", "", 3), ("one", "true", 3), ("other", "true", 3)]
    {
        let sent = again(&house, &opened.id, &id, key).await;
        assert_eq!(
            (sent.status, sent.header("idempotency-replayed")),
            (StatusCode::ACCEPTED, replayed),
            "{key}"
        );
        house.tried(&opened.id, tries).await;
    }
    house.until_sent().await;
    assert_eq!(house.receiver.received().len(), 3);
    house.close().await;
}

/// Asks that it be sent once more.
async fn again(house: &House, endpoint: &str, delivery: &str, key: &str) -> Answer {
    let path = format!("/webhook-endpoints/{endpoint}/deliveries/{delivery}/redeliver");
    house.post(&path, key, &json!({})).await
}

#[tokio::test]
async fn what_is_new_does_not_wait_for_what_is_tried_later() {
    let house = House::open().await;
    house.receiver.is(Mood::Answers(500));
    let opened = house.listen(&["*"]).await;
    let old = house.test(&opened.id).await;
    house.tried(&opened.id, 1).await;
    house.hurry().await;
    // It is tried again in five minutes.
    house.tried(&opened.id, 2).await;
    house.receiver.is(Mood::Takes);
    let new = house.test(&opened.id).await;
    house.receiver.until("endpoint.test", 3).await;
    let ids: Vec<_> = house.receiver.received().iter().map(|it| it.id().to_owned()).collect();
    assert_eq!(ids, [old.clone(), old.clone(), new]);
    // Nor is that forgotten over it.
    house.tried(&opened.id, 1).await;
    house.hurry().await;
    house.receiver.until("endpoint.test", 4).await;
    assert_eq!(house.receiver.received()[3].id(), old);
    house.close().await;
}

#[tokio::test]
async fn an_endpoint_that_says_that_it_is_gone_gets_nothing_more() {
    let house = House::open().await;
    house.receiver.is(Mood::Answers(410));
    let opened = house.listen(&["*"]).await;
    house.test(&opened.id).await;
    let delivery = house.tried(&opened.id, 1).await;
    assert_eq!(delivery["state"], "failed");
    let endpoint = house.endpoint(&opened.id).await;
    assert_eq!(
        (&endpoint["enabled"], &endpoint["disabled_reason"]),
        (&json!(false), &json!("gone"))
    );
    house.spend(100).await;
    house.until_sent().await;
    house.receiver.is(Mood::Takes);
    let enabled = house.change(&opened.id, &json!({ "enabled": true })).await.body;
    assert_eq!((&enabled["enabled"], &enabled["disabled_reason"]), (&json!(true), &Value::Null));
    house.test(&opened.id).await;
    house.receiver.until("endpoint.test", 2).await;
    assert_eq!(house.receiver.kinds(), ["endpoint.test"; 2]);
    house.close().await;
}

#[tokio::test]
async fn an_endpoint_that_takes_nothing_for_five_days_is_turned_off_and_its_owner_is_written_to() {
    let house = House::open().await;
    let tokens = Tokens::of(&login(&house.server, ADA, "correct horse battery").await);
    verify(&house.server, &tokens, ADA).await;
    house.receiver.is(Mood::Answers(500));
    let opened = house.listen(&["*"]).await;
    house.test(&opened.id).await;
    house.tried(&opened.id, 1).await;
    since(&house, "4 days 23 hours").await;
    house.hurry().await;
    house.tried(&opened.id, 2).await;
    assert_eq!(house.endpoint(&opened.id).await["enabled"], true);
    since(&house, "5 days").await;
    // Another one that waits is given up, too.
    house.test(&opened.id).await;
    house.hurry().await;
    until("it is off", || async {
        house.endpoint(&opened.id).await["disabled_reason"] == "failing"
    })
    .await;
    let deliveries = house.deliveries(&opened.id).await;
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "failed"), "{deliveries:?}");
    let letter = message(&house.server, ADA, 2).await;
    assert_eq!(letter["subject"], "Webhooks to your endpoint are off");
    assert!(letter["text"].as_str().is_some_and(|text| text.contains("127.0.0.1")), "{letter}");
    house.close().await;
}

/// Nothing was taken for so long.
async fn since(house: &House, long: &str) {
    let pool = house.database.pool().await;
    let since = "update webhook_endpoints set failing_since = clock_timestamp() - $1::interval";
    let since = sqlx::query(since).bind(long).execute(&pool).await;
    since.expect("it is so");
    pool.close().await;
}

#[tokio::test]
async fn of_a_long_answer_only_the_beginning_is_kept() {
    let house = House::open().await;
    house.receiver.is(Mood::Babbles(4 * 1024 * 1024));
    let opened = house.listen(&["*"]).await;
    house.test(&opened.id).await;
    let delivery = house.tried(&opened.id, 1).await;
    assert_eq!(delivery["state"], "delivered");
    let kept = delivery["attempts"][0]["response"].as_str().expect("an answer");
    assert_eq!(kept, "a".repeat(1_024));
    house.close().await;
}
