//! Jobs that are marked as taken by a worker though nobody there is at them: given back, so that they are done.
//!
//! They are left where a connection is lost: with the answer to who took them, or with the word that they are done. The
//! library logs either and goes on (0.14.1, where it is asked to run what there is), and since the worker lives, nobody
//! takes its jobs from it.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use graphile_worker::{AfterJobRun, HookResult, Job, JobStart, WorkerOptions};
use sqlx::PgPool;
use tokio::time::sleep;
use tracing::warn;

/// How often they are looked for. Whoever takes a job or ends one has as long for it: only what is unattended twice is
/// given back.
const LOOK: Duration = Duration::from_secs(10);

/// A job, and when it was taken: it may be taken from who is slow, and by them again.
type Taken = (i64, DateTime<Utc>);

/// The jobs that somebody here is at.
#[derive(Clone, Default)]
pub(super) struct Attended(Arc<Mutex<HashSet<Taken>>>);

impl Attended {
    /// Has the worker tell of what it begins and ends.
    pub(super) fn told_by(&self, worker: WorkerOptions) -> WorkerOptions {
        let (begun, ended) = (self.clone(), self.clone());
        worker
            .on(JobStart, move |it| {
                begun.lock().extend(taken(&it.job));
                std::future::ready(())
            })
            .on(AfterJobRun, move |it| {
                taken(&it.job).map(|job| ended.lock().remove(&job));
                std::future::ready(HookResult::Continue)
            })
    }

    /// Gives back what stays unattended.
    pub(super) async fn look_after(&self, pool: &PgPool, worker: &str) -> Infallible {
        let mut before = HashSet::new();
        loop {
            sleep(LOOK).await;
            let looked = async {
                let now = self.unattended(pool, worker).await?;
                let still: Vec<_> = now.intersection(&before).copied().collect();
                before = now;
                give_back(pool, worker, &still).await
            };
            if let Err(error) = looked.await {
                // The next look finds it.
                warn!(%error, "what nobody is at could not be given back");
            }
        }
    }

    /// Gives back whatever is unattended now.
    pub(super) async fn leave(&self, pool: &PgPool, worker: &str) -> sqlx::Result<()> {
        let left: Vec<_> = self.unattended(pool, worker).await?.into_iter().collect();
        give_back(pool, worker, &left).await
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Taken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn unattended(&self, pool: &PgPool, worker: &str) -> sqlx::Result<HashSet<Taken>> {
        let taken: Vec<Taken> = sqlx::query_as(
            "select id, locked_at from graphile_worker._private_jobs
             where locked_by = $1 and locked_at is not null",
        )
        .bind(worker)
        .fetch_all(pool)
        .await?;
        // What was ended meanwhile looks unattended, once.
        let attended = self.lock();
        Ok(taken.into_iter().filter(|job| !attended.contains(job)).collect())
    }
}

fn taken(job: &Job) -> Option<Taken> {
    job.locked_at().map(|at| (*job.id(), at))
}

/// Each has been tried once more, as when its node dies: it may have been done, and what was replaced meanwhile stays so.
///
/// A queue stays taken where the word that a job of it is done came late, when the job was somebody else's by then: it is
/// taken and freed together with its job, so that without one nobody is at it.
///
/// Whoever looks for jobs finds them within a second.
async fn give_back(pool: &PgPool, worker: &str, jobs: &[Taken]) -> sqlx::Result<()> {
    let (ids, times): (Vec<_>, Vec<_>) = jobs.iter().copied().unzip();
    let given = sqlx::query_as(
        "with given_back as (
             update graphile_worker._private_jobs jobs set locked_by = null, locked_at = null
             from unnest($2::bigint[], $3::timestamptz[]) taken (id, locked_at)
             where jobs.id = taken.id and jobs.locked_at = taken.locked_at and locked_by = $1
             returning jobs.job_queue_id
         ), freed as (
             update graphile_worker._private_job_queues queue set locked_by = null, locked_at = null
             where locked_by = $1 and (id in (select job_queue_id from given_back)
                 or locked_at < now() - interval '1 minute' and not exists (
                     select from graphile_worker._private_jobs jobs
                     where jobs.job_queue_id = queue.id and jobs.locked_by = $1))
             returning id
         )
         select (select count(*) from given_back), (select count(*) from freed)",
    );
    let given = given.bind(worker).bind(ids).bind(times);
    let (jobs, queues): (i64, i64) = given.fetch_one(pool).await?;
    if jobs + queues > 0 {
        warn!(jobs, queues, "what nobody was at was given back");
    }
    Ok(())
}
