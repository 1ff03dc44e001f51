//! The wall clock, in one place: the only reader of the time of day.

use chrono::{DateTime, Utc};

/// The time now, in whole microseconds, as Postgres keeps it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now() -> DateTime<Utc> {
    let now = Utc::now();
    DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
}
