//! How long is waited, and for what.

use std::time::Duration;

/// How long connecting to a provider may take.
const CONNECTING: Duration = Duration::from_secs(10);
/// How long a provider may take to begin: models that think say nothing for a while.
const FIRST_EVENT: Duration = Duration::from_mins(1);
/// How long a provider may be silent in the middle of an answer.
const NEXT_EVENT: Duration = Duration::from_mins(1);
/// How long a provider may take, after it has said why the answer is at its end, to say what was used.
const USAGE: Duration = Duration::from_secs(5);
/// How long one answer may take, from the request to its end.
pub const ANSWER: Duration = Duration::from_mins(5);

/// How long one answer is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until there is a connection.
    pub connecting: Duration,
    /// From the request to the first event.
    pub first_event: Duration,
    /// From one event to the next.
    pub next_event: Duration,
    /// From the reason of the end to the usage, where the wire tells it afterwards.
    pub usage: Duration,
    /// From the request to the end.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connecting: CONNECTING,
            first_event: FIRST_EVENT,
            next_event: NEXT_EVENT,
            usage: USAGE,
            answer: ANSWER,
        }
    }
}
