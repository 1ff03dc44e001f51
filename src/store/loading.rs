//! Reading aggregates: a snapshot, where one fits, and the events after it; and what a command
//! that the log knows had for an outcome.

use aggregates::id::{CommandId, UserId};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use serde_json::Value;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use super::codec::{Codec, CodecError, place};
use super::{Metadata, Outcome, Stored};

/// Why an aggregate could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database failed.
    #[error("the log could not be read")]
    Database(#[from] sqlx::Error),
    /// Personal data could not be decrypted.
    #[error("personal data of the log could not be read")]
    Codec(#[from] CodecError),
    /// An event does not have its shape.
    #[error("event {sequence} of {stream} is not readable")]
    Malformed { stream: String, sequence: i64, source: serde_json::Error },
    /// The stream has a hole.
    #[error("{stream} has no event {sequence}")]
    Hole { stream: String, sequence: i64 },
}

/// An aggregate as of the `version`th event of its stream.
pub(super) struct Loaded<A> {
    pub(super) state: A,
    pub(super) version: i64,
    /// The version that the newest snapshot has.
    pub(super) snapshot: i64,
    /// How often strangers had been seen in the log when it was known to be as of its end.
    pub(super) strangers: u64,
}

/// What the log says of a command.
pub(super) struct Known<A: Stored> {
    pub(super) outcome: Outcome<A>,
    pub(super) metadata: Metadata,
}

/// Loads an aggregate: the snapshot, where its shape is today's, and the events after it.
/// `strangers` is counted before: whoever comes while it loads is counted after.
pub(super) async fn load<A: Stored>(
    pool: &PgPool,
    codec: &Codec,
    id: Uuid,
    strangers: u64,
) -> Result<Loaded<A>, LoadError> {
    let aggregate_id = id.to_string();
    let mut db = pool.acquire().await?;
    let snapshot = sqlx::query(
        "select sequence, state from snapshots
         where aggregate_type = $1 and aggregate_id = $2 and shape = $3",
    )
    .bind(A::TYPE)
    .bind(&aggregate_id)
    .bind(A::SHAPE)
    .fetch_optional(&mut *db)
    .await?;
    let mut loaded = Loaded { state: A::default(), version: 0, snapshot: 0, strangers };
    if let Some(row) = snapshot {
        let sequence: i64 = row.try_get("sequence")?;
        if let Some(state) = open_snapshot::<A>(codec, id, sequence, row.try_get("state")?).await {
            loaded = Loaded { state, version: sequence, snapshot: sequence, strangers };
        }
    }
    let mut rows = sqlx::query(
        "select sequence, payload::text as payload from events
         where aggregate_type = $1 and aggregate_id = $2 and sequence > $3
         order by sequence",
    )
    .bind(A::TYPE)
    .bind(&aggregate_id)
    .bind(loaded.version)
    .fetch(&mut *db);
    while let Some(row) = rows.try_next().await? {
        let sequence: i64 = row.try_get("sequence")?;
        if sequence != loaded.version + 1 {
            return Err(LoadError::Hole { stream: stream::<A>(id), sequence: loaded.version + 1 });
        }
        let event = open_event::<A>(codec, id, sequence, row.try_get("payload")?).await?;
        loaded.state.apply(event);
        loaded.version = sequence;
    }
    Ok(loaded)
}

/// A snapshot that cannot be read is no snapshot: it costs time only.
async fn open_snapshot<A: Stored>(codec: &Codec, id: Uuid, at: i64, state: &str) -> Option<A> {
    let mut state: Value = serde_json::from_str(state).ok()?;
    codec.open(UserId(id), &snapshot_place::<A>(id, at), &mut state).await.ok()?;
    serde_json::from_value(state).ok()
}

/// Writes the state as a snapshot, unless a newer one is there.
pub(super) async fn write_snapshot<A: Stored>(
    pool: &PgPool,
    codec: &Codec,
    id: Uuid,
    version: i64,
    mut state: Value,
) -> Result<(), LoadError> {
    codec.seal(UserId(id), &snapshot_place::<A>(id, version), &mut state).await?;
    sqlx::query(
        "insert into snapshots as s (aggregate_type, aggregate_id, sequence, shape, state)
         values ($1, $2, $3, $4, $5)
         on conflict (aggregate_type, aggregate_id) do update
         set sequence = excluded.sequence, shape = excluded.shape, state = excluded.state
         where s.sequence < excluded.sequence or s.shape <> excluded.shape",
    )
    .bind(A::TYPE)
    .bind(id.to_string())
    .bind(version)
    .bind(A::SHAPE)
    .bind(state.to_string())
    .execute(pool)
    .await?;
    Ok(())
}

/// How long the aggregate's stream is now.
pub(super) async fn version<A: Stored>(pool: &PgPool, id: Uuid) -> Result<i64, sqlx::Error> {
    let version: Option<i64> = sqlx::query_scalar(
        "select max(sequence) from events where aggregate_type = $1 and aggregate_id = $2",
    )
    .bind(A::TYPE)
    .bind(id.to_string())
    .fetch_one(pool)
    .await?;
    Ok(version.unwrap_or(0))
}

/// What the log knows of these commands, as far as they wrote to this aggregate.
pub(super) async fn known<A: Stored>(
    pool: &PgPool,
    codec: &Codec,
    id: Uuid,
    commands: &[Uuid],
) -> Result<Vec<(CommandId, Known<A>)>, LoadError> {
    let rows = sqlx::query(
        "select command_id, sequence, position, recorded_at, payload::text as payload,
             metadata::text as metadata
         from events
         where command_id = any ($1) and aggregate_type = $2 and aggregate_id = $3
         order by position",
    )
    .bind(commands)
    .bind(A::TYPE)
    .bind(id.to_string())
    .fetch_all(pool)
    .await?;
    let mut known: Vec<(CommandId, Known<A>)> = Vec::new();
    for row in rows {
        let command_id = CommandId(row.try_get("command_id")?);
        let version: i64 = row.try_get("sequence")?;
        let position: i64 = row.try_get("position")?;
        let recorded_at: DateTime<Utc> = row.try_get("recorded_at")?;
        let event = open_event::<A>(codec, id, version, row.try_get("payload")?).await?;
        if let Some((_, Known { outcome, .. })) = known.iter_mut().find(|(c, _)| *c == command_id) {
            outcome.events.push(event);
            outcome.position = position;
            outcome.version = version;
            continue;
        }
        let metadata: &str = row.try_get("metadata")?;
        let metadata = serde_json::from_str(metadata).map_err(|source| LoadError::Malformed {
            stream: stream::<A>(id),
            sequence: version,
            source,
        })?;
        let outcome =
            Outcome { events: vec![event], version, position, recorded_at, replayed: true };
        known.push((command_id, Known { outcome, metadata }));
    }
    Ok(known)
}

/// An event of the aggregate from its stored payload.
async fn open_event<A: Stored>(
    codec: &Codec,
    id: Uuid,
    sequence: i64,
    payload: &str,
) -> Result<A::Event, LoadError> {
    let malformed = |source| LoadError::Malformed { stream: stream::<A>(id), sequence, source };
    if !payload.contains(aggregates::pii::SEALED) {
        return serde_json::from_str(payload).map_err(malformed);
    }
    let mut payload: Value = serde_json::from_str(payload).map_err(malformed)?;
    codec.open(UserId(id), &place(A::TYPE, &id.to_string(), sequence), &mut payload).await?;
    serde_json::from_value(payload).map_err(malformed)
}

fn stream<A: Stored>(id: Uuid) -> String {
    format!("{}/{id}", A::TYPE)
}

fn snapshot_place<A: Stored>(id: Uuid, version: i64) -> String {
    place(&format!("snapshot/{}", A::TYPE), &id.to_string(), version)
}
