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
use graphile_worker::{AfterJobRun, HookResult, JobStart, WorkerOptions};
use sqlx::PgPool;
use tokio::time::sleep;
use tracing::warn;

/// How often they are looked for. Whoever takes a job or ends one has as long for it: only what is unattended twice is
/// given back.
const LOOK: Duration = Duration::from_secs(5);

/// The jobs that somebody here is at.
#[derive(Clone, Default)]
pub(super) struct Attended(Arc<Mutex<HashSet<i64>>>);

/// A job, and when it was taken.
type Taken = (i64, DateTime<Utc>);

impl Attended {
    /// Has it know of what the worker begins and ends.
    pub(super) fn of(&self, worker: WorkerOptions) -> WorkerOptions {
        let (begun, ended) = (self.clone(), self.clone());
        worker
            .on(JobStart, move |it| {
                begun.lock().insert(*it.job.id());
                std::future::ready(())
            })
            .on(AfterJobRun, move |it| {
                ended.lock().remove(it.job.id());
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

    fn lock(&self) -> MutexGuard<'_, HashSet<i64>> {
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
        // Whoever ended one meanwhile is found by the next look.
        let attended = self.lock();
        Ok(taken.into_iter().filter(|(job, _)| !attended.contains(job)).collect())
    }
}

/// What was taken and not attended to was not tried.
async fn give_back(pool: &PgPool, worker: &str, jobs: &[Taken]) -> sqlx::Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    let (ids, times): (Vec<_>, Vec<_>) = jobs.iter().copied().unzip();
    let given = sqlx::query(
        "with jobs as (
             update graphile_worker._private_jobs jobs
             set locked_by = null, locked_at = null, attempts = greatest(attempts - 1, 0)
             from unnest($2::bigint[], $3::timestamptz[]) taken (id, locked_at)
             where jobs.id = taken.id and jobs.locked_at = taken.locked_at and locked_by = $1
             returning jobs.job_queue_id
         ), queues as (
             update graphile_worker._private_job_queues set locked_by = null, locked_at = null
             where locked_by = $1 and id in (select job_queue_id from jobs)
         )
         select pg_notify('jobs:insert', '') from jobs limit 1",
    );
    given.bind(worker).bind(ids).bind(times).execute(pool).await?;
    warn!(jobs = jobs.len(), "jobs that nobody was at were given back");
    Ok(())
}
