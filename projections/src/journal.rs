//! Reading the log in its one order.

use std::error::Error;

use aggregates::event::{DecodeError, Event};
use aggregates::pii::SEALED;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use sqlx::{PgConnection, Row};
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

/// Why the log cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The database failed; trying again may help.
    #[error("the log could not be read")]
    Database(#[from] sqlx::Error),
    /// An event is missing: the log is damaged.
    #[error("the log has no event at position {0}")]
    Hole(i64),
    /// This version of Saldo cannot read the event.
    #[error("the event at position {position} cannot be read: {source}")]
    Unreadable { position: i64, source: Box<dyn Error + Send + Sync> },
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

#[derive(Deserialize)]
struct Metadata {
    request_id: Option<String>,
}

/// Up to `limit` events after `position`. What cannot be read ends the list before it, or is the
/// error when it comes first.
pub async fn read(
    db: &mut PgConnection,
    unseal: &dyn Unseal,
    position: i64,
    limit: i64,
) -> Result<Vec<Recorded>, JournalError> {
    let rows = sqlx::query(
        "select position, aggregate_type, aggregate_id, sequence, event_type, event_version,
             payload::text as payload, metadata::text as metadata, recorded_at
         from public.events
         where position > $1
         order by position
         limit $2",
    )
    .bind(position)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let mut recorded = Vec::with_capacity(rows.len());
    for (expected, row) in (position + 1..).zip(&rows) {
        if row.try_get::<i64, _>("position")? != expected {
            return Err(JournalError::Hole(expected));
        }
        match decode(unseal, row).await? {
            Ok(event) => recorded.push(event),
            Err(_) if !recorded.is_empty() => break,
            Err(source) => return Err(JournalError::Unreadable { position: expected, source }),
        }
    }
    Ok(recorded)
}

type Unreadable = Box<dyn Error + Send + Sync>;

async fn decode(
    unseal: &dyn Unseal,
    row: &sqlx::postgres::PgRow,
) -> Result<Result<Recorded, Unreadable>, sqlx::Error> {
    let aggregate_type: &str = row.try_get("aggregate_type")?;
    let text: &str = row.try_get("payload")?;
    let sequence: i64 = row.try_get("sequence")?;
    let position = row.try_get("position")?;
    let recorded_at = row.try_get("recorded_at")?;
    let (id, metadata): (&str, &str) = (row.try_get("aggregate_id")?, row.try_get("metadata")?);
    let (kind, version): (&str, &str) = (row.try_get("event_type")?, row.try_get("event_version")?);
    let read = async {
        let aggregate_id = Uuid::parse_str(id)?;
        let event = if text.contains(SEALED) {
            let payload = serde_json::from_str(text)?;
            let payload = unseal.unseal(aggregate_type, aggregate_id, sequence, payload).await?;
            Event::decode(aggregate_type, kind, version, payload)
        } else {
            Event::decode_text(aggregate_type, kind, version, text)
        }
        .map_err(Box::<DecodeError>::new)?;
        let Metadata { request_id } = serde_json::from_str(metadata)?;
        Ok(Recorded { position, aggregate_id, sequence, event, recorded_at, request_id })
    };
    Ok(read.await)
}
