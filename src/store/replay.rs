//! The second reader of the log: an unmodified postgres-es repository replays one stream.
//!
//! Its sqlx is another than ours, with a pool of its own. It can lose its connection and end early
//! without a word, so what it read is counted against the log.

use cqrs_es::EventEnvelope;
use cqrs_es::persist::{PersistedEventRepository, PersistenceError};
use postgres_es::PostgresEventRepository;
use sqlx_of_postgres_es::postgres::PgPoolOptions;
use uuid::Uuid;

use super::Stored;

/// Why a stream could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The second reader has no connection.
    #[error("the database could not be reached")]
    Unreachable(#[from] sqlx_of_postgres_es::Error),
    /// The second reader could not read an event.
    #[error("the stream could not be read: {0}")]
    Unreadable(String),
    /// The log could not be asked how long the stream is.
    #[error("the log could not be read")]
    Database(#[from] sqlx::Error),
    /// The second reader did not see what the log has.
    #[error("{read} events were read, and the log has {recorded}")]
    Incomplete { read: i64, recorded: i64 },
}

impl From<PersistenceError> for ReplayError {
    fn from(error: PersistenceError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// An aggregate as the second reader sees it.
#[derive(Clone, Debug)]
pub struct Replayed<A> {
    /// The aggregate after all of its events; personal data stays hidden.
    pub state: A,
    /// How many they are.
    pub events: i64,
}

/// Replays a stream; `each` is shown every event and its place in the stream, in order.
///
/// `url` names the database that `db` is connected to; a socket's folder goes as `?host=/folder`.
pub async fn replay<A: Stored>(
    db: &sqlx::PgPool,
    url: &str,
    id: impl Into<Uuid>,
    mut each: impl FnMut(i64, &A::Event),
) -> Result<Replayed<A>, ReplayError> {
    let id = id.into().to_string();
    let pool = PgPoolOptions::new().max_connections(1).connect(url).await?;
    let before = recorded::<A>(db, &id).await?;
    let repository = PostgresEventRepository::new(pool.clone());
    let mut stream = repository.stream_events::<A>(&id).await?;
    let mut replayed = Replayed { state: A::default(), events: 0 };
    while let Some(event) = stream.next::<A>(&[]).await {
        let EventEnvelope { payload, .. } = event?;
        replayed.events += 1;
        each(replayed.events, &payload);
        replayed.state.apply(payload);
    }
    pool.close().await;
    // Others may write meanwhile.
    let (read, recorded) = (replayed.events, recorded::<A>(db, &id).await?);
    if (before..=recorded).contains(&read) {
        Ok(replayed)
    } else {
        Err(ReplayError::Incomplete { read, recorded })
    }
}

/// How long the log says the stream is.
async fn recorded<A: Stored>(db: &sqlx::PgPool, id: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) from public.events where aggregate_type = $1 and aggregate_id = $2",
    )
    .bind(A::TYPE)
    .bind(id)
    .fetch_one(db)
    .await
}
