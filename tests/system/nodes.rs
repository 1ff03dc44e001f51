//! Several servers on one database.

use std::sync::Arc;

use reqwest::StatusCode;

use crate::support::Database;

#[tokio::test]
async fn t1_a_thousand_spends_over_three_servers_take_exactly_what_is_there() {
    let database = Database::in_memory().await;
    let servers = Arc::new([database.server(), database.server(), database.server()]);
    let ada = servers[0].register("ada@example.com").await;
    let mut spends = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let (servers, ada) = (Arc::clone(&servers), ada.clone());
        spends.spawn(async move { servers[number % 3].debit(&ada, 10, "").await.status });
    }
    let statuses = spends.join_all().await;
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(StatusCode::CREATED), count(StatusCode::PAYMENT_REQUIRED)), (10, 990));
    let pool = database.pool().await;
    let debits: i64 =
        sqlx::query_scalar("select count(*) from events where event_type = 'Debited'")
            .fetch_one(&pool)
            .await
            .expect("the log answers");
    assert_eq!(debits, 10);
    assert_eq!(servers[1].available_at(&ada, &database.end().await).await, 0);
    pool.close().await;
    database.remove().await;
}

#[tokio::test]
async fn a_refusal_from_a_stale_cache_is_not_given() {
    let database = Database::in_memory().await;
    let (a, b) = (database.server(), database.server());
    let ada = a.register("ada@example.com").await;
    // B caches the wallet as empty.
    let emptied = b.debit(&ada, 100, "").await;
    assert_eq!(b.debit(&ada, 1, "").await.status, StatusCode::PAYMENT_REQUIRED);
    // A tops it up.
    let path = format!("/wallet/debits/{}/reverse", emptied.body["id"].as_str().expect("an id"));
    let back = a.post(&ada, &path, "", &serde_json::json!({ "reason": "back" })).await;
    assert_eq!(back.status, StatusCode::OK, "{:?}", back.body);
    assert_eq!(b.debit(&ada, 100, "").await.status, StatusCode::CREATED);
    database.remove().await;
}

#[tokio::test]
async fn one_key_used_at_once_on_two_servers_spends_once() {
    let database = Database::in_memory().await;
    let servers = Arc::new([database.server(), database.server()]);
    let ada = servers[0].register("ada@example.com").await;
    let mut spends = tokio::task::JoinSet::new();
    for number in 0..40 {
        let (servers, ada) = (Arc::clone(&servers), ada.clone());
        let key = format!("key {}", number / 8);
        spends.spawn(async move { servers[number % 2].debit(&ada, 10, &key).await.status });
    }
    let statuses = spends.join_all().await;
    assert!(statuses.iter().all(|status| *status == StatusCode::CREATED), "{statuses:?}");
    assert_eq!(servers[0].available_at(&ada, &database.end().await).await, 50);
    assert_eq!(servers[1].debit(&ada, 50, "").await.status, StatusCode::CREATED);
    database.remove().await;
}

#[tokio::test]
async fn what_another_node_wrote_is_noticed_also_after_writing_elsewhere() {
    let database = Database::in_memory().await;
    let (a, b) = (database.server(), database.server());
    let [ada, ben] = [a.register("ada@example.com").await, a.register("ben@example.com").await];
    for round in 1..=5 {
        // B knows both wallets, and is sure of them.
        assert_eq!(b.debit(&ada, 2, "").await.status, StatusCode::CREATED);
        assert_eq!(b.debit(&ben, 2, "").await.status, StatusCode::CREATED);
        // A writes one of them; B learns of it while it writes the other.
        assert_eq!(a.debit(&ada, 3, "").await.status, StatusCode::CREATED);
        assert_eq!(b.debit(&ben, 2, "").await.status, StatusCode::CREATED);
        let answer = b.debit(&ada, 5, "").await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        assert_eq!(answer.body["available"], 100 - round * 10);
    }
    assert_eq!(a.available_at(&ada, &database.end().await).await, 50);
    drop((a, b));
    database.remove().await;
}
