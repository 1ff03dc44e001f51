//! The keys that the log depends on: what wraps the keys of persons, and what signs heads.

use std::process::Stdio;

use aggregates::id::UserId;
use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use saldo::keys::{Keys, Purpose};
use saldo::store::{Codec, SideRow, heads};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::rotation::{keys, later, rotate, until};
use crate::support::Database;
use crate::world::{ADA, PASSWORD, ask, goes_in, login, register, send};

/// More than are wrapped again in one statement.
const PEOPLE: usize = 500;

/// Keys of persons whom the log does not know; whose they are.
async fn many(pool: &PgPool, keys: &Keys) -> Vec<Uuid> {
    let codec = Codec::new(pool.clone(), keys.wrapping());
    let mut strangers = Vec::new();
    for _ in 0..PEOPLE {
        strangers.push(Uuid::now_v7());
        let (_, row) = codec.new_key(UserId(strangers[strangers.len() - 1])).expect("a key");
        let SideRow::PersonKey { user_id, wrapped_key, key_id } = row else { panic!("a key") };
        sqlx::query(
            "insert into person_keys (user_id, wrapped_key, key_id) values ($1, decode($2, 'hex'), $3)",
        )
        .bind(user_id.0)
        .bind(wrapped_key)
        .bind(key_id)
        .execute(pool)
        .await
        .expect("a row");
    }
    strangers
}

async fn wrapped_with(pool: &PgPool, id: &str) -> usize {
    let count = sqlx::query_scalar::<_, i64>("select count(*) from person_keys where key_id = $1");
    let count = count.bind(id).fetch_one(pool).await.expect("a count");
    usize::try_from(count).expect("a count")
}

#[tokio::test]
async fn keys_of_persons_are_wrapped_again_by_a_node_that_is_killed_and_by_the_next_one() {
    let database = Database::in_memory().await;
    let mut server = database.server();
    let ada = register(&server, ADA).await;
    let pool = database.pool().await;
    let strangers = many(&pool, &keys(&database)).await;
    let [old, new] = rotate(&database, Purpose::KeyEncryption, "key-encryption");
    let mut number = 0;
    until("the node that runs wraps with the new key", async || {
        number += 1;
        register(&server, &format!("new{number}@example.com")).await;
        wrapped_with(&pool, &new).await > 0
    })
    .await;
    let (done, said) = database.run(&["keys", "retire", "key-encryption"]);
    assert!(!done && goes_in(1, &said), "a node may use the old one still: {said}");
    later(&database, "key_encryption", TimeDelta::minutes(2));

    // One row is held, so that the first one is killed in the middle of it.
    let before = wrapped_with(&pool, &old).await;
    let mut held = pool.begin().await.expect("a transaction");
    let lock =
        sqlx::query("select from person_keys where user_id = $1 for update").bind(strangers.last());
    lock.execute(&mut *held).await.expect("the row is held");
    let mut program = database.program(&[]);
    program.args(["keys", "retire", "key-encryption"]).stdout(Stdio::null());
    let mut killed = program.spawn().expect("the program runs");
    until("some are wrapped again", async || wrapped_with(&pool, &old).await < before).await;
    killed.kill().expect("it is killed");
    killed.wait().expect("it has ended");
    assert!(wrapped_with(&pool, &old).await > 0, "it was killed in the middle of it");
    assert_eq!(keys(&database).key_encryption.all().len(), 2, "the old key is there");
    held.rollback().await.expect("the row is free");

    let (done, said) = database.run(&["keys", "retire", "key-encryption"]);
    assert!(done && said.contains(&old), "{said}");
    assert_eq!(wrapped_with(&pool, &old).await, 0);
    assert_eq!(keys(&database).key_encryption.all().len(), 1);
    let (clean, said) = database.run(&["verify"]);
    assert!(!clean && said.contains("found key of personal data"), "they are nobody's: {said}");
    let gone = sqlx::query("delete from person_keys where user_id = any($1)").bind(strangers);
    gone.execute(&pool).await.expect("they are gone");
    pool.close().await;
    server.stop();

    // Nothing but the new key is left to read with.
    let server = database.server();
    let seen = ask(&server, Method::GET, "/me", &ada.access).await;
    assert_eq!(seen.body["email"], ADA, "{:?}", seen.body);
    let name = json!({ "name": "Countess" });
    let named = send(&server, Method::PATCH, "/me", &ada.access, &name).await;
    assert_eq!(named.status, StatusCode::OK, "{:?}", named.body);
    drop(server);
    let (clean, said) = database.run(&["verify"]);
    assert!(clean, "{said}");
    database.remove().await;
}

#[tokio::test]
async fn heads_are_signed_by_the_new_key_and_those_of_the_old_one_are_checked_without_it() {
    let database = Database::in_memory().await;
    let mut server = database.server();
    register(&server, ADA).await;
    let file = database.data.join(heads::FILE);
    let signers = || {
        let heads = heads::read_heads(&file).expect("heads");
        heads.into_iter().map(|signed| signed.key_id).collect::<Vec<_>>()
    };
    until("a head is signed", async || !signers().is_empty()).await;
    let [old, new] = rotate(&database, Purpose::Heads, "heads");
    until("the node that runs signs with the new key", async || {
        login(&server, ADA, PASSWORD).await;
        signers().last() == Some(&new)
    })
    .await;
    server.stop();
    assert!(signers().contains(&old));
    let (clean, said) = database.run(&["verify"]);
    assert!(clean, "{said}");

    later(&database, "heads", TimeDelta::minutes(2));
    let secret = keys(&database).heads.find(&old).expect("the old key");
    let (done, said) = database.run(&["keys", "retire", "heads"]);
    assert!(done && said.contains(&old), "{said}");
    assert!(keys(&database).heads.find(&secret.id).is_none(), "nobody can sign with it");
    let (clean, said) = database.run(&["verify"]);
    assert!(clean, "{said}");

    // Whoever has the new key only cannot change what the old one has signed.
    let text = std::fs::read_to_string(&file).expect("heads");
    let renamed = text.replace(&old, &new);
    let forged = database.data.join("forged.jsonl");
    std::fs::write(&forged, renamed).expect("a file");
    let (clean, said) = database.run(&["verify", "--heads", forged.to_str().expect("a path")]);
    assert!(!clean, "{said}");
    database.remove().await;
}
