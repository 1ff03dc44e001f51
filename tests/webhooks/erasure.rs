//! What is left of webhooks of whoever is gone, and of what is long over: nothing.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::receiver::until;
use crate::webhook_house::{House, ask_as};

async fn rows(house: &House, table: &str) -> i64 {
    let pool = house.database.pool().await;
    let rows = format!("select count(*) from {table}");
    let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_one(&pool).await;
    pool.close().await;
    rows.expect("a count")
}

#[tokio::test]
async fn whoever_is_erased_has_no_endpoints_and_is_told_nothing_more() {
    let house = House::open().await;
    let opened = house.listen(&["*"]).await;
    house.test(&opened.id).await;
    house.tried(&opened.id, 1).await;
    for table in ["webhook_endpoints", "webhook_deliveries", "webhook_attempts"] {
        assert_eq!(rows(&house, table).await, 1, "{table}");
    }
    let password = json!({ "password": "correct horse battery" });
    let gone = ask_as(&house.server, &house.ada, Method::DELETE, "/me", Some(&password)).await;
    assert!(gone.status.is_success(), "{:?}", gone.body);
    for table in ["webhook_endpoints", "webhook_deliveries", "webhook_attempts"] {
        assert_eq!(rows(&house, table).await, 0, "{table}");
    }
    house.until_sent().await;
    assert_eq!(house.receiver.kinds(), ["endpoint.test"]);
    house.close().await;
}

#[tokio::test]
async fn webhooks_of_more_than_thirty_days_ago_are_removed() {
    let house = House::open().await;
    let opened = house.listen(&["*"]).await;
    let old = house.test(&opened.id).await;
    let new = house.test(&opened.id).await;
    house.receiver.until("endpoint.test", 2).await;
    let pool = house.database.pool().await;
    let aged = "update webhook_deliveries set created_at = created_at - interval '30 days 1 minute'
        where delivery_id = $1::uuid";
    sqlx::query(aged).bind(&old).execute(&pool).await.expect("it is old");
    let sweep = "select graphile_worker.add_job('sweep', '{}'::json)";
    sqlx::query(sweep).execute(&pool).await.expect("a job");
    pool.close().await;
    until("one is left", || async { house.deliveries(&opened.id).await.len() == 1 }).await;
    assert_eq!(house.deliveries(&opened.id).await[0]["id"], new);
    let path = format!("/webhook-endpoints/{}/deliveries/{old}/redeliver", opened.id);
    let answer = house.post(&path, "", &json!({})).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    house.close().await;
}
