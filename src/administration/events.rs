//! The log as it is stored, for whoever looks what happened. Personal data stays sealed: what is read here is what
//! is hashed, and no key is used.

use chrono::{DateTime, Utc};
use projections::journal;
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::error::Result;

/// Positions that a page looks through at most: what is rare must not have the whole log read for one page.
const WINDOW: i64 = 100_000;

/// An event as the log has it.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
pub struct LoggedEvent {
    /// Its place in the log.
    #[schema(example = 42)]
    pub position: i64,
    /// Of what it is.
    #[schema(example = "wallet")]
    pub aggregate_type: String,
    /// Of which one.
    pub aggregate_id: String,
    /// Its place among the events of that one.
    pub sequence: i64,
    /// What happened.
    #[schema(example = "Granted")]
    pub event_type: String,
    /// Of which form the payload is.
    #[schema(example = "1")]
    pub event_version: String,
    /// The event; personal data in it is sealed.
    #[schema(value_type = Object)]
    pub payload: Json<Value>,
    /// Who asked for it, and by which request.
    #[schema(value_type = Object)]
    pub metadata: Json<Value>,
    /// When the log took it.
    pub recorded_at: DateTime<Utc>,
    /// The command that it came of.
    pub command_id: Uuid,
    /// SHA-256 of what is stored, in hexadecimal digits.
    pub leaf_hash: String,
}

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct Sought {
    /// Of which kind of aggregate; of any, where none is named.
    pub aggregate_type: Option<String>,
    /// Of which one.
    pub aggregate_id: Option<Uuid>,
    /// What happened.
    pub event_type: Option<String>,
}

/// The newest events of these, from before a position, and the position before which there may be more. Of a single
/// aggregate all are looked through; else so many positions at most that a page may have fewer events than asked
/// for, or none, and be followed by another.
pub async fn newest(
    app: &App,
    sought: &Sought,
    before: Option<i64>,
    limit: i64,
) -> Result<(Vec<LoggedEvent>, Option<i64>)> {
    let end = journal::head(app.db()).await? + 1;
    let before = before.map_or(end, |before| before.clamp(1, end));
    let (events, looked_to) = if let Some(id) = sought.aggregate_id {
        (of_one(app, sought, id, before, limit).await?, 1)
    } else {
        let from = (before - WINDOW).max(1);
        (between(app, sought, from, before, limit).await?, from)
    };
    let is_full = i64::try_from(events.len()).is_ok_and(|count| count == limit);
    let reached = if is_full { events.last().map_or(1, |event| event.position) } else { looked_to };
    Ok((events, (reached > 1).then_some(reached)))
}

/// The event at a position.
pub async fn at(app: &App, position: i64) -> Result<Option<LoggedEvent>> {
    Ok(between(app, &Sought::default(), position, position.saturating_add(1), 1).await?.pop())
}

async fn between(
    app: &App,
    sought: &Sought,
    from: i64,
    before: i64,
    limit: i64,
) -> Result<Vec<LoggedEvent>> {
    let events = sqlx::query_as(
        "select position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
             recorded_at, command_id, encode(leaf_hash, 'hex') as leaf_hash
         from events
         where position >= $1 and position < $2 and ($3::text is null or aggregate_type = $3)
             and ($4::text is null or event_type = $4)
         order by position desc limit $5",
    );
    let events = events.bind(from).bind(before).bind(&sought.aggregate_type);
    Ok(events.bind(&sought.event_type).bind(limit).fetch_all(app.db()).await?)
}

async fn of_one(
    app: &App,
    sought: &Sought,
    id: Uuid,
    before: i64,
    limit: i64,
) -> Result<Vec<LoggedEvent>> {
    let events = sqlx::query_as(
        "select position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
             recorded_at, command_id, encode(leaf_hash, 'hex') as leaf_hash
         from events
         where aggregate_type = $1 and aggregate_id = $2 and position < $3
             and ($4::text is null or event_type = $4)
         order by sequence desc limit $5",
    );
    let events = events.bind(&sought.aggregate_type).bind(id.to_string()).bind(before);
    Ok(events.bind(&sought.event_type).bind(limit).fetch_all(app.db()).await?)
}
