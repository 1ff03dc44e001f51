//! How often, and after which pauses, a provider that fails is asked again before it has said anything.

use std::time::Duration;

use super::ProviderError;
use super::breaker::BreakerSettings;

/// How often one route is asked, at most.
const TRIES: u32 = 3;
/// The pause before the second time; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause that a provider can ask for: whoever waits is better off with the next route.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// How long it may take until somebody begins to answer, all routes and pauses together. A hold must last
/// longer than this and an answer ([`super::ANSWER`]) together.
pub const LADDER: Duration = Duration::from_mins(2);

/// How a request finds somebody who begins to answer.
#[derive(Clone, Copy, Debug)]
pub struct Ladder {
    /// How often one route is asked, at most.
    pub tries: u32,
    /// The pause before the second time; each is twice the one before.
    pub pause: Duration,
    /// The longest pause that a provider can ask for; where it asks for more, the next route is asked.
    pub longest_pause: Duration,
    /// How long it may take until somebody begins to answer.
    pub within: Duration,
    /// When a provider is left alone.
    pub breaker: BreakerSettings,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            tries: TRIES,
            pause: PAUSE,
            longest_pause: LONGEST_PAUSE,
            within: LADDER,
            breaker: BreakerSettings::default(),
        }
    }
}

impl Ladder {
    /// How long to wait before the same route is asked once more, after so many times; none where
    /// another should be.
    pub(super) fn pause_after(&self, times: u32, error: &ProviderError) -> Option<Duration> {
        let wished = match error {
            ProviderError::Unavailable { retry_after } => {
                Duration::from_secs(retry_after.unwrap_or(0).into())
            }
            ProviderError::CutShort | ProviderError::Invalid => Duration::ZERO,
            // It was waited for long enough, or would end the same.
            ProviderError::TimedOut
            | ProviderError::Refused
            | ProviderError::Unsupported(_)
            | ProviderError::Misconfigured(_) => return None,
        };
        if times >= self.tries || wished > self.longest_pause {
            return None;
        }
        let doubled = 2_u32.saturating_pow(times.saturating_sub(1));
        let own = self.pause.saturating_mul(doubled).min(self.longest_pause);
        // Those that failed together do not come back together.
        Some(wished + own / 2 + random_below(own / 2))
    }
}

fn random_below(longest: Duration) -> Duration {
    // Without random bytes, everybody waits as long.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    let microseconds = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(u64::from(random) % microseconds.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGAIN: ProviderError = ProviderError::Unavailable { retry_after: None };

    #[test]
    fn pauses_double_and_are_never_the_whole_nor_less_than_half() {
        let ladder = Ladder { tries: 9, ..Ladder::default() };
        for (times, longest) in [(1, 250), (2, 500), (3, 1000), (4, 2000), (5, 3000), (8, 3000)] {
            let longest = Duration::from_millis(longest);
            for _ in 0..50 {
                let pause = ladder.pause_after(times, &AGAIN).expect("once more");
                assert!((longest / 2..=longest).contains(&pause), "{times}: {pause:?}");
            }
        }
        let pauses: std::collections::HashSet<_> =
            (0..50).map(|_| ladder.pause_after(5, &AGAIN)).collect();
        assert!(pauses.len() > 10, "{pauses:?}");
    }

    #[test]
    fn a_short_retry_after_is_waited_for_and_a_long_one_is_not() {
        let ladder = Ladder::default();
        let pause = |seconds| {
            ladder.pause_after(1, &ProviderError::Unavailable { retry_after: Some(seconds) })
        };
        assert!(pause(3).expect("once more") >= Duration::from_secs(3));
        assert_eq!(pause(4), None);
    }

    #[test]
    fn only_what_may_go_better_is_asked_again_and_not_for_ever() {
        let ladder = Ladder::default();
        assert!(ladder.pause_after(2, &AGAIN).is_some());
        assert_eq!(ladder.pause_after(3, &AGAIN), None);
        assert!(ladder.pause_after(1, &ProviderError::CutShort).is_some());
        for error in [
            ProviderError::Refused,
            ProviderError::TimedOut,
            ProviderError::Misconfigured("status 401".to_owned()),
        ] {
            assert_eq!(ladder.pause_after(1, &error), None, "{error}");
        }
    }

    #[test]
    fn a_ladder_and_an_answer_are_shorter_than_ten_minutes() {
        assert!(LADDER + super::super::ANSWER < Duration::from_mins(10));
    }
}
