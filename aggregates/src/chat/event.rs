//! What happened in a chat. Events are for ever: see `tests/wire.rs` before changing one.

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::terms::ReplyFinish;
use crate::credits::Credits;
use crate::id::{HoldId, MessageId, UserId};

/// What happened in a chat. `at` is the time the command carried. What was said is not here: texts
/// and titles are beside the log, so that a chat that is deleted is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ChatEvent {
    /// It began.
    Created { owner: UserId, at: DateTime<Utc> },
    /// It is called something else.
    Retitled { at: DateTime<Utc> },
    /// Something was said, and the reply to it waits.
    Posted { message: MessageId, reply: MessageId, model: String, at: DateTime<Utc> },
    /// The first of the waiting replies is there. `model` is the one that made it.
    Replied {
        reply: MessageId,
        finish: ReplyFinish,
        hold: HoldId,
        credits: Credits,
        model: String,
        input_tokens: Option<u64>,
        output_tokens: Option<u64>,
        at: DateTime<Utc>,
    },
    /// The first of the waiting replies failed, for free.
    ReplyFailed { reply: MessageId, code: String, at: DateTime<Utc> },
    /// The first of the waiting replies is to stop.
    CancelAsked { reply: MessageId, at: DateTime<Utc> },
    /// A reply was stopped. Where there is a hold, something was delivered until then.
    ReplyCancelled {
        reply: MessageId,
        hold: Option<HoldId>,
        credits: Credits,
        model: Option<String>,
        input_tokens: Option<u64>,
        output_tokens: Option<u64>,
        at: DateTime<Utc>,
    },
    /// The last reply, which failed or was stopped, is tried again as `again`.
    Retried { reply: MessageId, again: MessageId, model: String, at: DateTime<Utc> },
    /// So many replies were seen.
    Read { messages: u32, at: DateTime<Utc> },
    /// It was deleted, with all that waited.
    Deleted { at: DateTime<Utc> },
}

impl ChatEvent {
    /// The event's name, as the log's `event_type`.
    #[must_use]
    pub fn name(&self) -> &'static str {
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
            Self::Deleted { .. } => "Deleted",
        }
    }
}

impl DomainEvent for ChatEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
