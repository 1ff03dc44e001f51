//! A wallet as of a time is the fold of what the log had then; and its statement.

use aggregates::wallet::{Wallet, WalletEvent};
use chrono::{DateTime, SecondsFormat, Utc};
use cqrs_es::Aggregate;

use crate::lives;
use crate::support::Database;

#[tokio::test]
async fn a_wallet_as_of_any_time_is_the_fold_of_what_the_log_had() {
    let database = Database::in_memory().await;
    let server = database.server();
    let people =
        [server.register("ada@example.com").await, server.register("ben@example.com").await];
    let store = lives::store(&database).await;
    lives::live(&store, [&people[0], &people[1]]).await;
    let mut compared = 0;
    for person in &people {
        let events: Vec<(DateTime<Utc>, serde_json::Value)> = sqlx::query_as(
            "select recorded_at, payload from events
             where aggregate_type = 'wallet' and aggregate_id = $1 order by sequence",
        )
        .bind(person.id.to_string())
        .fetch_all(store.pool())
        .await
        .expect("the log answers");
        let mut wallet = Wallet::default();
        for (place, (recorded_at, payload)) in events.iter().enumerate() {
            let event: WalletEvent = serde_json::from_value(payload.clone()).expect("an event");
            wallet.apply(event);
            if events.get(place + 1).is_some_and(|(next, _)| next == recorded_at) {
                continue;
            }
            let at = recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true);
            let answer = server.get(person, &format!("/wallet?as_of={at}")).await;
            assert_eq!(answer.status, 200, "{:?}", answer.body);
            let fold = wallet.balance(*recorded_at);
            for (name, figure) in
                [("available", fold.available), ("held", fold.held), ("debt", fold.debt)]
            {
                assert_eq!(answer.body[name], figure.get(), "{name} at {at}: {:?}", answer.body);
            }
            assert_eq!(answer.body["version"], place + 1);
            let left: i64 = wallet
                .grants()
                .filter(|(_, grant)| !grant.is_over(*recorded_at))
                .map(|(_, grant)| grant.remaining.get())
                .sum();
            assert_eq!(fold.available.get(), left, "I9 at {at}");
            compared += 1;
        }
        let before = "2020-01-01T00:00:00Z";
        let answer = server.get(person, &format!("/wallet?as_of={before}")).await;
        assert_eq!(answer.status, 404, "there was no wallet then");
    }
    assert!(compared > 40, "{compared} moments were compared");
    store.pool().close().await;
    drop(server);
    database.remove().await;
}

#[tokio::test]
async fn a_statement_opens_where_the_last_one_closed_and_its_rows_add_up() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    for amount in [10, 20, 30] {
        server.debit(&ada, amount, "").await;
    }
    let body =
        serde_json::json!({ "amount": 5, "reason": "=HYPERLINK(\"http://evil\"), a \"quote\"" });
    assert_eq!(server.post(&ada, "/wallet/debits", "", &body).await.status, 201);
    let history = server.get(&ada, "/wallet/transactions?limit=200").await.body;
    let times: Vec<String> = history["items"]
        .as_array()
        .expect("items")
        .iter()
        .rev()
        .map(|row| row["recorded_at"].as_str().expect("a time").to_owned())
        .collect();
    let (start, end) = ("2020-01-01T00:00:00Z", "2120-01-01T00:00:00Z");
    let mut closing = serde_json::json!(0);
    for (from, to) in [(start, times[2].as_str()), (times[2].as_str(), end)] {
        let statement = server.get(&ada, &format!("/wallet/statement?from={from}&to={to}")).await;
        assert_eq!(statement.status, 200, "{:?}", statement.body);
        assert_eq!(statement.body["opening"], closing);
        let moved: i64 = statement.body["items"]
            .as_array()
            .expect("items")
            .iter()
            .filter_map(|row| row["amount"].as_i64())
            .sum();
        closing = statement.body["closing"].clone();
        assert_eq!(
            statement.body["opening"].as_i64().map(|opening| opening + moved),
            closing.as_i64()
        );
    }
    assert_eq!(closing, 35);
    let csv =
        server.get(&ada, &format!("/wallet/statement?from={start}&to={end}&format=csv")).await;
    let text = csv.body.as_str().expect("a text").to_owned();
    assert_eq!(text.lines().count(), 6, "a head and five rows: {text}");
    // A spreadsheet must not take a reason for a formula; quotes are doubled (RFC 4180).
    assert!(text.contains("\"'=HYPERLINK(\"\"http://evil\"\"), a \"\"quote\"\"\""), "{text}");
    for wrong in ["from=2026-01-01T00:00:00Z&to=2025-01-01T00:00:00Z", "from=yesterday&to=now"] {
        let refused = server.get(&ada, &format!("/wallet/statement?{wrong}")).await;
        assert_eq!(refused.status, 422, "{:?}", refused.body);
    }
    drop(server);
    database.remove().await;
}
