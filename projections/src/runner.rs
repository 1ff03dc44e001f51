//! Keeping all read models close to the log, on any number of nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgPool, Row};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::journal::Unseal;
use crate::projector::{Projection, Step, step};

/// How often the log is looked at when nobody says that it grew: other nodes write, too.
const POLL: Duration = Duration::from_millis(50);
/// The pause after a failure, and while somebody else leads or an operator is needed.
const PAUSE: Duration = Duration::from_millis(200);

/// How far a projection is behind the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Whose.
    pub name: String,
    /// Where it is.
    pub position: i64,
    /// How many events it has not seen.
    pub events: i64,
    /// For how long it has not seen the first of them.
    pub milliseconds: i64,
    /// Why it stands still, where an operator is needed.
    pub halted: Option<String>,
}

/// Every projection there is.
#[must_use]
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(crate::balances::Balances),
        Arc::new(crate::transactions::Transactions),
        Arc::new(crate::users::Users),
    ]
}

/// Where this node's projections are.
#[derive(Clone)]
pub struct Runner {
    reached: BTreeMap<&'static str, watch::Receiver<i64>>,
}

impl Runner {
    /// Starts one task for each projection. `head` is told the end of the log by this node's
    /// writer; the tasks end when `stop` turns true.
    #[must_use]
    pub fn start(
        pool: &PgPool,
        unseal: &Arc<dyn Unseal>,
        head: &watch::Receiver<i64>,
        stop: &watch::Receiver<bool>,
    ) -> Self {
        let mut reached = BTreeMap::new();
        for projection in all() {
            let (sender, receiver) = watch::channel(0);
            reached.insert(projection.name(), receiver);
            let follower = Follower {
                pool: pool.clone(),
                projection,
                unseal: Arc::clone(unseal),
                head: head.clone(),
                reached: sender,
            };
            let mut stop = stop.clone();
            #[expect(clippy::disallowed_methods, reason = "ends when `stop` turns true")]
            tokio::spawn(async move {
                tokio::select! {
                    () = follower.run() => {}
                    _ = stop.wait_for(|stop| *stop) => {}
                }
            });
        }
        Self { reached }
    }

    /// Waits until the projection has seen `position`; no, when it did not within `patience`.
    pub async fn reached(
        &self,
        pool: &PgPool,
        name: &str,
        position: i64,
        patience: Duration,
    ) -> sqlx::Result<bool> {
        let Some(reached) = self.reached.get(name) else { return Ok(false) };
        let mut reached = reached.clone();
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).min(PAUSE);
            if timeout(left, reached.wait_for(|at| *at >= position))
                .await
                .is_ok_and(|at| at.is_ok())
            {
                return Ok(true);
            }
            // Another node may lead.
            let at: i64 =
                sqlx::query_scalar("select position from projections.checkpoints where name = $1")
                    .bind(name)
                    .fetch_one(pool)
                    .await?;
            if at >= position || Instant::now() >= deadline {
                return Ok(at >= position);
            }
        }
    }
}

struct Follower {
    pool: PgPool,
    projection: Arc<dyn Projection>,
    unseal: Arc<dyn Unseal>,
    head: watch::Receiver<i64>,
    reached: watch::Sender<i64>,
}

impl Follower {
    async fn run(mut self) {
        loop {
            self.head.mark_unchanged();
            match self.step().await {
                Ok(Step::Moved(position)) => {
                    self.reached.send_replace(position);
                }
                Ok(Step::CaughtUp(position)) => {
                    self.reached.send_replace(position);
                    // Errors are time-outs, or a writer that is gone: look again.
                    let _ = timeout(POLL, self.head.changed()).await;
                }
                Ok(Step::Led | Step::Halted(_)) => tokio::time::sleep(PAUSE).await,
                Err(error) => {
                    warn!(error = %error, projection = self.projection.name(), "a projection failed; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn step(&self) -> Result<Step, crate::journal::JournalError> {
        let mut db = self.pool.acquire().await?;
        step(&mut db, &*self.projection, &*self.unseal).await
    }
}

/// How far each projection is behind the log, and where the log ends.
pub async fn lag(pool: &PgPool) -> sqlx::Result<(i64, Vec<Lag>)> {
    let rows = sqlx::query(
        "select h.position as head, c.name, c.position, c.halted,
             greatest(h.position - c.position, 0) as events,
             coalesce((extract(epoch from clock_timestamp() - e.recorded_at) * 1000)::bigint, 0)
                 as milliseconds
         from projections.checkpoints c
         cross join public.log_head h
         left join public.events e on e.position = c.position + 1
         order by c.name collate \"C\"",
    )
    .fetch_all(pool)
    .await?;
    let head = rows.first().map_or(Ok(0), |row| row.try_get("head"))?;
    let lags = rows
        .iter()
        .map(|row| {
            Ok(Lag {
                name: row.try_get("name")?,
                position: row.try_get("position")?,
                events: row.try_get("events")?,
                milliseconds: row.try_get("milliseconds")?,
                halted: row.try_get("halted")?,
            })
        })
        .collect::<sqlx::Result<_>>()?;
    Ok((head, lags))
}
