//! The words of chats.

use serde::{Deserialize, Serialize};

/// Replies that may wait in one chat: more than anybody reads, and few enough that what is asked
/// twice by a broken program costs little.
pub const WAITING_AT_MOST: usize = 16;
/// Messages of one chat, replies included: a conversation is read as a whole when it goes on.
pub const MESSAGES_AT_MOST: u32 = 10_000;

/// Why a reply came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyFinish {
    /// The model had said everything.
    Stop,
    /// It was as long as it may be.
    Length,
    /// The provider held the rest back.
    Filtered,
    /// There were no credits for more.
    Credits,
}

impl ReplyFinish {
    /// Its name, as in the events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Filtered => "filtered",
            Self::Credits => "credits",
        }
    }
}
