//! A migrated database for each test, in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use projections::journal::Unseal;
use projections::projector::{self, Projection, Step};
use projections::runner::{self, Runner};
use projections::tail::Tail;
use saldo::embedded::Cluster;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, PgPool};
use tokio::sync::watch;
use uuid::Uuid;

#[path = "../shared/cluster.rs"]
mod cluster;

/// A database of its own, on a cluster that all tests share.
pub(crate) struct Database {
    pub(crate) pool: PgPool,
    pub(crate) options: PgConnectOptions,
    cluster: Cluster,
    name: String,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Database {
    pub(crate) async fn new() -> Self {
        let cluster = cluster::in_memory().await;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("projections_{}_{number}", std::process::id());
        cluster::clone(&cluster, &name).await;
        let path = [("search_path", projections::SEARCH_PATH)];
        let options = cluster.options(&name).options(path);
        let pool =
            PgPoolOptions::new().max_connections(12).connect_with(options.clone()).await.unwrap();
        Self { pool, options, cluster, name }
    }

    /// Removes the database; a test that fails leaves it to be looked at.
    pub(crate) async fn remove(self) {
        self.pool.close().await;
        let mut db = self.cluster.options("postgres").connect().await.unwrap();
        sqlx::query(AssertSqlSafe(format!("drop database {} with (force)", self.name)))
            .execute(&mut db)
            .await
            .unwrap();
    }
}

/// A reader without keys: personal data stays as it is.
pub(crate) struct WithoutKeys;

impl Unseal for WithoutKeys {
    fn unseal<'a>(
        &'a self,
        _: &'a str,
        _: Uuid,
        _: i64,
        payload: Value,
    ) -> BoxFuture<'a, Result<Value, Box<dyn std::error::Error + Send + Sync>>> {
        Box::pin(async { Ok(payload) })
    }
}

/// A node's projections, without a node.
pub(crate) struct Node {
    pub(crate) runner: Runner,
    /// What the node's writer says.
    pub(crate) tail: Tail,
    stop: watch::Sender<bool>,
}

impl Node {
    pub(crate) fn start(pool: &PgPool) -> Self {
        let unseal: Arc<dyn Unseal> = Arc::new(WithoutKeys);
        let tail = Tail::default();
        let (stop, stopped) = watch::channel(false);
        Self { runner: Runner::start(pool, &unseal, &tail, &stopped), tail, stop }
    }

    /// Waits until every projection is at the end of the log.
    pub(crate) async fn catch_up(&self, pool: &PgPool) {
        let head = projections::journal::head(pool).await.unwrap();
        for projection in runner::all() {
            let name = projection.name();
            let reached = self.runner.reached(name, head, Duration::from_secs(20)).await;
            assert!(reached, "{name} has not reached {head}");
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.runner.ended().await;
    }
}

/// One step of the projection of this name.
pub(crate) async fn step(pool: &PgPool, name: &str) -> Step {
    let mut db = pool.acquire().await.unwrap();
    projector::step(&mut db, &*named(name), &WithoutKeys, &Tail::default()).await.unwrap()
}

pub(crate) fn named(name: &str) -> Arc<dyn Projection> {
    runner::all().into_iter().find(|projection| projection.name() == name).unwrap()
}

/// Follows the log to its end with every projection.
pub(crate) async fn catch_up(pool: &PgPool) {
    for projection in runner::all() {
        loop {
            match step(pool, projection.name()).await {
                Step::Moved { .. } | Step::Led(_) => {}
                Step::CaughtUp(_) => break,
                Step::Halted(obstacle) => panic!("{obstacle}"),
                Step::Paused(_) => panic!("nobody has it stand still"),
            }
        }
    }
}
