//! Telling customers' own systems what happens to their credits: `endpoints` are where they listen,
//! `telling` writes what they are told of the log and `expiring` of time, `sending` sends it, and
//! `deliveries` says what became of it.

pub mod deliveries;
pub mod endpoints;
mod event_type;
mod expiring;
mod purchases;
mod schedule;
mod sending;
mod subscriptions;
mod telling;
mod verdicts;
mod wallets;

pub use event_type::EventType;
pub use expiring::tell_expiries;
pub use sending::send;
pub use telling::{anybody_listens, tell};

use aggregates::id::UserId;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// What an event tells a person's endpoints.
struct Told {
    /// Whose endpoints.
    user: UserId,
    kind: EventType,
    /// When it happened.
    at: DateTime<Utc>,
    data: Value,
    /// Told only those whose threshold is passed by this.
    fall: Option<Fall>,
}

/// What was available, and what is.
#[derive(Clone, Copy)]
struct Fall {
    before: i64,
    after: i64,
}

impl Fall {
    /// Whether it goes below the threshold only now.
    fn passes(self, threshold: i64) -> bool {
        self.before >= threshold && self.after < threshold
    }
}

#[cfg(test)]
mod tests {
    use super::Fall;

    #[test]
    fn only_the_fall_that_passes_a_threshold_is_told() {
        for (before, after, passes) in
            [(11, 10, false), (10, 9, true), (100, 0, true), (9, 8, false), (9, 10, false)]
        {
            assert_eq!(Fall { before, after }.passes(10), passes, "{before} to {after}");
        }
    }
}
