//! How jobs are taken from the queue: by as many as may work at once, each of whom takes the next one when one is done;
//! soon after they are given or may be done; and none that nobody has time for.
//!
//! The library's own loops are not used for it. One has everybody who may work ask the database whenever anything is given,
//! on all nodes. The other takes several jobs with one question and keeps them for whoever has time, and at times (0.14.1)
//! takes none any more: where what was just taken is done before it is noted, and for ever where jobs come just when those
//! before them would have been given back.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use graphile_worker::{JobStart, Worker, WorkerOptions, WorkerShutdown};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::warn;

use super::unattended::Attended;

/// How often the queue is looked at besides when it is told of: jobs whose time has come.
const POLL: Duration = Duration::from_secs(1);
/// How often the library's loop takes a job itself, beside when it starts: never, since an error of it ends the worker. It
/// runs for what it does besides: it says that this node is alive, has done again what dead ones had taken, and gives what
/// the calendar asks for.
const NEVER: Duration = Duration::from_hours(24 * 365);
/// How long a question to the database usually goes on that nobody waits for any more. What a longer one takes comes back
/// with what the dead leave.
const SETTLED: Duration = Duration::from_millis(100);
/// Where the library tells of jobs that were given.
const GIVEN: &str = "jobs:insert";

/// Who takes the jobs of a worker.
pub(super) struct Hands {
    pool: PgPool,
    /// How many work at once.
    most: usize,
    /// There may be a job: one was given, or there was another.
    may_be: Arc<Notify>,
    /// The worker is to stop.
    stops: Arc<Notify>,
    /// Whether everybody has stopped: until then, the worker is not signed off.
    at_rest: watch::Sender<bool>,
    attended: Attended,
}

/// A worker whose jobs are taken by so many hands.
pub(super) fn by_hands(
    worker: WorkerOptions,
    pool: &PgPool,
    most: usize,
) -> (WorkerOptions, Hands) {
    let (at_rest, resting) = watch::channel(false);
    let (may_be, stops) = <(Arc<Notify>, Arc<Notify>)>::default();
    let attended = Attended::default();
    let (found, stop) = (Arc::clone(&may_be), Arc::clone(&stops));
    let worker = attended
        .told_by(worker)
        .concurrency(1)
        .poll_interval(NEVER)
        .use_notification_delivery(false)
        .on(JobStart, move |_| {
            found.notify_one();
            std::future::ready(())
        })
        .on(WorkerShutdown, move |_| {
            stop.notify_one();
            let mut resting = resting.clone();
            // An error is hands that are gone: they rest.
            async move { drop(resting.wait_for(|at_rest| *at_rest).await) }
        });
    (worker, Hands { pool: pool.clone(), most, may_be, stops, at_rest, attended })
}

impl Hands {
    /// Works until the worker is told to stop, and what it is at is done or given up.
    pub(super) async fn work(self, worker: Worker) -> Result<(), String> {
        let worker = Arc::new(worker);
        let run = async {
            let ran = worker.run().await;
            self.stops.notify_one();
            ran
        };
        let take = async {
            let mut at_work = JoinSet::new();
            tokio::select! {
                () = self.stops.notified() => {}
                never = self.take(&worker, &mut at_work) => match never {},
                never = self.hear() => match never {},
                never = self.attended.look_after(&self.pool, worker.worker_id()) => match never {},
            }
            worker.request_shutdown();
            // Whoever ends a job of a queue would take another all the same: there is none that they could take any more.
            std::mem::take(&mut *worker.task_details().write().await);
            while at_work.join_next().await.is_some() {}
            self.leave(&worker).await;
            self.at_rest.send_replace(true);
        };
        let (ran, ()) = tokio::join!(run, take);
        ran.map_err(|error| error.to_string())
    }

    /// Sends somebody whenever there may be a job. Whoever finds one has the next one sent.
    async fn take(&self, worker: &Arc<Worker>, at_work: &mut JoinSet<()>) -> Infallible {
        let mut look = interval(POLL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_due = false;
        loop {
            tokio::select! {
                () = self.may_be.notified() => is_due = true,
                _ = look.tick() => is_due = true,
                Some(ended) = at_work.join_next() => if let Err(error) = ended {
                    warn!(%error, "who took jobs has ended with what it was at");
                },
            }
            if is_due && at_work.len() < self.most {
                is_due = false;
                let worker = Arc::clone(worker);
                at_work.spawn(async move {
                    if let Err(error) = worker.run_once().await {
                        warn!(%error, "jobs could not be taken");
                    }
                });
            }
        }
    }

    /// Hears of jobs that are given. While it cannot, they are found by looking.
    async fn hear(&self) -> Infallible {
        loop {
            let Err(error) = self.hear_while_connected().await;
            warn!(%error, "jobs that are given are not heard of");
            sleep(POLL).await;
        }
    }

    async fn hear_while_connected(&self) -> sqlx::Result<Infallible> {
        let mut given = PgListener::connect_with(&self.pool).await?;
        given.listen(GIVEN).await?;
        loop {
            // None: the connection was lost, and is there again. What was given meanwhile was not heard of.
            given.try_recv().await?;
            self.may_be.notify_one();
        }
    }

    /// Gives back what was taken at the moment at which the worker stopped, and nobody has begun: whoever asks for a job
    /// then does not wait for the answer.
    async fn leave(&self, worker: &Worker) {
        sleep(SETTLED).await;
        if let Err(error) = self.attended.leave(&self.pool, worker.worker_id()).await {
            // The next one finds it with what the dead leave.
            warn!(%error, "what was taken could not be given back");
        }
    }
}
