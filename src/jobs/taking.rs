//! How jobs are taken from the queue: several with one question, soon after they are given or may be done, and never
//! kept by a node that has no time for them.

use std::sync::Arc;
use std::time::Duration;

use graphile_worker::local_queue::{LocalQueueConfig, RefetchDelayConfig};
use graphile_worker::{
    Job, JobComplete, JobFail, JobPermanentlyFail, LocalQueueGetJobsComplete, WorkerOptions,
};
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

/// How often the queue is looked at besides when it is told of: jobs whose time has come.
const POLL: Duration = Duration::from_secs(1);
/// How long what was taken ahead waits here for somebody who has time; then another node may take it.
///
/// It bounds a fault of the library's as well (0.14.1, found under load): where somebody takes what was just fetched
/// before the fetch is said to be over, the worker waits for what is there to be taken, and nothing is, until this time
/// is over.
const AHEAD: Duration = Duration::from_millis(250);
/// How far the end of that time and other jobs' coming are kept apart.
///
/// The timer of what was taken before is aborted by what comes next. Where it has just begun to give jobs back, the library
/// takes none any more until the process ends (0.14.1, read in its source and found under load).
const APART: Duration = Duration::from_millis(50);

/// Has jobs taken so many with one question, again at once when one is given or the one before it is done, and
/// otherwise once a second.
pub(super) fn together(worker: WorkerOptions, pool: &PgPool, most: usize) -> WorkerOptions {
    // Without the pause, whoever found nothing would ask again at once.
    let pause = RefetchDelayConfig::default().with_duration(POLL).with_max_abort_threshold(1);
    let ahead =
        LocalQueueConfig::default().with_size(most).with_ttl(AHEAD).with_refetch_delay(pause);
    let came = Arc::new(Mutex::new(None));
    let [done, failed, given_up] = [pool.clone(), pool.clone(), pool.clone()];
    worker
        .poll_interval(POLL)
        .local_queue(ahead)
        .on(LocalQueueGetJobsComplete, move |it| keep_apart(Arc::clone(&came), it.jobs_count))
        .on(JobComplete, move |it| tell_of_the_next(done.clone(), it.job))
        .on(JobFail, move |it| tell_of_the_next(failed.clone(), it.job))
        .on(JobPermanentlyFail, move |it| tell_of_the_next(given_up.clone(), it.job))
}

/// Holds jobs that were taken until the timer of those before them is surely over, or surely is not soon.
async fn keep_apart(came: Arc<Mutex<Option<Instant>>>, jobs: usize) {
    if jobs == 0 {
        return;
    }
    let mut came = came.lock().await;
    if let Some(before) = *came {
        let ends = before + AHEAD;
        if (ends - APART..ends + APART).contains(&Instant::now()) {
            sleep_until(ends + APART).await;
        }
    }
    *came = Some(Instant::now());
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
