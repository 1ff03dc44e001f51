//! One request to the log: events, and the rows beside the log that live or die with them.

use aggregates::event::Event;
use aggregates::id::{CommandId, SessionId, UserId};
use chrono::{DateTime, Utc};
use projections::journal::Recorded;
use serde::Serialize;
use uuid::Uuid;

use super::hash::{Stored, leaf_hash};

/// Events of one or several streams, appended together or not at all.
#[derive(Debug, Default)]
pub(super) struct Unit {
    pub(super) streams: Vec<Stream>,
    pub(super) events: Vec<NewEvent>,
    pub(super) side: Vec<SideRow>,
}

/// A stream that a unit writes, and where the unit expects it to end.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) aggregate_type: &'static str,
    pub(super) aggregate_id: String,
    pub(super) expected: i64,
    /// As of which of the writer's counts of strangers the unit knows that; none when it is to be
    /// looked up in any case.
    pub(super) strangers: Option<u64>,
}

/// An event in its stored form, not yet in the log.
#[derive(Debug)]
pub(super) struct NewEvent {
    pub(super) aggregate_type: &'static str,
    pub(super) aggregate_id: String,
    pub(super) sequence: i64,
    pub(super) event_type: String,
    pub(super) event_version: String,
    pub(super) payload: String,
    pub(super) metadata: String,
    pub(super) command_id: CommandId,
    pub(super) ordinal: i16,
    /// What is told of it to the projections, once it is in the log.
    pub(super) told: Told,
}

/// An event as it was before it was encoded.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) event: Event,
    pub(super) id: Uuid,
    pub(super) request_id: Option<String>,
}

impl NewEvent {
    /// The event, in the log at this position since then.
    pub(super) fn recorded(self, position: i64, recorded_at: DateTime<Utc>) -> Recorded {
        let Told { event, id, request_id } = self.told;
        Recorded {
            position,
            aggregate_id: id,
            sequence: self.sequence,
            event,
            recorded_at,
            request_id,
        }
    }

    /// The event's leaf hash.
    pub(super) fn leaf(&self) -> [u8; 32] {
        leaf_hash(&Stored {
            aggregate_type: self.aggregate_type,
            aggregate_id: &self.aggregate_id,
            sequence: self.sequence,
            event_type: &self.event_type,
            event_version: &self.event_version,
            payload: &self.payload,
            metadata: &self.metadata,
            command_id: self.command_id.0.as_bytes(),
            ordinal: self.ordinal,
        })
    }
}

impl Unit {
    /// The unit's events, of which the last is in the log at this position since then.
    pub(super) fn recorded(
        self,
        last_position: i64,
        at: DateTime<Utc>,
    ) -> impl Iterator<Item = Recorded> {
        let positions = last_position - self.length() + 1..;
        positions.zip(self.events).map(move |(position, event)| event.recorded(position, at))
    }

    /// How many events it has.
    pub(super) fn length(&self) -> i64 {
        i64::try_from(self.events.len()).unwrap_or(i64::MAX)
    }

    /// The bytes that the unit brings to the log, about.
    pub(super) fn size(&self) -> usize {
        self.events.iter().map(|event| event.payload.len() + event.metadata.len()).sum()
    }
}

/// A row beside the log that lives or dies with its unit's events.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SideRow {
    /// The key that a new person's data is encrypted with, wrapped.
    PersonKey { user_id: UserId, wrapped_key: String, key_id: String },
    /// The person's claim to an address; refused when somebody else has it.
    EmailClaim { user_id: UserId, email_hash: String },
    /// A secret of sign-in, hashed.
    Credential { user_id: UserId, credential: &'static str, secret: String },
    /// A session's refresh token, hashed.
    Session {
        session_id: SessionId,
        user_id: UserId,
        refresh_hash: String,
        expires_at: DateTime<Utc>,
    },
    /// What an AI call delivered, encrypted with the person's key.
    Analysis {
        analysis_id: Uuid,
        user_id: UserId,
        feature: String,
        credits: i64,
        sealed: String,
        created_at: DateTime<Utc>,
    },
}
