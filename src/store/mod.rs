//! The write side: commands in, events in the log out.
//!
//! A command goes `execute` → its aggregate's queue (`executor`) → one unit of events → the one
//! writer (`appender`) → `append_events` in Postgres → the answer, with the position to wait for.

mod appender;
mod batch;
mod codec;
mod creation;
mod executor;
pub mod hash;
pub mod heads;
mod lane;
mod loading;
mod metrics;
mod owner;
pub mod replay;
mod stored;
mod traced;
mod unit;
mod wrapping;

use std::sync::Arc;

use aggregates::id::CommandId;
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use projections::tail::Tail;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

pub use appender::AppendError;
pub use codec::{Codec, CodecError, PersonKey, hex, open, place, seal, seal_value_with, seal_with};
pub use creation::{Created, Creation};
pub use lane::Lane;
pub use loading::LoadError;
pub use metrics::{Figures, Metrics};
pub use owner::owns_log;
pub use stored::Stored;
pub use unit::{Claimed, SideRow};
pub use wrapping::{KeyEncryptionKey, Wrapping, rewrap, wrapped_with};

use appender::Appender;
use stored::Lanes;

/// What stands beside an event in the log, besides what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The request that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Who asked: a person's id, or the name of a background process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// SHA-256 of the request, where the caller gave an idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<String>,
}

/// What goes with a command.
#[derive(Clone)]
pub struct Envelope {
    /// The command's id: the log accepts it once.
    pub command_id: CommandId,
    /// What stands beside its events.
    pub metadata: Metadata,
    /// Rows that live or die with its events.
    pub side: Vec<SideRow>,
    /// The key of a person who is not in the log yet.
    pub person_key: Option<PersonKey>,
}

impl Envelope {
    /// A command by this actor, under this id.
    #[must_use]
    pub fn new(command_id: CommandId, metadata: Metadata) -> Self {
        Self { command_id, metadata, side: vec![], person_key: None }
    }

    /// A command with an id of its own, which nobody can repeat.
    #[must_use]
    pub fn once(metadata: Metadata) -> Self {
        Self::new(CommandId(Uuid::now_v7()), metadata)
    }

    /// The same, with a row that lives or dies with its events.
    #[must_use]
    pub fn with(mut self, row: SideRow) -> Self {
        self.side.push(row);
        self
    }
}

/// What a command did: its events, and where the log has them.
#[derive(Clone, Debug)]
pub struct Outcome<A: Aggregate> {
    /// The command's events; none when there was nothing to do.
    pub events: Vec<A::Event>,
    /// The stream's length after them.
    pub version: i64,
    /// The position of the last of them, for `X-Event-Position`.
    pub position: i64,
    /// When the log took them.
    pub recorded_at: DateTime<Utc>,
    /// Whether this is the answer to an earlier request of the same command.
    pub replayed: bool,
}

/// Why a command did nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExecuteError<E> {
    /// The domain refuses.
    #[error(transparent)]
    Refused(E),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Somebody else has the address.
    #[error("the address is taken")]
    Claimed,
    /// The day's allowance is used up.
    #[error("the day's allowance is used up")]
    Spent,
    /// Too much is waiting; nothing was done.
    #[error("too many requests are waiting")]
    Busy,
    /// The log could not be reached. The command may have been done: the same id will tell.
    #[error("the log could not be reached")]
    Unavailable,
    /// Something broke; nothing was done.
    #[error("the command failed")]
    Failed(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl<E> ExecuteError<E> {
    /// The same failure, for another caller. A refusal is nobody else's.
    fn shared<F>(&self) -> ExecuteError<F> {
        match self {
            Self::KeyReused => ExecuteError::KeyReused,
            Self::Claimed => ExecuteError::Claimed,
            Self::Spent => ExecuteError::Spent,
            Self::Busy => ExecuteError::Busy,
            Self::Refused(_) | Self::Unavailable => ExecuteError::Unavailable,
            Self::Failed(error) => ExecuteError::Failed(Arc::clone(error)),
        }
    }
}

impl<E> From<LoadError> for ExecuteError<E> {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Database(error) => error.into(),
            error => Self::Failed(Arc::new(error)),
        }
    }
}

impl<E> From<sqlx::Error> for ExecuteError<E> {
    fn from(error: sqlx::Error) -> Self {
        if is_away(&error) { Self::Unavailable } else { Self::Failed(Arc::new(error)) }
    }
}

/// Whether the database cannot be reached, or not now: the same may do later. Classes 08, 53, 55, 57 and 58 are
/// connections, resources, locks, operators and the system.
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            ["08", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

impl<E> From<serde_json::Error> for ExecuteError<E> {
    fn from(error: serde_json::Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}

impl<E> From<CodecError> for ExecuteError<E> {
    fn from(error: CodecError) -> Self {
        Self::Failed(Arc::new(error))
    }
}

impl<E> From<AppendError> for ExecuteError<E> {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Busy => Self::Busy,
            AppendError::Unreachable => Self::Unavailable,
            AppendError::Refused(error) => Self::Failed(error),
        }
    }
}

/// The write side of one process; cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    pool: PgPool,
    codec: Codec,
    appender: Appender,
    metrics: Metrics,
    tail: Tail,
    lanes: Lanes,
}

impl Store {
    /// Starts the write side on a migrated database. `options` are for the writer's own connection.
    pub async fn start(
        pool: PgPool,
        options: PgConnectOptions,
        wrapping: Arc<dyn Wrapping>,
    ) -> Result<Self, sqlx::Error> {
        let position: i64 =
            sqlx::query_scalar("select position from log_head").fetch_one(&pool).await?;
        let tail = Tail::default();
        tail.grown(position);
        let metrics = Metrics::default();
        let appender = Appender::start(
            options.application_name("saldo appender"),
            tail.clone(),
            metrics.clone(),
        )?;
        let codec = Codec::new(pool.clone(), wrapping);
        let lanes = Lanes::default();
        Ok(Self(Arc::new(Inner { pool, codec, appender, metrics, tail, lanes })))
    }

    /// Executes a command on one aggregate, in order with all others on it. Whoever waits for it does the work, also of
    /// others who wait for the same aggregate: to keep it and not to poll it holds them up; to drop it does not.
    pub async fn execute<A: Stored>(
        &self,
        id: impl Into<Uuid>,
        envelope: Envelope,
        command: A::Command,
    ) -> Result<Outcome<A>, ExecuteError<A::Error>> {
        executor::execute(self, id.into(), envelope, command).await
    }

    /// What the log says a command did to this aggregate, whoever asked for it.
    pub async fn outcome_of<A: Stored>(
        &self,
        id: impl Into<Uuid>,
        command: CommandId,
    ) -> Result<Option<Outcome<A>>, LoadError> {
        let known = loading::known::<A>(self.pool(), self.codec(), id.into(), &[command.0]).await?;
        Ok(known.into_iter().map(|(_, known)| known.outcome).next())
    }

    /// What the log says a command did to this aggregate, where it knows the command.
    pub async fn known<A: Stored>(
        &self,
        id: impl Into<Uuid>,
        envelope: &Envelope,
    ) -> Result<Option<Outcome<A>>, ExecuteError<A::Error>> {
        executor::known(self, id.into(), envelope).await
    }

    /// The aggregate as the log has it now, read without the cache.
    pub async fn load<A: Stored>(&self, id: impl Into<Uuid>) -> Result<A, LoadError> {
        Ok(loading::load::<A>(self.pool(), self.codec(), id.into(), 0).await?.state)
    }

    /// Forgets what is kept in memory of an aggregate: the log is asked again.
    pub fn forget<A: Stored>(&self, id: impl Into<Uuid>) {
        A::lane(self).forget(id.into());
    }

    /// Several new aggregates in one unit.
    pub fn create(&self, envelope: Envelope) -> Creation<'_> {
        Creation::new(self, envelope)
    }

    /// The last position that this process wrote or heard of.
    #[must_use]
    pub fn head(&self) -> i64 {
        self.0.tail.head()
    }

    /// What this process has lately written.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.0.tail
    }

    /// What was counted since the process started.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// How many units of events wait for the writer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.appender.waiting()
    }

    /// Encrypts and decrypts personal data.
    #[must_use]
    pub fn codec(&self) -> &Codec {
        &self.0.codec
    }

    /// Connections for reading.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    fn appender(&self) -> &Appender {
        &self.0.appender
    }
}
