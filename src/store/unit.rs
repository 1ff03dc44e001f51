//! One request to the log: events, and the rows beside the log that live or die with them.

use aggregates::event::Event;
use aggregates::id::{ApiKeyId, ChatId, CommandId, IdentityId, MessageId, SessionId, UserId};
use aggregates::user::Scope;
use chrono::{DateTime, NaiveDate, Utc};
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
    /// The person is gone: their key is destroyed, and with it all that is outside the log.
    PersonErased { user_id: UserId },
    /// The person's claim to an address, a telephone or an identity, by its hash under one key;
    /// refused when somebody else has it, or the person by another identity.
    Claim {
        claim_hash: String,
        key_id: String,
        what: Claimed,
        user_id: UserId,
        identity_id: Option<IdentityId>,
    },
    /// The person gives up all of these.
    ClaimsReleased { user_id: UserId, what: Claimed },
    /// The person's password, hashed, in the place of the one before.
    Password { user_id: UserId, hash: String },
    /// All ways into the account but for its addresses are shut, and everybody inside is out.
    ShutOut { user_id: UserId },
    /// A session.
    Session {
        session_id: SessionId,
        user_id: UserId,
        started_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
        ends_at: DateTime<Utc>,
        sealed: Option<String>,
    },
    /// A session is over.
    SessionEnded { session_id: SessionId },
    /// All sessions of the person but one are over.
    SessionsEnded { user_id: UserId, keep: Option<SessionId> },
    /// A provider who vouches for the person.
    Identity {
        identity_id: IdentityId,
        user_id: UserId,
        provider: String,
        sealed: String,
        tokens: Option<String>,
        linked_at: DateTime<Utc>,
    },
    /// A provider does so no more, and anybody may claim the identity.
    IdentityRemoved { identity_id: IdentityId, user_id: UserId },
    /// A key for programs, hashed.
    ApiKey {
        key_id: ApiKeyId,
        user_id: UserId,
        key_hash: String,
        prefix: String,
        scopes: Vec<Scope>,
        per_second: u32,
        sealed: String,
        created_at: DateTime<Utc>,
    },
    /// A key is good no more.
    ApiKeyRevoked { key_id: ApiKeyId },
    /// The person's keys rest with the account, or are good again with it.
    ApiKeysRest { user_id: UserId, rest: bool },
    /// Work that follows. A job of the same key that waits is replaced.
    Job {
        task: &'static str,
        payload: serde_json::Value,
        job_key: String,
        most: i32,
        /// Work of one queue is done one after the other.
        queue: Option<String>,
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
    /// A chat begins: without this row nothing of it is kept beside the log.
    ChatOpened { chat_id: ChatId, user_id: UserId },
    /// What was said, by the message's id, or a title, by the chat's, encrypted with the person's key;
    /// in the place of the text before.
    ChatText { text_id: Uuid, chat_id: ChatId, user_id: UserId, sealed: String },
    /// What a chat is called by its first message, encrypted as a text is: only where it is called nothing.
    ChatFirstTitle { chat_id: ChatId, user_id: UserId, sealed: String },
    /// The chat is gone, with all that is beside the log of it.
    ChatForgotten { chat_id: ChatId },
    /// What is told of the chat to whoever listens.
    ChatStream {
        chat_id: ChatId,
        what: String,
        message_id: Option<MessageId>,
        sealed: Option<String>,
    },
    /// One of the replies that the person may ask for on that day; refused as `Spent` when there are
    /// `most` already. One in a unit.
    ChatAllowance { user_id: UserId, day: NaiveDate, most: u32 },
    /// It came to nothing, and does not count.
    ChatAllowanceBack { user_id: UserId, day: NaiveDate },
    /// An AI call that waits to be made, its text encrypted with the person's key.
    QueuedCall {
        call_id: Uuid,
        user_id: UserId,
        intent: Uuid,
        feature: String,
        key_id: Option<ApiKeyId>,
        metadata: super::Metadata,
        sealed: String,
        created_at: DateTime<Utc>,
    },
    /// A call that waited is made.
    MadeCall { call_id: Uuid },
    /// A call that waited has failed.
    FailedCall { call_id: Uuid, failure: &'static str },
}

impl SideRow {
    /// The same, of a person who had no id before.
    #[must_use]
    pub fn of(mut self, person: UserId) -> Self {
        match &mut self {
            Self::PersonKey { user_id, .. }
            | Self::PersonErased { user_id }
            | Self::Claim { user_id, .. }
            | Self::ClaimsReleased { user_id, .. }
            | Self::Password { user_id, .. }
            | Self::ShutOut { user_id }
            | Self::Session { user_id, .. }
            | Self::SessionsEnded { user_id, .. }
            | Self::Identity { user_id, .. }
            | Self::IdentityRemoved { user_id, .. }
            | Self::ApiKey { user_id, .. }
            | Self::ApiKeysRest { user_id, .. }
            | Self::Analysis { user_id, .. }
            | Self::ChatOpened { user_id, .. }
            | Self::ChatText { user_id, .. }
            | Self::ChatFirstTitle { user_id, .. }
            | Self::ChatAllowance { user_id, .. }
            | Self::ChatAllowanceBack { user_id, .. }
            | Self::QueuedCall { user_id, .. } => *user_id = person,
            Self::SessionEnded { .. }
            | Self::ApiKeyRevoked { .. }
            | Self::Job { .. }
            | Self::ChatForgotten { .. }
            | Self::ChatStream { .. }
            | Self::MadeCall { .. }
            | Self::FailedCall { .. } => {}
        }
        self
    }
}

/// What only one person can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Claimed {
    /// An e-mail address.
    Email,
    /// A telephone.
    Phone,
    /// A person as a provider knows them.
    Identity,
}
