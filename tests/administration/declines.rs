//! Spends that were refused for want of credits.

use aggregates::credits::Credits;
use aggregates::id::UserId;
use aggregates::wallet::WalletError;
use reqwest::{Method, StatusCode};
use saldo::declines::{Declines, Operation};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::things::House;
use crate::world::send;

impl House {
    /// Declines of Ada's, once there are so many.
    async fn declines(&self, count: usize) -> Vec<Value> {
        let path = format!("/admin/declines?user_id={}", self.ada());
        self.shop.until(|| async { items(&self.root_sees(&path).await).len() >= count }).await;
        items(&self.root_sees(&path).await)
    }
}

fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().expect("declines").clone()
}

fn said(decline: &Value) -> [&Value; 5] {
    ["operation", "reason", "required", "available", "held"].map(|field| &decline[field])
}

#[tokio::test]
async fn what_was_refused_for_want_of_credits_is_listed_and_leaves_nothing_in_the_log() {
    let house = House::open().await;
    let server = &house.shop.server;
    let before = house.root_sees("/admin/events?limit=1").await["items"][0]["position"].clone();
    let refused = async |path: &str, body: Value| {
        let answer = send(server, Method::POST, path, &house.shop.ada.access, &body).await;
        assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED, "{:?}", answer.body);
    };
    refused("/wallet/debits", json!({ "amount": 101, "reason": "test" })).await;
    house.declines(1).await;
    refused("/wallet/holds", json!({ "amount": 102, "reason": "test" })).await;
    let declines = house.declines(2).await;
    assert_eq!(
        said(&declines[0]),
        [&json!("hold"), &json!("wallet"), &json!(102), &json!(100), &json!(0)]
    );
    assert_eq!(
        said(&declines[1]),
        [&json!("debit"), &json!("wallet"), &json!(101), &json!(100), &json!(0)]
    );
    assert!(declines.iter().all(|decline| decline["times"] == 1), "{declines:?}");
    assert_eq!(house.root_sees("/admin/events?limit=1").await["items"][0]["position"], before);

    let freeze = format!("/admin/users/{}/freeze", house.ada());
    let why = json!({ "reason": "test" });
    let frozen = send(server, Method::POST, &freeze, &house.root.access, &why).await;
    assert!(frozen.status.is_success(), "{:?}", frozen.body);
    refused("/ai/summarize", json!({ "text": "A text. Another." })).await;
    let declines = house.declines(3).await;
    assert_eq!(said(&declines[0])[..2], [&json!("call"), &json!("frozen")]);
    let first = house.root_sees("/admin/declines?limit=1").await;
    let cursor = first["next_cursor"].as_str().expect("another page");
    let rest = house.root_sees(&format!("/admin/declines?cursor={cursor}")).await;
    assert_eq!([items(&first), items(&rest)].concat(), declines);
    house.shop.close().await;
}

#[tokio::test]
async fn what_repeats_is_one_row_and_of_each_person_there_is_an_end() {
    let house = House::open().await;
    let db = house.shop.database.kept().await;
    let (user, declines) = (UserId(Uuid::now_v7()), Declines::default());
    let error = |required| WalletError::InsufficientCredits {
        required: Credits::new(required),
        available: Credits::ZERO,
        held: Credits::ZERO,
    };
    for round in 1..=102 {
        for _ in 0..3 {
            declines.note(user, None, Operation::Debit, &error(round));
        }
        // What is wrong for another reason is no decline.
        declines.note(user, None, Operation::Debit, &WalletError::HoldNotOpen);
        declines.write(db).await.expect("the database answers");
    }
    let path = format!("/admin/declines?user_id={}&limit=200", user.0);
    let kept = items(&house.root_sees(&path).await);
    let required: Vec<_> =
        kept.iter().map(|it| it["required"].as_i64().expect("a number")).collect();
    assert_eq!(required, (3..=102).rev().collect::<Vec<_>>());
    assert!(kept.iter().all(|decline| decline["times"] == 3), "{kept:?}");
    house.shop.close().await;
}
