//! What cannot be projected is never passed over, and everybody is told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use projections::journal::{Obstacle, Unseal};
use projections::projector::{self, Step};
use projections::runner::{self, Lag};
use projections::tail::Tail;
use saldo::clock;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::database::{Database, Node, catch_up, named, step};
use crate::oracle::Oracle;
use crate::world::{Line, World, append};

fn line(aggregate_type: &'static str, event_type: &str, event: &Value) -> Line {
    Line {
        aggregate_type,
        aggregate_id: Uuid::now_v7(),
        sequence: 1,
        event_type: event_type.to_owned(),
        payload: json!({ event_type: event }),
    }
}

/// Changes the log, as only this test and a fault can.
async fn tamper(pool: &PgPool, statement: String) {
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
    sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

async fn lag(pool: &PgPool, name: &str) -> Lag {
    let (_, lags) = runner::lag(pool).await.unwrap();
    lags.into_iter().find(|lag| lag.name == name).unwrap()
}

/// Steps until the projection halts.
async fn halt(pool: &PgPool, name: &str) -> Obstacle {
    for _ in 0..20 {
        if let Step::Halted(obstacle) = step(pool, name).await {
            return obstacle;
        }
    }
    panic!("{name} does not halt");
}

#[tokio::test]
async fn an_event_of_a_newer_version_halts_until_somebody_can_read_it() {
    let database = Database::new().await;
    let pool = &database.pool;
    let mut world = World::new(21, 5);
    let before = append(pool, &world.live(777).await).await;
    let expected = Oracle::now(pool).await;
    let opened = json!({ "owner": Uuid::nil(), "at": clock::now() });
    let newer = append(pool, &[line("wallet", "Opened", &opened)]).await;
    let head = append(pool, &world.live(300).await).await;
    tamper(pool, format!("update events set event_version = '2' where position = {newer}")).await;

    let node = Node::start(pool);
    assert!(node.runner.reached("users", head, Duration::from_secs(10)).await);
    assert!(node.runner.reached("balances", before, Duration::from_secs(10)).await);
    assert!(!node.runner.reached("balances", newer, Duration::from_millis(50)).await);
    let halted = lag(pool, "balances").await;
    assert_eq!((halted.position, halted.halted), (before, Some(newer)));
    assert_eq!(halted.events, head - before);
    let why = format!(
        "the event at position {newer} cannot be read: no wallet event is called Opened in version 2"
    );
    assert_eq!(halted.error, Some(why));
    assert!(halted.halted_at.is_some());
    expected.compare_balances(pool).await;

    tamper(pool, format!("update events set event_version = '1' where position = {newer}")).await;
    node.catch_up(pool).await;
    let lag = lag(pool, "balances").await;
    assert_eq!((lag.halted, lag.error, lag.halted_at), (None, None, None));
    Oracle::now(pool).await.compare(pool).await;
    node.stop().await;
    database.remove().await;
}

#[tokio::test]
async fn an_event_about_nothing_halts_at_its_place_until_there_is_something() {
    let database = Database::new().await;
    let pool = &database.pool;
    let mut world = World::new(22, 5);
    let before = append(pool, &world.live(300).await).await;
    let expected = Oracle::now(pool).await;
    let frozen = line("wallet", "Frozen", &json!({ "reason": "none", "at": clock::now() }));
    let lost = append(pool, std::slice::from_ref(&frozen)).await;
    let head = append(pool, &world.live(100).await).await;

    let obstacle = halt(pool, "balances").await;
    assert_eq!(obstacle.position(), lost);
    assert!(matches!(obstacle, Obstacle::Unprojectable { .. }), "{obstacle:?}");
    assert_eq!(lag(pool, "balances").await.position, before);
    expected.compare_balances(pool).await;
    for other in ["transactions", "users"] {
        assert_eq!(step(pool, other).await, Step::Moved { position: head, full: false });
    }
    let since = lag(pool, "balances").await.halted_at;
    assert_eq!(halt(pool, "balances").await, obstacle);
    assert_eq!(lag(pool, "balances").await.halted_at, since);

    sqlx::query("insert into wallets values ($1, 0, 0, 0, 0, 0)")
        .bind(frozen.aggregate_id)
        .execute(pool)
        .await
        .unwrap();
    assert_eq!(step(pool, "balances").await, Step::Moved { position: head, full: false });
    assert_eq!(lag(pool, "balances").await.halted, None);
    database.remove().await;
}

/// Opens what is sealed, or fails.
#[derive(Default)]
struct Keys {
    readable: AtomicBool,
}

impl Unseal for Keys {
    fn unseal<'a>(
        &'a self,
        _: &'a str,
        _: Uuid,
        _: i64,
        payload: Value,
    ) -> BoxFuture<'a, Result<Value, Box<dyn std::error::Error + Send + Sync>>> {
        Box::pin(async move {
            if !self.readable.load(Ordering::Relaxed) {
                return Err("the key is wrong".into());
            }
            Ok(serde_json::from_str(&payload.to_string().replace("$sealed", "$pii"))?)
        })
    }
}

#[tokio::test]
async fn personal_data_that_cannot_be_decrypted_halts_until_it_can() {
    let database = Database::new().await;
    let pool = &database.pool;
    append(pool, &World::new(23, 5).live(50).await).await;
    let registered = json!({
        "email": { "$sealed": "ada@example.com" }, "name": { "$sealed": null },
        "by": "password", "at": clock::now(),
    });
    let sealed = append(pool, &[line("user", "Registered", &registered)]).await;

    let (mut db, keys) = (pool.acquire().await.unwrap(), Keys::default());
    let users = named("users");
    let why = "the key is wrong".to_owned();
    let obstacle = Obstacle::Unreadable { position: sealed, why };
    let halted = projector::step(&mut db, &*users, &keys, &Tail::default()).await.unwrap();
    assert_eq!(halted, Step::Halted(obstacle));
    assert_eq!(lag(pool, "users").await.position, sealed - 1);
    keys.readable.store(true, Ordering::Relaxed);
    let moved = projector::step(&mut db, &*users, &keys, &Tail::default()).await.unwrap();
    assert_eq!(moved, Step::Moved { position: sealed, full: false });
    let email: Option<String> =
        sqlx::query_scalar("select email from users order by user_id desc limit 1")
            .fetch_one(&mut *db)
            .await
            .unwrap();
    assert_eq!(email.as_deref(), Some("ada@example.com"));
    drop(db);
    database.remove().await;
}

#[tokio::test]
async fn a_hole_in_the_log_halts_before_it_also_at_the_end() {
    let database = Database::new().await;
    let pool = &database.pool;
    let head = append(pool, &World::new(2, 3).live(50).await).await;
    tamper(pool, format!("delete from events where position in (31, {head})")).await;
    let obstacle = halt(pool, "balances").await;
    assert_eq!(obstacle, Obstacle::Missing(31));
    let halted = lag(pool, "balances").await;
    assert_eq!((halted.position, halted.halted), (30, Some(31)));
    assert_eq!(halted.error.as_deref(), Some("the log has no event at position 31"));

    let past = "update projections.checkpoints set position = 31 where name = 'transactions'";
    sqlx::query(past).execute(pool).await.unwrap();
    assert_eq!(halt(pool, "transactions").await, Obstacle::Missing(head));
    database.remove().await;
}

#[tokio::test]
async fn the_lag_says_how_many_events_and_for_how_long() {
    let database = Database::new().await;
    let pool = &database.pool;
    let (head, lags) = runner::lag(pool).await.unwrap();
    assert_eq!((head, lags.len()), (0, runner::all().len()));
    assert!(lags.iter().all(|lag| (lag.events, lag.milliseconds) == (0, 0)));

    let head = append(pool, &World::new(5, 3).live(60).await).await;
    let waited = Duration::from_millis(120);
    tokio::time::sleep(waited).await;
    let behind = lag(pool, "balances").await;
    assert_eq!((behind.position, behind.events), (0, head));
    let milliseconds = Duration::from_millis(behind.milliseconds.try_into().unwrap());
    assert!(milliseconds >= waited && milliseconds < waited * 100, "{milliseconds:?}");

    catch_up(pool).await;
    let caught_up = lag(pool, "balances").await;
    assert_eq!((caught_up.position, caught_up.events, caught_up.milliseconds), (head, 0, 0));
    database.remove().await;
}
