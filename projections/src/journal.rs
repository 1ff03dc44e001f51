//! Reading the log in its one order.

use std::error::Error;
use std::sync::Arc;

use aggregates::event::Event;
use aggregates::pii::SEALED;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, Row};
use uuid::Uuid;

/// An event as the log has it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its place in the log, from 1, without holes.
    pub position: i64,
    /// Its stream.
    pub aggregate_id: Uuid,
    /// Its place in its stream, from 1, without holes.
    pub sequence: i64,
    /// What happened.
    pub event: Event,
    /// When the log took it.
    pub recorded_at: DateTime<Utc>,
    /// The request that asked.
    pub request_id: Option<String>,
}

/// What stands in the way of whoever follows the log. It is never passed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// An event is missing: the log is damaged.
    #[error("the log has no event at position {0}")]
    Missing(i64),
    /// This version of Saldo cannot read the event.
    #[error("the event at position {position} cannot be read: {why}")]
    Unreadable { position: i64, why: String },
    /// The tables are not such that the event can have happened.
    #[error("the event at position {position} cannot be projected: {why}")]
    Unprojectable { position: i64, why: String },
}

impl Obstacle {
    /// The place in the log that cannot be passed.
    #[must_use]
    pub fn position(&self) -> i64 {
        match self {
            Self::Missing(position)
            | Self::Unreadable { position, .. }
            | Self::Unprojectable { position, .. } => *position,
        }
    }
}

/// Why the log could not be read; trying again may help.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The keys of an event could not be looked up.
    #[error("the personal data of the event at position {position} could not be decrypted: {why}")]
    Keys { position: i64, why: String },
}

/// Decrypts the personal data of an event's payload; this crate has no keys.
pub trait Unseal: Send + Sync {
    /// The payload in clear, as far as there are keys.
    fn unseal<'a>(
        &'a self,
        aggregate_type: &'a str,
        aggregate_id: Uuid,
        sequence: i64,
        payload: Value,
    ) -> BoxFuture<'a, Result<Value, Box<dyn Error + Send + Sync>>>;
}

/// A stretch of the log.
#[derive(Debug)]
pub struct Page {
    /// Its events; those of other streams than were asked for may be missing.
    pub recorded: Vec<Arc<Recorded>>,
    /// The last position of the stretch, asked for or not.
    pub last: i64,
    /// Why the stretch ends there, unless for its length or for the end of the log.
    pub obstacle: Option<Obstacle>,
}

/// Up to `limit` positions after `position`. Events of other aggregates than `streams` count, but
/// are not sent.
pub async fn read(
    db: &mut PgConnection,
    unseal: &dyn Unseal,
    streams: &[&str],
    position: i64,
    limit: i64,
) -> Result<Page, JournalError> {
    let (last, missing) = stretch(db, position, limit).await?;
    let obstacle = missing.map(Obstacle::Missing);
    if last == position {
        return Ok(Page { recorded: vec![], last, obstacle });
    }
    let rows = sqlx::query(
        // `is true` keeps the index by stream out of it: it would be read for the whole log.
        "select position, aggregate_type, aggregate_id, sequence, event_type, event_version,
             recorded_at, payload::text, metadata::text
         from public.events
         where position > $1 and position <= $2 and (aggregate_type = any ($3)) is true
         order by position",
    )
    .bind(position)
    .bind(last)
    .bind(streams)
    .fetch_all(db)
    .await?;
    let mut page = Page { recorded: Vec::with_capacity(rows.len()), last, obstacle };
    for row in &rows {
        let position = row.try_get(0)?;
        match decode(unseal, row).await? {
            Ok(recorded) => page.recorded.push(Arc::new(recorded)),
            Err(error) if is_passing(&*error) => {
                return Err(JournalError::Keys { position, why: chain(&*error) });
            }
            Err(error) => {
                page.last = position - 1;
                page.obstacle = Some(Obstacle::Unreadable { position, why: chain(&*error) });
                break;
            }
        }
    }
    Ok(page)
}

/// How far the log goes after `position` without a hole, up to `limit`; and the hole, where there
/// is one.
async fn stretch(
    db: &mut PgConnection,
    position: i64,
    limit: i64,
) -> Result<(i64, Option<i64>), JournalError> {
    let (count, last): (i64, Option<i64>) = sqlx::query_as(
        "select count(*), max(position)
         from (select position from public.events where position > $1 order by position limit $2) e",
    )
    .bind(position)
    .bind(limit)
    .fetch_one(&mut *db)
    .await?;
    let Some(last) = last else {
        let missing = goes_on(db, position).await?.then_some(position + 1);
        return Ok((position, missing));
    };
    if last - position == count {
        return Ok((last, None));
    }
    let whole: i64 = sqlx::query_scalar(
        "select count(*) from (
             select position, row_number() over (order by position) as n
             from public.events where position > $1 order by position limit $2
         ) e where position = $1 + n",
    )
    .bind(position)
    .bind(limit)
    .fetch_one(db)
    .await?;
    Ok((position + whole, Some(position + whole + 1)))
}

/// Whether the log says that it is longer, although there is no event; in one statement, since
/// events may come between two.
async fn goes_on(db: &mut PgConnection, position: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select position > $1 and not exists (select from public.events where position > $1)
         from public.log_head",
    )
    .bind(position)
    .fetch_one(db)
    .await
}

/// The position of the last event.
pub async fn head(db: impl PgExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar("select position from public.log_head").fetch_one(db).await
}

type Unreadable = Box<dyn Error + Send + Sync>;

/// The event of a row. The inner error is that of its content.
async fn decode(unseal: &dyn Unseal, row: &PgRow) -> sqlx::Result<Result<Recorded, Unreadable>> {
    let (position, sequence, recorded_at) = (row.try_get(0)?, row.try_get(3)?, row.try_get(6)?);
    let (aggregate_type, id): (&str, &str) = (row.try_get(1)?, row.try_get(2)?);
    let (kind, version): (&str, &str) = (row.try_get(4)?, row.try_get(5)?);
    let (payload, metadata): (&str, &str) = (row.try_get(7)?, row.try_get(8)?);
    let read = async {
        let aggregate_id = Uuid::parse_str(id)?;
        let event = if payload.contains(SEALED) {
            let payload = serde_json::from_str(payload)?;
            let payload = unseal.unseal(aggregate_type, aggregate_id, sequence, payload).await?;
            Event::decode(aggregate_type, kind, version, payload)
        } else {
            Event::decode_text(aggregate_type, kind, version, payload)
        }?;
        let Metadata { request_id } = serde_json::from_str(metadata)?;
        Ok(Recorded { position, aggregate_id, sequence, event, recorded_at, request_id })
    };
    Ok(read.await)
}

#[derive(Deserialize)]
struct Metadata {
    request_id: Option<String>,
}

/// Whether trying again may help: it was the database's state that failed, not the content.
pub(crate) fn is_passing(error: &(dyn Error + 'static)) -> bool {
    let mut errors = std::iter::successors(Some(error), |error| (*error).source());
    let found = errors.find_map(|error| error.downcast_ref::<sqlx::Error>());
    match found {
        Some(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
            // Lost connections, rollbacks, lack of resources, waiting too long, an operator.
            ["08", "40", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class))
        }),
        Some(
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed,
        ) => true,
        _ => false,
    }
}

/// An error with all that caused it, each told once.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| (*error).source()) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
