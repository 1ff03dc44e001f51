//! What the oracle understands of a chat's events: read from the stored JSON by structs of its own.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

/// What happened in a chat.
#[derive(Debug, Deserialize)]
pub(super) enum Fact {
    Created {
        owner: Uuid,
        at: DateTime<Utc>,
    },
    Retitled {
        at: DateTime<Utc>,
    },
    Posted {
        message: Uuid,
        reply: Uuid,
        model: String,
        at: DateTime<Utc>,
    },
    Replied {
        reply: Uuid,
        finish: String,
        hold: Uuid,
        credits: i64,
        model: String,
        input_tokens: Option<i64>,
        output_tokens: Option<i64>,
        at: DateTime<Utc>,
    },
    ReplyFailed {
        reply: Uuid,
        code: String,
        at: DateTime<Utc>,
    },
    CancelAsked {
        reply: Uuid,
    },
    ReplyCancelled {
        reply: Uuid,
        hold: Option<Uuid>,
        credits: i64,
        model: Option<String>,
        input_tokens: Option<i64>,
        output_tokens: Option<i64>,
        at: DateTime<Utc>,
    },
    Retried {
        reply: Uuid,
        again: Uuid,
        model: String,
        at: DateTime<Utc>,
    },
    Read {
        messages: i64,
    },
    Deleted {},
}

impl Fact {
    /// The name that the log's `event_type` must have.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "Created",
            Self::Retitled { .. } => "Retitled",
            Self::Posted { .. } => "Posted",
            Self::Replied { .. } => "Replied",
            Self::ReplyFailed { .. } => "ReplyFailed",
            Self::CancelAsked { .. } => "CancelAsked",
            Self::ReplyCancelled { .. } => "ReplyCancelled",
            Self::Retried { .. } => "Retried",
            Self::Read { .. } => "Read",
            Self::Deleted {} => "Deleted",
        }
    }
}
