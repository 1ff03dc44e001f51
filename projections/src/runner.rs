//! Keeping all read models close to the log, on any number of nodes.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use sqlx::{FromRow, PgConnection, PgPool, Row};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, warn};

use crate::journal::{self, JournalError, Unseal};
use crate::projector::{Projection, Step, step};
use crate::tail::Tail;

/// How often the log is looked at when this node's writer says nothing: other nodes write, too.
const POLL: Duration = Duration::from_millis(50);
/// The pause between turns, in which events gather, unless a reader waits for them. An event that
/// comes after a quiet moment is projected at once. In a busy log a turn has a fixed cost of some
/// ten round trips, and what several events change in one row is written once: what gathers longer
/// costs less, and stays fresh enough, half of the quarter of a second that is allowed.
const GATHER: Duration = Duration::from_millis(100);
/// The pause between turns while readers wait.
const HURRIED: Duration = Duration::from_millis(20);
/// The pause after a failure, which doubles each time up to the longest.
const RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// The pause after which an event that cannot be projected is tried again: the node that is first
/// to try may run a version of Saldo that can.
const RETRY_HALTED: Duration = Duration::from_secs(10);
/// How often a projection that stands still looks whether it is to go on.
const LOOK: Duration = Duration::from_millis(500);

/// How far a projection is behind the log.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Lag {
    /// Whose.
    pub name: String,
    /// Where it is.
    pub position: i64,
    /// How many events it has not seen.
    pub events: i64,
    /// For how long it has not seen the first of them.
    pub milliseconds: i64,
    /// The position that it cannot get past, where there is one.
    pub halted: Option<i64>,
    /// Why it cannot.
    pub error: Option<String>,
    /// Since when it cannot.
    pub halted_at: Option<DateTime<Utc>>,
    /// Since when an administrator has it stand still.
    pub paused_at: Option<DateTime<Utc>>,
}

/// Every projection there is.
#[must_use]
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(crate::balances::Balances),
        Arc::new(crate::transactions::Transactions),
        Arc::new(crate::usage::Usage),
        Arc::new(crate::users::Users),
        Arc::new(crate::billing::Billing),
        Arc::new(crate::chats::Chats),
    ]
}

/// This node's projections.
#[derive(Clone)]
pub struct Runner {
    models: BTreeMap<&'static str, Model>,
}

#[derive(Clone)]
struct Model {
    /// The last position that it has seen.
    reached: watch::Receiver<i64>,
    /// How many readers wait for more.
    readers: Arc<watch::Sender<usize>>,
}

/// One who waits; gone when dropped.
struct Reader<'a>(&'a watch::Sender<usize>);

impl<'a> Reader<'a> {
    fn waiting(readers: &'a watch::Sender<usize>) -> Self {
        readers.send_modify(|count| *count += 1);
        Self(readers)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Runner {
    /// Starts one task for each projection. `tail` is what this node's writer appends; the tasks
    /// end when `stop` turns true, each after the step that it is in.
    #[must_use]
    pub fn start(
        pool: &PgPool,
        unseal: &Arc<dyn Unseal>,
        tail: &Tail,
        stop: &watch::Receiver<bool>,
    ) -> Self {
        let watching = watch_head(pool.clone(), tail.clone(), stop.clone());
        #[expect(clippy::disallowed_methods, reason = "ends when `stop` turns true")]
        tokio::spawn(watching);
        let mut models = BTreeMap::new();
        for projection in all() {
            let (sender, reached) = watch::channel(0);
            let (readers, hurry) = watch::channel(0);
            models.insert(projection.name(), Model { reached, readers: Arc::new(readers) });
            let follower = Follower {
                pool: pool.clone(),
                db: None,
                projection,
                unseal: Arc::clone(unseal),
                tail: tail.clone(),
                head: tail.heads(),
                hurry,
                stop: stop.clone(),
                reached: sender,
                failures: 0,
            };
            #[expect(clippy::disallowed_methods, reason = "ends when `stop` turns true")]
            tokio::spawn(follower.run());
        }
        Self { models }
    }

    /// Waits until the projection has seen `position`, whichever node projects; no, when it did
    /// not within `patience`.
    pub async fn reached(&self, name: &str, position: i64, patience: Duration) -> bool {
        let Some(model) = self.models.get(name) else { return false };
        let mut reached = model.reached.clone();
        if *reached.borrow() >= position {
            return true;
        }
        let _reader = Reader::waiting(&model.readers);
        let waiting = reached.wait_for(|at| *at >= position);
        matches!(timeout(patience, waiting).await, Ok(Ok(_)))
    }

    /// Waits until the projection stands elsewhere than at `position`; hurries nobody.
    pub async fn moved_from(&self, name: &str, position: i64) {
        let Some(model) = self.models.get(name) else { return };
        // An error is a projection that ends: so does whoever waits for it.
        let _ = model.reached.clone().wait_for(|at| *at != position).await;
    }

    /// Waits until every task has ended; only after `stop` was told.
    pub async fn ended(&self) {
        for model in self.models.values() {
            let mut reached = model.reached.clone();
            while reached.changed().await.is_ok() {}
        }
    }
}

/// Tells the tail how long the log is, unless this node's writer has just done so: other nodes
/// write, too. It does not wait for the writer, which would wake it with every batch.
async fn watch_head(pool: PgPool, tail: Tail, mut stop: watch::Receiver<bool>) {
    let mut heads = tail.heads();
    loop {
        tokio::select! {
            () = sleep(POLL) => {}
            () = told(&mut stop) => return,
        }
        // An error is a tail that is gone, and this one is not.
        if !heads.has_changed().unwrap_or(false) {
            match journal::head(&pool).await {
                Ok(position) => tail.grown(position),
                Err(error) => warn!(error = %error, "the end of the log could not be read"),
            }
        }
        heads.mark_unchanged();
    }
}

async fn told(stop: &mut watch::Receiver<bool>) {
    // An error is a node that is gone: so are we.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// What follows a turn.
enum Next {
    /// Another turn, at once.
    Now,
    /// Another turn when the log has something after this position, and a little has gathered.
    Beyond(i64),
    /// Another turn after this long.
    After(Duration),
}

struct Follower {
    pool: PgPool,
    /// A connection of its own, whose plans and caches stay warm; none after a failure.
    db: Option<PgConnection>,
    projection: Arc<dyn Projection>,
    unseal: Arc<dyn Unseal>,
    tail: Tail,
    head: watch::Receiver<i64>,
    /// How many readers wait.
    hurry: watch::Receiver<usize>,
    stop: watch::Receiver<bool>,
    reached: watch::Sender<i64>,
    /// Turns in a row that failed.
    failures: u32,
}

impl Follower {
    async fn run(mut self) {
        let mut stop = self.stop.clone();
        while !*stop.borrow() {
            let began = Instant::now();
            let next = self.turn().await;
            let pause = async {
                match next {
                    Next::Now => {}
                    Next::Beyond(position) => {
                        sleep(began.elapsed().clamp(HURRIED, GATHER)).await;
                        let gathering = self.hurry.wait_for(|readers| *readers > 0);
                        // Either end of it is as good.
                        let _ = timeout(GATHER.saturating_sub(began.elapsed()), gathering).await;
                        // An error is a runner that ends: so do we.
                        let _ = self.head.wait_for(|head| *head > position).await;
                    }
                    Next::After(pause) => sleep(pause).await,
                }
            };
            tokio::select! {
                () = pause => {}
                () = told(&mut stop) => return,
            }
        }
    }

    async fn turn(&mut self) -> Next {
        let name = self.projection.name();
        // A panic would end this projection silently, while everything else goes on.
        let step = match AssertUnwindSafe(self.step()).catch_unwind().await {
            Ok(Ok(step)) => step,
            Ok(Err(error)) => return self.failed(&error.to_string()),
            Err(_) => return self.failed("it panicked"),
        };
        self.failures = 0;
        let (position, next) = match step {
            Step::Moved { position, full: true } => (position, Next::Now),
            Step::Moved { position, .. } | Step::CaughtUp(position) | Step::Led(position) => {
                (position, Next::Beyond(position))
            }
            Step::Paused(position) => (position, Next::After(LOOK)),
            Step::Halted(obstacle) => {
                error!(projection = name, error = %obstacle, "a projection has halted");
                (obstacle.position() - 1, Next::After(RETRY_HALTED))
            }
        };
        // What the database says, even where a crash has taken it back.
        self.reached.send_if_modified(|at| std::mem::replace(at, position) != position);
        next
    }

    fn failed(&mut self, error: &str) -> Next {
        warn!(projection = self.projection.name(), error, "a projection failed; trying again");
        let pause = RETRY * 2_u32.saturating_pow(self.failures.min(6));
        self.failures += 1;
        Next::After(pause.min(LONGEST_RETRY))
    }

    async fn step(&mut self) -> Result<Step, JournalError> {
        // What fails, or panics, in the middle leaves a connection in an unknown state: it is gone.
        let mut db = match self.db.take() {
            Some(db) => db,
            None => self.pool.acquire().await?.detach(),
        };
        let step = step(&mut db, &*self.projection, &*self.unseal, &self.tail).await?;
        self.db = Some(db);
        Ok(step)
    }
}

/// How far each projection is behind the log, and where the log ends.
pub async fn lag(pool: &PgPool) -> sqlx::Result<(i64, Vec<Lag>)> {
    let rows = sqlx::query(
        // The subquery stays a look-up by index; a join may be planned as a reading of the whole log.
        "select h.position as head, c.name, c.position, c.halted, c.error, c.halted_at, c.paused_at,
             greatest(h.position - c.position, 0) as events,
             greatest(coalesce((extract(epoch from clock_timestamp() - (
                 select e.recorded_at from public.events e where e.position = c.position + 1 limit 1
             )) * 1000)::bigint, 0), 0) as milliseconds
         from projections.checkpoints c
         cross join public.log_head h
         order by c.name collate \"C\"",
    )
    .fetch_all(pool)
    .await?;
    let head = rows.first().map_or(Ok(0), |row| row.try_get("head"))?;
    Ok((head, rows.iter().map(Lag::from_row).collect::<sqlx::Result<_>>()?))
}
