//! `kill -9` under load: what was acknowledged is in the log, and nothing is there twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::support::{Database, Person, Server};

/// How often the server is killed.
const KILLS: usize = 20;
const CLIENTS: usize = 16;

#[tokio::test]
async fn every_acknowledged_command_survives_kill_9_and_none_counts_twice() {
    let database = Database::durable().await;
    let mut server = database.server();
    let people =
        [server.register("ada@example.com").await, server.register("eve@example.com").await];
    let mut acknowledged: HashMap<String, String> = HashMap::new();
    let mut unanswered = Vec::new();
    for round in 0..KILLS {
        let before = unanswered.len();
        let shared = Arc::new(server);
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            let person = people[client % people.len()].clone();
            clients.spawn(spend_until_gone(
                Arc::clone(&shared),
                person,
                format!("{round}-{client}"),
            ));
        }
        tokio::time::sleep(Duration::from_millis(150 + 37 * (round as u64 % 5))).await;
        shared.kill();
        for (answered, in_flight) in clients.join_all().await {
            acknowledged.extend(answered);
            unanswered.extend(in_flight);
        }
        assert!(unanswered.len() > before, "round {round} had no command in flight");
        drop(shared);
        server = database.server();
        // What had no answer is asked again: the same key has one outcome.
        for (person, key) in unanswered.iter().skip(before) {
            let answer = server.debit(person, 1, key).await;
            if let Some(id) = answer.body["id"].as_str() {
                acknowledged.insert(key.clone(), id.to_owned());
            }
        }
    }
    let pool = database.pool().await;
    let debits: Vec<Uuid> =
        sqlx::query_scalar("select command_id from events where event_type = 'Debited'")
            .fetch_all(&pool)
            .await
            .expect("the log answers");
    let mut ids: Vec<_> = debits.iter().map(Uuid::to_string).collect();
    ids.sort();
    let mut wanted: Vec<_> = acknowledged.into_values().collect();
    wanted.sort();
    assert_eq!(ids, wanted, "the log has exactly what was acknowledged, once");
    pool.close().await;
    drop(server);
    database.remove().await;
}

/// Spends one credit and gives it back, over and over, and says which keys were acknowledged and which one was not.
async fn spend_until_gone(
    server: Arc<Server>,
    person: Person,
    name: String,
) -> (Vec<(String, String)>, Option<(Person, String)>) {
    let mut answered = Vec::new();
    for number in 0.. {
        let key = format!("{name}-{number}");
        let body = serde_json::json!({ "amount": 1, "reason": "test" });
        match server.try_post(&person, "/wallet/debits", &key, &body).await {
            Ok(answer) if answer.status.as_u16() == 201 => {
                let id = answer.body["id"].as_str().expect("an id").to_owned();
                // Given back at once, so that the wallet is never empty.
                let path = format!("/wallet/debits/{id}/reverse");
                answered.push((key, id));
                let body = serde_json::json!({ "reason": "test" });
                if server.try_post(&person, &path, "", &body).await.is_err() {
                    return (answered, None);
                }
            }
            Ok(_) | Err(_) => return (answered, Some((person, key))),
        }
    }
    (answered, None)
}
