//! A provider that fails again and again is left alone for a while, then tried by one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ProviderError;

/// After how many failures in a row a provider is left alone: fewer may be bad luck of one call, which is
/// tried up to three times.
const FAILURES: u32 = 5;
/// For how long it is left alone.
const REST: Duration = Duration::from_secs(30);

/// When a provider is left alone, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// After how many failures in a row.
    pub failures: u32,
    /// For how long, where the provider does not say it.
    pub rest: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: FAILURES, rest: REST }
    }
}

/// Whether a provider is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// It is asked.
    Closed,
    /// It is left alone, for so long.
    Open(Duration),
    /// One call tries whether it has recovered; the others wait for how that goes.
    HalfOpen,
}

/// Watches over one provider.
pub(super) struct Breaker {
    settings: BreakerSettings,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Failures since the last success.
    failures: u32,
    /// Until when nothing is asked.
    rests_until: Option<Instant>,
    /// How often that was said.
    rests: u64,
    /// Whether somebody tries.
    is_tried: bool,
}

/// Leave to ask once. When it is dropped, whoever has it tries no longer.
pub(super) struct Leave<'a> {
    breaker: &'a Breaker,
    tries: bool,
    /// How often a rest had been said when it was given.
    rests: u64,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // What is in there is whole between any two lines.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        self.seen().state(now, self.settings)
    }

    /// Failures since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.seen().failures
    }

    /// Leave to ask; refused while the provider is left alone, or tried by somebody else.
    pub(super) fn leave(&self, now: Instant) -> Result<Leave<'_>, ProviderError> {
        let mut seen = self.seen();
        let tries = match seen.state(now, self.settings) {
            BreakerState::Closed => false,
            BreakerState::Open(rest) => {
                let seconds = u32::try_from(rest.as_millis().div_ceil(1000)).ok();
                return Err(ProviderError::Unavailable { retry_after: seconds });
            }
            BreakerState::HalfOpen if seen.is_tried => {
                return Err(ProviderError::Unavailable { retry_after: None });
            }
            BreakerState::HalfOpen => true,
        };
        seen.is_tried |= tries;
        Ok(Leave { breaker: self, tries, rests: seen.rests })
    }
}

impl Seen {
    fn state(&self, now: Instant, settings: BreakerSettings) -> BreakerState {
        match self.rests_until {
            Some(until) if now < until => BreakerState::Open(until - now),
            _ if self.failures >= settings.failures => BreakerState::HalfOpen,
            _ => BreakerState::Closed,
        }
    }
}

impl Leave<'_> {
    /// The provider answered, be it that it refuses. Where others have met worse since it was asked, that is newer.
    pub(super) fn answered(self) {
        let mut seen = self.breaker.seen();
        if seen.rests == self.rests {
            seen.failures = 0;
            seen.rests_until = None;
        }
    }

    /// The provider failed; where it said when to come back, it is left alone until then.
    pub(super) fn failed(self, now: Instant, retry_after: Option<u32>) {
        let settings = self.breaker.settings;
        let mut seen = self.breaker.seen();
        seen.failures = seen.failures.saturating_add(1);
        let rest = match retry_after {
            Some(seconds) => Some(Duration::from_secs(seconds.into())),
            None => (seen.failures >= settings.failures).then_some(settings.rest),
        };
        if let Some(rest) = rest {
            seen.rests_until = seen.rests_until.max(Some(now + rest));
            seen.rests += 1;
        }
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.tries {
            self.breaker.seen().is_tried = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BreakerSettings =
        BreakerSettings { failures: 2, rest: Duration::from_secs(30) };
    const SECOND: Duration = Duration::from_secs(1);

    fn fail(breaker: &Breaker, now: Instant, retry_after: Option<u32>) {
        breaker.leave(now).expect("leave to ask").failed(now, retry_after);
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let (breaker, now) = (Breaker::new(SETTINGS), Instant::now());
        fail(&breaker, now, None);
        breaker.leave(now).expect("leave to ask").answered();
        fail(&breaker, now, None);
        assert_eq!(breaker.state(now), BreakerState::Closed);
        fail(&breaker, now, None);
        assert_eq!(breaker.state(now), BreakerState::Open(30 * SECOND));
        let refused = breaker.leave(now + SECOND).err();
        assert_eq!(refused, Some(ProviderError::Unavailable { retry_after: Some(29) }));
    }

    #[test]
    fn after_its_rest_one_tries_and_closes_or_opens_it() {
        let (breaker, now) = (Breaker::new(SETTINGS), Instant::now());
        fail(&breaker, now, None);
        fail(&breaker, now, None);
        let later = now + 30 * SECOND;
        assert_eq!(breaker.state(later), BreakerState::HalfOpen);
        let trying = breaker.leave(later).expect("one may try");
        assert!(breaker.leave(later).is_err(), "only one");
        trying.failed(later, None);
        assert_eq!(breaker.state(later + 29 * SECOND), BreakerState::Open(SECOND));
        let later = later + 30 * SECOND;
        breaker.leave(later).expect("one may try").answered();
        assert_eq!(breaker.state(later), BreakerState::Closed);
        assert_eq!(breaker.failures(), 0);
    }

    #[test]
    fn who_was_asked_before_a_rest_does_not_end_it() {
        for (failures, retry_after) in [(1, Some(30)), (2, None)] {
            let (breaker, now) = (Breaker::new(SETTINGS), Instant::now());
            let early = breaker.leave(now).expect("leave to ask");
            for _ in 0..failures {
                fail(&breaker, now, retry_after);
            }
            early.answered();
            assert_eq!(breaker.state(now), BreakerState::Open(30 * SECOND));
        }
    }

    #[test]
    fn whoever_gives_up_trying_leaves_it_to_the_next() {
        let (breaker, now) = (Breaker::new(SETTINGS), Instant::now());
        fail(&breaker, now, None);
        fail(&breaker, now, None);
        let later = now + 30 * SECOND;
        drop(breaker.leave(later));
        assert!(breaker.leave(later).is_ok());
    }

    #[test]
    fn a_provider_that_says_when_to_come_back_is_left_alone_until_then() {
        let (breaker, now) = (Breaker::new(SETTINGS), Instant::now());
        fail(&breaker, now, Some(7));
        assert_eq!(breaker.state(now), BreakerState::Open(7 * SECOND));
        assert_eq!(breaker.state(now + 7 * SECOND), BreakerState::Closed);
    }
}
