//! What of a wallet is told, and how often.

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::webhook_house::House;

const LOW: &str = "wallet.low_balance";
const DEPLETED: &str = "wallet.depleted";

/// Whoever signs up has 100.
#[tokio::test]
async fn a_balance_that_falls_below_the_threshold_is_told_once() {
    let house = House::open().await;
    let body = json!({ "url": house.receiver.url, "low_balance_threshold": 50 });
    house.listen_with(&body).await;
    house.spend(50).await;
    house.until_sent().await;
    assert_eq!(house.receiver.kinds(), Vec::<String>::new());
    house.spend(1).await;
    let told = house.receiver.until(LOW, 1).await.remove(0);
    let wallet = house.ada.id;
    let data = json!({
        "wallet_id": wallet, "available": 49, "held": 0, "debt": 0, "spendable": 49,
        "threshold": 50,
    });
    let timestamp = told.payload()["timestamp"].clone();
    assert_eq!(told.payload(), json!({ "type": LOW, "timestamp": timestamp, "data": data }));
    assert!(timestamp.as_str().is_some_and(|at| at.ends_with('Z')), "{timestamp}");
    // Lower still, and up to where it is low no more.
    let spent = house.spend(10).await;
    house.give_back(&spent).await;
    let spent = house.spend(39).await;
    house.give_back(&spent).await;
    house.until_sent().await;
    assert_eq!(house.receiver.of(LOW).len(), 1);
    let ten = house.spend(10).await;
    house.give_back(&ten).await;
    let again = house.spend(9).await;
    house.give_back(&again).await;
    assert_eq!(house.receiver.of(LOW).len(), 1, "it was below all the time");
    house.close().await;
}

#[tokio::test]
async fn it_is_told_again_when_it_was_above_in_between() {
    let house = House::open().await;
    let body = json!({ "url": house.receiver.url, "low_balance_threshold": 50 });
    house.listen_with(&body).await;
    for times in 1..=3 {
        let spent = house.spend(60).await;
        house.receiver.until(LOW, times).await;
        house.give_back(&spent).await;
    }
    house.until_sent().await;
    assert_eq!(house.receiver.of(LOW).len(), 3);
    house.close().await;
}

/// Spends of one wallet that come at once are one unit of the log.
#[tokio::test]
async fn of_many_spends_at_once_the_one_that_passes_the_threshold_is_told() {
    let house = House::open().await;
    for threshold in [90, 30] {
        let body = json!({ "url": house.receiver.url, "low_balance_threshold": threshold });
        house.listen_with(&body).await;
    }
    join_all((0..60).map(|_| house.server.debit(&house.ada, 2, ""))).await;
    // Each endpoint is told of both.
    house.receiver.until(DEPLETED, 2).await;
    house.until_sent().await;
    let mut low: Vec<_> =
        house.receiver.of(LOW).iter().map(|it| it.payload()["data"].clone()).collect();
    low.sort_by_key(|data| data["available"].as_i64());
    let figures: Vec<_> = low.iter().map(|data| (&data["threshold"], &data["available"])).collect();
    assert_eq!(figures, [(&json!(30), &json!(28)), (&json!(90), &json!(88))]);
    assert_eq!(house.receiver.of(DEPLETED).len(), 2);
    house.close().await;
}

#[tokio::test]
async fn an_empty_wallet_is_told_once_and_only_to_who_listens() {
    let house = House::open().await;
    house.listen(&[DEPLETED]).await;
    let body = json!({ "amount": 40, "expires_in_s": 900 });
    let hold = house.post("/wallet/holds", "", &body).await;
    assert_eq!(hold.status, StatusCode::CREATED, "{:?}", hold.body);
    house.spend(60).await;
    let told = house.receiver.until(DEPLETED, 1).await.remove(0);
    let data = json!({
        "wallet_id": house.ada.id, "available": 0, "held": 40, "debt": 0, "spendable": 0,
    });
    assert_eq!(told.payload()["data"], data);
    // What is held already is spent of nothing else.
    let capture = format!("/wallet/holds/{}/capture", hold.body["id"].as_str().expect("an id"));
    house.post(&capture, "", &json!({ "amount": 40 })).await;
    house.until_sent().await;
    assert_eq!(house.receiver.kinds(), [DEPLETED]);
    house.close().await;
}

#[tokio::test]
async fn a_hold_whose_time_is_over_is_told() {
    let house = House::open().await;
    let opened = house.listen(&["hold.expired"]).await;
    let hold = house.post("/wallet/holds", "", &json!({ "amount": 40, "expires_in_s": 1 })).await;
    let told = house.receiver.until("hold.expired", 1).await.remove(0).payload();
    let wanted = json!({
        "wallet_id": house.ada.id, "hold_id": hold.body["id"], "authorized": 40, "captured": 0,
        "released": 40, "expires_at": hold.body["expires_at"],
    });
    assert_eq!(told["data"], wanted);
    let delivery = house.tried(&opened.id, 1).await;
    assert_eq!((&delivery["state"], &delivery["payload"]), (&json!("delivered"), &told));
    assert_eq!(delivery["attempts"][0]["status"], 204);
    assert_eq!(delivery["next_at"], Value::Null);
    house.close().await;
}

/// Be it looked at only when the endpoint is there, and on.
#[tokio::test]
async fn what_was_before_an_endpoint_or_while_it_was_off_is_not_told() {
    let house = House::open().await;
    let pool = house.database.pool().await;
    let mut still = pool.begin().await.expect("a transaction");
    let followed = "select from process_checkpoints where name = 'send_webhooks' for update";
    sqlx::query(followed).execute(&mut *still).await.expect("nobody follows the log");
    house.spend(95).await;
    let opened = house.listen(&["*"]).await;
    house.change(&opened.id, &json!({ "enabled": false })).await;
    assert_eq!(house.endpoint(&opened.id).await["disabled_reason"], "asked");
    let path = format!("/webhook-endpoints/{}/test", opened.id);
    let refused = house.post(&path, "", &json!({})).await;
    assert_eq!(refused.body["code"], "endpoint_disabled");
    house.spend(5).await;
    house.change(&opened.id, &json!({ "enabled": true })).await;
    still.rollback().await.expect("the log is followed again");
    pool.close().await;
    house.test(&opened.id).await;
    house.until_sent().await;
    assert_eq!(house.receiver.kinds(), ["endpoint.test"]);
    house.close().await;
}
