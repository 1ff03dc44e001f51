//! When a webhook is tried again, as Standard Webhooks recommends.

use chrono::{DateTime, TimeDelta, Utc};

/// How long after the try before: the last one three days after the first.
const AFTER: [TimeDelta; 9] = [
    TimeDelta::seconds(5),
    TimeDelta::minutes(5),
    TimeDelta::minutes(30),
    TimeDelta::hours(2),
    TimeDelta::hours(5),
    TimeDelta::hours(10),
    TimeDelta::hours(14),
    TimeDelta::hours(20),
    TimeDelta::hours(24),
];

/// After how long of nothing that was taken an endpoint is turned off.
pub(super) const PATIENCE: TimeDelta = TimeDelta::days(5);

/// When it is tried again after so many tries that failed; never, when none.
pub(super) fn next(tries: i32, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let before = usize::try_from(tries).ok()?.checked_sub(1)?;
    AFTER.get(before).map(|after| now + *after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_tries_are_made_within_some_three_days() {
        let mut now = DateTime::UNIX_EPOCH;
        let mut tries = 1;
        while let Some(next) = next(tries, now) {
            (now, tries) = (next, tries + 1);
        }
        let took = now - DateTime::UNIX_EPOCH;
        assert_eq!((tries, took), (10, TimeDelta::seconds(5 + 35 * 60 + 75 * 3600)));
    }
}
