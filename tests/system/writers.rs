//! Many writers, lost connections and rollbacks: the log stays whole.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::support::{Database, Person, Server};

const WRITERS: usize = 8;
/// Debits of each writer.
const DEBITS: usize = 40;

/// One append in eight fails when all of it is written already, as a serialisation failure would.
const SABOTAGE: &str = "
    create function sabotage() returns trigger language plpgsql as $$
    begin
        if random() < 0.125 then
            raise exception 'sabotage' using errcode = '40001';
        end if;
        return new;
    end $$;
    create trigger sabotage after update on log_head for each row execute function sabotage();";

#[tokio::test]
async fn eight_writers_in_two_processes_survive_rollbacks_and_terminated_connections() {
    let database = Database::in_memory().await;
    let servers = Arc::new([database.server(), database.server()]);
    let mut people = Vec::new();
    for name in ["ada", "ben", "eve"] {
        people.push(servers[0].register(&format!("{name}@example.com")).await);
    }
    let pool = database.pool().await;
    database.change(SABOTAGE).await;
    let (done, terminated) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let terminator = tokio::spawn(terminate(pool.clone(), Arc::clone(&done), terminated.clone()));

    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (servers, person) = (Arc::clone(&servers), people[writer % people.len()].clone());
        writers.spawn(async move { write(&servers[writer % 2], &person, writer).await });
    }
    let acknowledged: BTreeSet<Uuid> = writers.join_all().await.into_iter().flatten().collect();
    done.store(true, Ordering::Relaxed);
    terminator.await.expect("the terminator ends");
    assert!(terminated.load(Ordering::Relaxed) > 10, "hardly a connection was terminated");
    assert_eq!(acknowledged.len(), WRITERS * DEBITS, "each was acknowledged in the end");

    let stored: Vec<Uuid> =
        sqlx::query_scalar("select command_id from events where event_type = 'Debited'")
            .fetch_all(&pool)
            .await
            .expect("the log answers");
    assert_eq!(stored.len(), acknowledged.len(), "none is there twice");
    assert_eq!(stored.into_iter().collect::<BTreeSet<_>>(), acknowledged);
    let disordered: i64 = sqlx::query_scalar(
        "select count(*) from (
             select position, sequence,
                 row_number() over (order by position) as place,
                 row_number() over (partition by aggregate_type, aggregate_id order by position) as in_stream
             from events) e
         where position <> place or sequence <> in_stream",
    )
    .fetch_one(&pool)
    .await
    .expect("the log answers");
    assert_eq!(disordered, 0, "positions have no holes, and their order is that of each stream");
    pool.close().await;
    let (clean, said) = database.run(&["verify"]);
    assert!(clean, "{said}");
    drop(servers);
    database.remove().await;
}

/// Spends one credit and gives it back, over and over; what was not answered is asked again.
async fn write(server: &Server, person: &Person, writer: usize) -> Vec<Uuid> {
    let mut acknowledged = Vec::new();
    for number in 0..DEBITS {
        let key = format!("{writer} {number}");
        let debit = loop {
            let answer = server.debit(person, 1, &key).await;
            match answer.status.as_u16() {
                201 => break answer.body["id"].as_str().expect("an id").to_owned(),
                // The wallet's other writers may hold all that there is for a moment.
                402 | 503 => tokio::time::sleep(Duration::from_millis(20)).await,
                other => panic!("{other}: {:?}", answer.body),
            }
        };
        let path = format!("/wallet/debits/{debit}/reverse");
        let body = serde_json::json!({ "reason": "test" });
        while server.post(person, &path, &key, &body).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        acknowledged.push(debit.parse().expect("an id"));
    }
    acknowledged
}

/// Terminates the connections that write, again and again, wherever they are.
async fn terminate(pool: PgPool, done: Arc<AtomicBool>, terminated: Arc<AtomicU32>) {
    while !done.load(Ordering::Relaxed) {
        let count: i64 = sqlx::query_scalar(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
             where application_name = 'saldo appender' and datname = current_database()
                 and state = 'active'",
        )
        .fetch_one(&pool)
        .await
        .expect("the database answers");
        terminated.fetch_add(u32::try_from(count).unwrap_or(0), Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

#[tokio::test]
async fn a_repeat_in_the_middle_of_a_batch_disturbs_nobody() {
    let database = Database::in_memory().await;
    let server = Arc::new(database.server());
    let mut people = Vec::new();
    for number in 0..12 {
        people.push(server.register(&format!("{number}@example.com")).await);
    }
    // They are known to the server, so that nothing is read before the batch.
    for person in &people {
        assert_eq!(server.debit(person, 1, "").await.status, 201);
    }
    let first = server.debit(&people[6], 5, "the key").await;
    let pool = database.pool().await;
    let before: i64 = sqlx::query_scalar("select position from log_head")
        .fetch_one(&pool)
        .await
        .expect("the log answers");
    // While somebody has the head, the first append waits, and the others gather behind it.
    let mut head = pool.begin().await.expect("a transaction");
    sqlx::query("select from log_head for update").execute(&mut *head).await.expect("the head");
    let mut debits = tokio::task::JoinSet::new();
    for (number, person) in people.iter().cloned().enumerate() {
        let server = Arc::clone(&server);
        let key = if number == 6 { "the key".to_owned() } else { format!("key {number}") };
        debits.spawn(async move { (number, server.debit(&person, 5, &key).await) });
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    head.rollback().await.expect("the head is free");
    for (number, answer) in debits.join_all().await {
        assert_eq!(answer.status, 201, "{number}: {:?}", answer.body);
        let repeated = number == 6;
        assert_eq!(answer.header("idempotency-replayed") == "true", repeated, "{number}");
        assert_eq!(answer.body["id"] == first.body["id"], repeated, "{number}");
    }
    let batches: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
        "select last_position - first_position + 1 from batches where first_position > {before}"
    )))
    .fetch_all(&pool)
    .await
    .expect("the log answers");
    assert_eq!(batches, [1, 10], "the repeat was in the middle of a batch");
    pool.close().await;
    drop(server);
    database.remove().await;
}

#[tokio::test]
async fn a_writer_that_is_alone_has_nothing_looked_up() {
    let database = Database::in_memory().await;
    let [server, other] = [database.server(), database.server()];
    let ada = server.register("ada@example.com").await;
    assert_eq!(server.debit(&ada, 1, "first").await.status, 201);
    // Whoever has something looked up fails from here on.
    let pool = database.pool().await;
    let definition = "select pg_get_functiondef('append_checked'::regproc)";
    let looks: String = sqlx::query_scalar(definition).fetch_one(&pool).await.expect("a function");
    let (signature, _) = looks.split_once("AS $function$").expect("a body");
    let fails = format!("{signature} as $$ begin raise exception 'looked up'; end $$");
    sqlx::raw_sql(AssertSqlSafe(fails)).execute(&pool).await.expect("a superuser");
    for number in 0..3 {
        let debit = server.debit(&ada, 1, &format!("alone {number}")).await;
        assert_eq!(debit.status, 201, "{:?}", debit.body);
    }
    assert_eq!(other.debit(&ada, 1, "other").await.status, 500, "it knows nothing of the head");
    sqlx::raw_sql(AssertSqlSafe(looks)).execute(&pool).await.expect("a superuser");
    assert_eq!(other.debit(&ada, 1, "other").await.status, 201);
    // What it did not see written makes it look again.
    assert_eq!(server.debit(&ada, 1, "last").await.status, 201);
    assert_eq!(server.available(&ada).await, 94);
    pool.close().await;
    let (clean, said) = database.run(&["verify"]);
    assert!(clean, "{said}");
    drop((server, other));
    database.remove().await;
}
