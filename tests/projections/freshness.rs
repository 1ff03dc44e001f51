//! How soon events are seen.

use std::time::{Duration, Instant};

use projections::projector;
use projections::tail::Tail;
use sqlx::{ConnectOptions, PgConnection};

use crate::database::{Database, Node, WithoutKeys, named};
use crate::world::{World, append};

const LONG: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_stream_is_seen_soon() {
    /// How often a handful of events comes, and how many there are of it.
    const EVERY: Duration = Duration::from_millis(20);
    const HANDFULS: usize = 100;
    const HANDFUL: usize = 30;
    let database = Database::new().await;
    let pool = &database.pool;
    let mut world = World::new(51, 50);
    let mut handfuls = vec![];
    for _ in 0..HANDFULS {
        handfuls.push(world.live(HANDFUL).await);
    }
    let node = Node::start(pool);
    let mut waits = tokio::task::JoinSet::new();
    let mut ticks = tokio::time::interval(EVERY);
    for handful in handfuls {
        ticks.tick().await;
        let head = append(pool, &handful).await;
        node.tail.grown(head);
        let (runner, appended) = (node.runner.clone(), Instant::now());
        waits.spawn(async move {
            assert!(runner.reached("balances", head, LONG).await, "{head} is not reached");
            appended.elapsed()
        });
    }
    let mut lags = waits.join_all().await;
    lags.sort();
    let (median, slowest) = (lags[HANDFULS / 2], lags[HANDFULS * 99 / 100]);
    println!("seen after {median:?} (median), {slowest:?} (99 %)");
    // Alone on a machine it is a tenth of this.
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    node.stop().await;
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_worked_off_by_the_thousand() {
    const EVENTS: usize = 10_000;
    let database = Database::new().await;
    let pool = &database.pool;
    let mut world = World::new(53, 500);
    for _ in 0..4 {
        append(pool, &world.live(EVENTS / 4).await).await;
    }
    let began = Instant::now();
    let node = Node::start(pool);
    node.catch_up(pool).await;
    let each = began.elapsed() / u32::try_from(EVENTS).unwrap();
    println!("{each:?} for an event, all projections at once");
    assert!(each < Duration::from_millis(1), "{each:?} for an event");
    node.stop().await;
    database.remove().await;
}

/// The plan for a page is made once: one that walks the index by stream, too, reads the whole log
/// for every page.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_costs_the_same_however_long_the_log_is() {
    const BACKLOG: usize = 3_000;
    const PAGE: usize = 100;
    let database = Database::new().await;
    let mut db = database.options.connect().await.unwrap();
    let mut world = World::new(57, 50);
    let mut read = vec![];
    for events in [[BACKLOG; 8], [PAGE; 8]].concat() {
        append(&database.pool, &world.live(events).await).await;
        let before = rows_by_stream(&mut db).await;
        for name in ["balances", "billing", "chats", "transactions", "usage", "users"] {
            projector::step(&mut db, &*named(name), &WithoutKeys, &Tail::default()).await.unwrap();
        }
        let rows = rows_by_stream(&mut db).await - before;
        read.push(rows / i64::try_from(events).unwrap());
    }
    assert!(read.iter().all(|rows| *rows < 10), "of the index by stream, for an event: {read:?}");
    drop(db);
    database.remove().await;
}

/// Rows that were read so far of the log's index by stream, by this connection too.
async fn rows_by_stream(db: &mut PgConnection) -> i64 {
    sqlx::query("select pg_stat_force_next_flush()").execute(&mut *db).await.unwrap();
    sqlx::query_scalar(
        "select idx_tup_read from pg_stat_user_indexes where indexrelname = 'events_stream'",
    )
    .fetch_one(db)
    .await
    .unwrap()
}
