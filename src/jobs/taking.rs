//! How jobs are taken from the queue: by as many as may work at once, each of whom takes the next one when one is done;
//! soon after they are given or may be done; and none that nobody has time for.
//!
//! The library's own loops are not used for it. One has everybody who may work ask the database whenever anything is given,
//! on all nodes. The other takes several jobs with one question and keeps them for whoever has time, and at times (0.14.1)
//! takes none any more: where what was just taken is done before it is noted, and for ever where jobs come just when those
//! before them would have been given back.

use std::sync::Arc;
use std::time::Duration;

use graphile_worker::{
    Job, JobComplete, JobFail, JobPermanentlyFail, JobStart, Worker, WorkerOptions, WorkerShutdown,
};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::warn;

/// How often the queue is looked at besides when it is told of: jobs whose time has come.
const POLL: Duration = Duration::from_secs(1);
/// How often the library's loop takes a job itself. It runs for what it does besides: it says that this node is alive, has
/// done again what dead ones had taken, and gives what the calendar asks for.
const HARDLY_EVER: Duration = Duration::from_hours(1);
/// How long a question to the database goes on that nobody waits for any more, at most.
const SETTLED: Duration = Duration::from_millis(100);
/// Where the library tells of jobs that were given.
const GIVEN: &str = "jobs:insert";

/// Who takes the jobs of a worker.
pub(super) struct Hands {
    pool: PgPool,
    /// How many work at once.
    most: usize,
    /// A job was taken: there may be another.
    taken: Arc<Notify>,
    /// The worker is to stop.
    stops: Arc<Notify>,
    /// Whether everybody has stopped: until then, the worker says that it is alive.
    at_rest: watch::Sender<bool>,
}

/// A worker whose jobs are taken by so many hands.
pub(super) fn by_hands(
    worker: WorkerOptions,
    pool: &PgPool,
    most: usize,
) -> (WorkerOptions, Hands) {
    let (at_rest, resting) = watch::channel(false);
    let hands =
        Hands { pool: pool.clone(), most, taken: Arc::default(), stops: Arc::default(), at_rest };
    let (taken, stops) = (Arc::clone(&hands.taken), Arc::clone(&hands.stops));
    let [done, failed, given_up] = [pool.clone(), pool.clone(), pool.clone()];
    let worker = worker
        .concurrency(1)
        .poll_interval(HARDLY_EVER)
        .use_notification_delivery(false)
        .on(JobStart, move |_| {
            taken.notify_one();
            std::future::ready(())
        })
        .on(WorkerShutdown, move |_| {
            stops.notify_one();
            let mut resting = resting.clone();
            // An error is hands that are gone: they rest.
            async move { drop(resting.wait_for(|at_rest| *at_rest).await) }
        })
        .on(JobComplete, move |it| tell_of_the_next(done.clone(), it.job))
        .on(JobFail, move |it| tell_of_the_next(failed.clone(), it.job))
        .on(JobPermanentlyFail, move |it| tell_of_the_next(given_up.clone(), it.job));
    (worker, hands)
}

impl Hands {
    /// Works until the worker is told to stop, and what it is at is done or given up. An error is a database that is lost.
    pub(super) async fn work(self, worker: Worker) -> Result<(), String> {
        let worker = Arc::new(worker);
        let run = async {
            let ran = worker.run().await;
            self.stops.notify_one();
            ran
        };
        let take = async {
            let mut at_work = JoinSet::new();
            let took = self.take(&worker, &mut at_work).await;
            worker.request_shutdown();
            while at_work.join_next().await.is_some() {}
            self.give_back(&worker).await;
            self.at_rest.send_replace(true);
            took
        };
        let (ran, took) = tokio::join!(run, take);
        ran.map_err(|error| error.to_string())?;
        took.map_err(|error| error.to_string())
    }

    /// Sends somebody whenever there may be a job, until the worker stops. Whoever finds one has the next one sent.
    async fn take(&self, worker: &Arc<Worker>, at_work: &mut JoinSet<()>) -> sqlx::Result<()> {
        let mut given = PgListener::connect_with(&self.pool).await?;
        given.listen(GIVEN).await?;
        let mut look = interval(POLL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_due = false;
        loop {
            tokio::select! {
                () = self.stops.notified() => return Ok(()),
                () = self.taken.notified() => is_due = true,
                _ = look.tick() => is_due = true,
                told = given.recv() => {
                    told?;
                    while given.next_buffered().is_some() {}
                    is_due = true;
                }
                Some(_) = at_work.join_next() => {}
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

    /// Gives back what was taken at the moment at which the worker stopped, and nobody has begun: whoever asks for a job
    /// then does not wait for the answer.
    async fn give_back(&self, worker: &Worker) {
        sleep(SETTLED).await;
        let left = sqlx::query(
            "with jobs as (
                 update graphile_worker._private_jobs
                 set locked_by = null, locked_at = null, attempts = greatest(attempts - 1, 0)
                 where locked_by = $1
             )
             update graphile_worker._private_job_queues set locked_by = null, locked_at = null
             where locked_by = $1",
        );
        if let Err(error) = left.bind(worker.worker_id()).execute(&self.pool).await {
            // The next one finds it with what the dead leave.
            warn!(%error, "what was taken could not be given back");
        }
    }
}

/// Jobs of one queue are done one after the other, and the library tells nobody that the next may be done now.
async fn tell_of_the_next(pool: PgPool, ended: Arc<Job>) {
    let Some(queue) = *ended.job_queue_id() else { return };
    let told = sqlx::query(
        "select pg_notify('jobs:insert', '') where exists (
             select from graphile_worker._private_jobs
             where job_queue_id = $1 and is_available and run_at <= now())",
    );
    if let Err(error) = told.bind(queue).execute(&pool).await {
        // It is found when the queue is looked at again.
        warn!(%error, "nobody could be told of the job that follows");
    }
}
