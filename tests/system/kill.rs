//! `kill -9` under load: what was acknowledged is in the log, and nothing is there twice.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

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
    let mut acknowledged = Acknowledged::default();
    for round in 0..KILLS {
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
        // On a thread of its own: the clients go on meanwhile.
        let killer = Arc::clone(&shared);
        tokio::task::spawn_blocking(move || killer.kill()).await.expect("the server is killed");
        let (mut unanswered, mut in_flight) = (Vec::new(), 0);
        for (answered, command, sent) in clients.join_all().await {
            acknowledged.add(answered);
            unanswered.push(command);
            in_flight += usize::from(sent);
        }
        assert!(in_flight > 0, "round {round} had no command in flight");
        drop(shared);
        server = database.server();
        for command in unanswered {
            acknowledged.add(ask_again(&server, command).await);
        }
    }
    assert_eq!(in_the_log(&database, "Debited").await, sorted(acknowledged.debits));
    assert_eq!(in_the_log(&database, "DebitReversed").await, sorted(acknowledged.reversals));
    let end = database.end().await;
    for person in &people {
        assert_eq!(server.available_at(person, &end).await, 100, "all was given back");
    }
    drop(server);
    database.remove().await;
}

/// The debits whose making and whose reversal was answered.
#[derive(Default)]
struct Acknowledged {
    debits: Vec<String>,
    reversals: Vec<String>,
}

impl Acknowledged {
    fn add(&mut self, other: Self) {
        self.debits.extend(other.debits);
        self.reversals.extend(other.reversals);
    }
}

/// A command under its idempotency key.
#[derive(Clone)]
enum Command {
    Debit { person: Person, key: String },
    Reverse { person: Person, key: String, debit: String },
}

impl Command {
    /// What it answered: the debit's id. An answer that refuses it fails the test; `Err` is no answer.
    async fn ask(&self, server: &Server) -> reqwest::Result<String> {
        let (person, path, key, body, wanted) = match self {
            Self::Debit { person, key } => {
                let body = json!({ "amount": 1, "reason": "test" });
                (person, "/wallet/debits".to_owned(), key, body, StatusCode::CREATED)
            }
            Self::Reverse { person, key, debit } => {
                let path = format!("/wallet/debits/{debit}/reverse");
                (person, path, key, json!({ "reason": "test" }), StatusCode::OK)
            }
        };
        let answer = server.try_post(person, &path, key, &body).await?;
        assert_eq!(answer.status, wanted, "{:?}", answer.body);
        Ok(answer.body["id"].as_str().expect("an id").to_owned())
    }

    /// What gives this debit back.
    fn back(self, debit: String) -> Option<Self> {
        match self {
            Self::Debit { person, key } => Some(Self::Reverse { person, key, debit }),
            Self::Reverse { .. } => None,
        }
    }
}

/// Spends one credit and gives it back, over and over, and says what was acknowledged, which command had no answer,
/// and whether that one was sent: it was not where nobody listened any more.
async fn spend_until_gone(
    server: Arc<Server>,
    person: Person,
    name: String,
) -> (Acknowledged, Command, bool) {
    let mut acknowledged = Acknowledged::default();
    for number in 0.. {
        let debit = Command::Debit { person: person.clone(), key: format!("{name}-{number}") };
        let id = match debit.ask(&server).await {
            Ok(id) => id,
            Err(error) => return (acknowledged, debit, !error.is_connect()),
        };
        acknowledged.debits.push(id.clone());
        // Given back at once, so that the wallet is never empty.
        let back = debit.back(id.clone()).expect("a debit");
        if let Err(error) = back.ask(&server).await {
            return (acknowledged, back, !error.is_connect());
        }
        acknowledged.reversals.push(id);
    }
    unreachable!("a client ends with its server")
}

/// What had no answer is asked again, and given back: the same key has one outcome.
async fn ask_again(server: &Server, command: Command) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    let mut next = Some(command);
    while let Some(command) = next {
        let id = command.ask(server).await.expect("the server answers");
        match &command {
            Command::Debit { .. } => acknowledged.debits.push(id.clone()),
            Command::Reverse { .. } => acknowledged.reversals.push(id.clone()),
        }
        next = command.back(id);
    }
    acknowledged
}

/// The debits that have an event of this kind, as often as they have one.
async fn in_the_log(database: &Database, event_type: &str) -> Vec<String> {
    let pool = database.pool().await;
    let debits = "select payload -> $1 ->> 'debit' from events where event_type = $1";
    let debits: Vec<String> = sqlx::query_scalar(debits)
        .bind(event_type)
        .fetch_all(&pool)
        .await
        .expect("the log answers");
    pool.close().await;
    sorted(debits)
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}
