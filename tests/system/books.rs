//! The log is in order, its chain holds, and the read models follow it.

use reqwest::{Method, StatusCode};
use saldo::store::hash::{Stored, batch_hash, leaf_hash};
use serde_json::json;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use crate::support::Database;

#[tokio::test]
async fn the_log_has_no_holes_and_its_chain_holds() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    for _ in 0..20 {
        server.debit(&ada, 1, "").await;
    }
    let pool = database.pool().await;
    assert_eq!(broken(&pool).await, Vec::<String>::new());
    sqlx::query("alter table events disable trigger user")
        .execute(&pool)
        .await
        .expect("a superuser");
    sqlx::query("update events set payload = '{}' where position = 7")
        .execute(&pool)
        .await
        .expect("a superuser");
    assert_eq!(broken(&pool).await, ["event 7 was changed"]);
    pool.close().await;
    database.remove().await;
}

#[tokio::test]
async fn the_log_refuses_to_be_changed() {
    let database = Database::in_memory().await;
    let server = database.server();
    server.register("ada@example.com").await;
    let pool = database.pool().await;
    for statement in [
        "update events set position = 9",
        "delete from events",
        "truncate events",
        "delete from batches",
    ] {
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&pool).await;
        let error = refused.expect_err("the log is append-only").to_string();
        assert!(error.contains("append-only"), "{statement}: {error}");
    }
    pool.close().await;
    database.remove().await;
}

#[tokio::test]
async fn personal_data_stands_nowhere_in_the_log() {
    let database = Database::in_memory().await;
    let server = database.server();
    // Words so long stand in no ciphertext by chance.
    let (email, name) = ("ada.secretly@example.com", "Lovelace");
    let body = json!({ "email": email, "password": "correct horse battery", "name": name });
    let answer = server.send(Method::POST, "/api/v1/auth/register", &[], Some(&body)).await;
    assert_eq!(answer.expect("the server answers").status, StatusCode::CREATED);
    let pool = database.pool().await;
    let clear: i64 = sqlx::query_scalar(
        "select count(*) from events
         where payload::text like '%secretly%' or payload::text like '%Lovelace%'",
    )
    .fetch_one(&pool)
    .await
    .expect("the log answers");
    assert_eq!(clear, 0);
    pool.close().await;
    database.remove().await;
}

#[tokio::test]
async fn a_rebuilt_read_model_is_the_same_while_writes_go_on() {
    let database = Database::in_memory().await;
    let server = std::sync::Arc::new(database.server());
    let ada = server.register("ada@example.com").await;
    let mut writers = tokio::task::JoinSet::new();
    writers.spawn({
        let (server, ada) = (std::sync::Arc::clone(&server), ada.clone());
        async move {
            for _ in 0..60 {
                server.debit(&ada, 1, "").await;
                // No read is ever without its table.
                server.available(&ada).await;
            }
        }
    });
    for name in ["balances", "billing", "chats", "transactions", "usage", "users"] {
        let rebuilt = std::process::Command::new(env!("CARGO_BIN_EXE_saldo"))
            .args(["projections", "rebuild", name])
            .env("DATABASE_URL", database.url())
            .env("SALDO_DATA_DIR", &database.data)
            .output()
            .expect("the program runs");
        assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    }
    writers.join_all().await;
    assert_eq!(server.available(&ada).await, 40);
    let history = server.get(&ada, "/wallet/transactions?limit=200").await;
    assert_eq!(history.body["items"].as_array().map(Vec::len), Some(61));
    database.remove().await;
}

/// First and last position, time, previous hash, hash.
type Batch = (i64, i64, i64, Vec<u8>, Vec<u8>);

/// What of the log is not as it was written.
async fn broken(pool: &PgPool) -> Vec<String> {
    let mut findings = Vec::new();
    let rows = sqlx::query(
        "select aggregate_type, aggregate_id, sequence, event_type, event_version,
             payload::text as payload, metadata::text as metadata, position, command_id, ordinal,
             leaf_hash
         from events order by position",
    )
    .fetch_all(pool)
    .await
    .expect("the log answers");
    let mut leaves: Vec<[u8; 32]> = Vec::new();
    for (expected, row) in (1_i64..).zip(&rows) {
        if row.get::<i64, _>("position") != expected {
            findings.push(format!("event {expected} is missing"));
        }
        let stored: Vec<u8> = row.get("leaf_hash");
        let leaf = leaf_hash(&Stored {
            aggregate_type: row.get("aggregate_type"),
            aggregate_id: row.get("aggregate_id"),
            sequence: row.get("sequence"),
            event_type: row.get("event_type"),
            event_version: row.get("event_version"),
            payload: row.get("payload"),
            metadata: row.get("metadata"),
            command_id: row.get::<Uuid, _>("command_id").as_bytes(),
            ordinal: row.get("ordinal"),
        });
        if stored != leaf {
            findings.push(format!("event {expected} was changed"));
        }
        leaves.push(stored.try_into().expect("32 bytes"));
    }
    let batches: Vec<Batch> = sqlx::query_as(
        "select first_position, last_position, (extract(epoch from recorded_at) * 1000000)::bigint,
             previous_hash, hash
         from batches order by first_position",
    )
    .fetch_all(pool)
    .await
    .expect("the log answers");
    let mut next = 1;
    for (first, last, at, previous, hash) in batches {
        assert_eq!(first, next, "batches follow one another");
        let range =
            usize::try_from(first - 1).expect("small")..usize::try_from(last).expect("small");
        if batch_hash(&previous, first, last, at, &leaves[range])[..] != hash[..] {
            findings.push(format!("batch {first} was changed"));
        }
        next = last + 1;
    }
    findings
}
