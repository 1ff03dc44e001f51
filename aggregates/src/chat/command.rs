//! What may be asked of a chat.

use chrono::{DateTime, Utc};

use super::terms::ReplyFinish;
use crate::credits::Credits;
use crate::id::{HoldId, MessageId, UserId};

/// What may be asked of a chat, at the time `now`.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatCommand {
    /// The time the events will carry.
    pub now: DateTime<Utc>,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked. Whoever asks derives the ids of messages from the command's, so that what is asked
/// twice is the same, and no id is another message's.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Begin it.
    Create { owner: UserId },
    /// Call it something else. The title itself is beside the log.
    Retitle,
    /// Say something, which the model is to reply to. The text itself is beside the log.
    Post { message: MessageId, reply: MessageId, model: String },
    /// Note that the first of the waiting replies is there, and what was captured for it.
    Complete {
        reply: MessageId,
        finish: ReplyFinish,
        hold: HoldId,
        credits: Credits,
        model: String,
        input_tokens: Option<u64>,
        output_tokens: Option<u64>,
    },
    /// Note that the first of the waiting replies failed, for free.
    Fail { reply: MessageId, code: String },
    /// Stop a reply that only waits: it is gone at once.
    CancelWaiting { reply: MessageId },
    /// Stop the first of the waiting replies, when whoever makes it has heard.
    Cancel { reply: MessageId },
    /// Note that the first of the waiting replies was stopped, and what was captured for what was
    /// delivered until then.
    CompleteCancelled {
        reply: MessageId,
        hold: Option<HoldId>,
        credits: Credits,
        model: Option<String>,
        input_tokens: Option<u64>,
        output_tokens: Option<u64>,
    },
    /// Try the last reply again, which failed or was stopped; the new one is `again`.
    Retry { reply: MessageId, again: MessageId, model: String },
    /// Note that the person has seen what there is.
    Read,
    /// Delete it, with all that waits.
    Delete,
}
