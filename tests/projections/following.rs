//! Following the log with others, while being killed.

use std::time::Duration;

use projections::projector::{Step, step};
use projections::runner;
use projections::tail::Tail;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool};
use tokio::task::JoinSet;

use crate::database::{Database, Node, WithoutKeys, catch_up};
use crate::oracle::Oracle;
use crate::world::{Random, World, append};

/// By this name the database knows who may be killed.
const PROJECTOR: &str = "projector";

/// Ends the connections of projectors that are at work; answers how many there were.
async fn end_projectors(pool: &PgPool) -> i64 {
    sqlx::query_scalar(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity
         where application_name = $1 and datname = current_database() and state <> 'idle'",
    )
    .bind(PROJECTOR)
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_nothing_is_lost_or_done_twice() {
    let database = Database::new().await;
    let pool = &database.pool;
    let options = database.options.clone().application_name(PROJECTOR);
    let (mut world, mut random) = (World::new(9, 10), Random(17));
    let (mut aborted, mut ended) = (0, 0);
    for round in 0..400 {
        if aborted >= 60 && ended >= 60 {
            break;
        }
        append(pool, &world.live(100).await).await;
        let mut nodes = JoinSet::new();
        nodes.spawn(follow(options.clone()));
        nodes.spawn(follow(options.clone()));
        tokio::time::sleep(Duration::from_micros(random.below(25_000))).await;
        if round % 2 == 0 {
            nodes.abort_all();
        } else {
            ended += end_projectors(pool).await;
        }
        while let Some(node) = nodes.join_next().await {
            match node {
                Ok(()) => {}
                Err(error) if error.is_cancelled() => aborted += 1,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
    }
    assert!(aborted >= 60 && ended >= 60, "{aborted} aborted and {ended} ended at work");
    catch_up(pool).await;
    Oracle::now(pool).await.compare(pool).await;
    database.remove().await;
}

/// Follows the log to its end, or to its own.
async fn follow(options: PgConnectOptions) {
    let Ok(mut db) = options.connect().await else { return };
    loop {
        let mut is_behind = false;
        for projection in runner::all() {
            match step(&mut db, &*projection, &WithoutKeys, &Tail::default()).await {
                Ok(Step::Moved { .. } | Step::Led(_)) => is_behind = true,
                Ok(Step::CaughtUp(_)) => {}
                Ok(Step::Halted(obstacle)) => panic!("{obstacle}"),
                Ok(Step::Paused(_)) => panic!("nobody has it stand still"),
                Err(_) => return,
            }
        }
        if !is_behind {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_project_every_event_once_and_survive_lost_connections() {
    let database = Database::new().await;
    let pool = &database.pool;
    let options = database.options.clone().application_name(PROJECTOR);
    let mut nodes = vec![];
    for _ in 0..2 {
        let own = PgPoolOptions::new().max_connections(4).connect_with(options.clone()).await;
        nodes.push(Node::start(&own.unwrap()));
    }
    let mut world = World::new(3, 30);
    for round in 0..40 {
        let head = append(pool, &world.live(50).await).await;
        // The other node has to look for itself.
        nodes[round % 2].tail.grown(head);
        if round % 10 == 0 {
            end_projectors(pool).await;
        }
    }
    for node in &nodes {
        node.catch_up(pool).await;
    }
    Oracle::now(pool).await.compare(pool).await;
    for node in nodes {
        node.stop().await;
    }
    database.remove().await;
}
