//! Work with retries, in the database's own queue: any number of nodes take it, and what a node that
//! dies had taken is taken again. What waits for Stripe, for AI providers, or for customers' own systems,
//! is worked on apart, so that it keeps nobody's mail waiting.

mod billing;
mod calls;
mod chats;
mod given;
mod messages;
mod read_models;
mod recharge;
mod sweep;
mod taking;
mod traced;
mod unattended;
mod verifications;
mod webhooks;

use std::time::Duration;

use graphile_worker::{
    Cron, CronBuilder, Crontab, CrontabTimerError, TaskHandler, Worker, WorkerOptions,
};
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::warn;

use crate::app::App;

pub use messages::Messages;

use taking::Hands;
use traced::Traced;

/// Jobs that a worker works on at once; most of them wait for others.
const AT_ONCE: usize = 8;
/// Replies that are made at once: each waits for its provider nearly all of its time.
const REPLIES_AT_ONCE: usize = 128;
/// The same of calls that nobody waits for: fewer, so that they leave room at the provider.
const CALLS_AT_ONCE: usize = 32;
/// Endpoints of webhooks that are sent to at once: each may take its time, and holds no connection to
/// the database meanwhile.
const ENDPOINTS_AT_ONCE: usize = 32;
/// Connections of a worker: one listens, the others take jobs and say how they ended.
const CONNECTIONS: u32 = 3;
/// How long after a failure another worker follows.
const RETRY: Duration = Duration::from_secs(1);
/// How long a job may go on when the node is told to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How often a node says that it is alive, and after how long of silence its jobs are taken again.
const HEARTBEAT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_mins(1);
/// How long what a node had taken waits that is dead, or has stopped before it was done: should it be what ends nodes,
/// they do not all end at once.
const AFTER_DEATH: Duration = Duration::from_secs(5);

/// Why jobs cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    /// The queue could not be set up.
    #[error("the queue of jobs could not be set up: {0}")]
    Queue(String),
}

/// Brings the queue's own tables up to date.
pub async fn migrate(pool: &PgPool) -> Result<(), JobsError> {
    let options = WorkerOptions::default().pg_pool(pool.clone()).listen_os_shutdown_signals(false);
    options.init().await.map(drop).map_err(|error| JobsError::Queue(error.to_string()))
}

/// Whose the work is: each has a worker of its own.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// Messages, what is swept, read models that are built anew, and verifications.
    House,
    /// What is asked of Stripe, and what follows from it.
    Stripe,
    /// Replies in chats.
    Chats,
    /// What customers' own systems are told.
    Webhooks,
    /// AI calls that nobody waits for.
    Calls,
}

impl Work {
    /// How much of it is done at once.
    fn at_once(self) -> usize {
        match self {
            Self::House | Self::Stripe => AT_ONCE,
            Self::Chats => REPLIES_AT_ONCE,
            Self::Webhooks => ENDPOINTS_AT_ONCE,
            Self::Calls => CALLS_AT_ONCE,
        }
    }

    /// The jobs that it has.
    fn define(self, worker: WorkerOptions) -> Result<WorkerOptions, JobsError> {
        Ok(match self {
            Self::House => worker
                .define_job::<Traced<messages::SendLetter>>()
                .define_job::<Traced<messages::SendText>>()
                .define_job::<Traced<sweep::Sweep>>()
                .define_job::<Traced<read_models::Rebuild>>()
                .define_job::<Traced<verifications::Verify>>()
                .with_cron(by_itself::<sweep::Sweep>(Cron::daily_at(3, 17))?),
            Self::Chats => worker.define_job::<Traced<chats::Reply>>(),
            Self::Stripe => worker
                .define_job::<Traced<billing::CreateCustomer>>()
                .define_job::<Traced<billing::DeleteCustomer>>()
                .define_job::<Traced<billing::SettleObject>>()
                .define_job::<Traced<billing::Refund>>()
                .define_job::<Traced<billing::WriteLetter>>()
                .define_job::<Traced<recharge::ChargeRecharge>>()
                .define_job::<Traced<billing::ListPack>>()
                .define_job::<Traced<billing::ListPlan>>()
                .define_job::<Traced<billing::Heal>>()
                .define_job::<Traced<billing::Reconcile>>()
                .with_cron(by_itself::<billing::Heal>(Cron::hourly_at(7))?)
                .with_cron(by_itself::<billing::Reconcile>(Cron::daily_at(4, 23))?),
            Self::Webhooks => worker.define_job::<Traced<webhooks::SendWebhooks>>(),
            Self::Calls => worker.define_job::<Traced<calls::MakeCall>>(),
        })
    }
}

/// Work that nobody asks for. It has nothing to say, which is not the same as no payload: that could
/// not be read.
fn by_itself<T: TaskHandler>(
    when: Result<CronBuilder<T>, CrontabTimerError>,
) -> Result<Crontab, JobsError> {
    let when = when.map_err(|error| JobsError::Queue(error.to_string()))?;
    Ok(when.payload_value(json!({})).build())
}

/// Runs jobs on this node until `stop` turns true.
pub async fn run(
    app: App,
    messages: Messages,
    options: PgConnectOptions,
    stop: watch::Receiver<bool>,
) {
    let work = |work| keep_working(work, &app, &messages, &options, stop.clone());
    tokio::join!(
        work(Work::House),
        work(Work::Stripe),
        work(Work::Chats),
        work(Work::Webhooks),
        work(Work::Calls)
    );
}

/// A worker that fails, since it lost the database, is followed by another.
async fn keep_working(
    work: Work,
    app: &App,
    messages: &Messages,
    options: &PgConnectOptions,
    mut stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        let worked = match worker(work, app, messages, options.clone(), stop.clone()).await {
            Ok((worker, hands)) => hands.work(worker).await,
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = worked {
            warn!(?work, error, "a worker of jobs failed; another one follows");
            // An error is a node that is gone: so are we.
            let _ = timeout(RETRY, stop.wait_for(|stop| *stop)).await;
        }
    }
}

async fn worker(
    work: Work,
    app: &App,
    messages: &Messages,
    options: PgConnectOptions,
    mut stop: watch::Receiver<bool>,
) -> Result<(Worker, Hands), JobsError> {
    // Of its own: what waits for a mail server must not keep requests waiting for a connection.
    let options = options.application_name("saldo jobs");
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect_lazy_with(options);
    let stopped = async move {
        // An error is a node that is gone: so are we.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let (worker, hands) = taking::by_hands(WorkerOptions::default(), &pool, work.at_once());
    let worker = worker
        .pg_pool(pool)
        .listen_os_shutdown_signals(false)
        .shutdown_signal(stopped)
        .shutdown_grace_period(GRACE)
        .shutdown_interrupted_job_retry_delay(AFTER_DEATH)
        .heartbeat_interval(HEARTBEAT)
        .sweep_interval(HEARTBEAT)
        .sweep_threshold(SILENCE)
        .recovery_delay(AFTER_DEATH)
        .add_extension(app.clone())
        .add_extension(messages.clone());
    let worker = work.define(worker)?.init().await;
    worker.map(|worker| (worker, hands)).map_err(|error| JobsError::Queue(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_read<T: TaskHandler>(when: Result<CronBuilder<T>, CrontabTimerError>) -> bool {
        let crontab = by_itself(when).expect("a time");
        serde_json::from_value::<T>(crontab.payload.expect("a payload")).is_ok()
    }

    #[test]
    fn work_that_nobody_asks_for_can_be_read() {
        assert!(is_read::<sweep::Sweep>(Cron::daily_at(3, 17)));
        assert!(is_read::<billing::Heal>(Cron::hourly_at(7)));
        assert!(is_read::<billing::Reconcile>(Cron::daily_at(4, 23)));
    }
}
