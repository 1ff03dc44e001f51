//! Where the time of a metered call goes: to its hold, to its provider, and to its capture. What the first
//! and the last take is what metering adds.

use std::time::{Duration, Instant};

use crate::counters::CallTimes;

/// Where the time of one call went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Took {
    /// Holding credits: before, and more while the answer came.
    pub hold: Duration,
    /// Waiting for the provider, or for a reader who was slower.
    pub provider: Duration,
    /// Charging, from the end of the answer on.
    pub capture: Duration,
}

impl Took {
    /// What metering added to the call.
    #[must_use]
    pub fn added(&self) -> Duration {
        self.hold.saturating_add(self.capture)
    }
}

/// A watch that runs through one call. Whatever ends gets the time since the last that ended.
pub(super) struct Stopwatch {
    since: Instant,
    took: Took,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { since: Instant::now(), took: Took::default() }
    }

    /// Credits were held until now.
    pub(super) fn held(&mut self) {
        let lap = self.lap();
        self.took.hold += lap;
    }

    /// The provider was waited for until now.
    pub(super) fn waited(&mut self) {
        let lap = self.lap();
        self.took.provider += lap;
    }

    /// The call was charged until now, and is over: its times are counted.
    pub(super) fn charged(mut self, times: &CallTimes) -> Took {
        let lap = self.lap();
        self.took.capture += lap;
        let Took { hold, provider, capture } = self.took;
        times.hold.took(hold);
        times.provider.took(provider);
        times.capture.took(capture);
        times.added.took(self.took.added());
        self.took
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now.duration_since(std::mem::replace(&mut self.since, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_metering_adds_is_the_hold_and_the_capture() {
        let [hold, provider, capture] = [2, 50, 3].map(Duration::from_millis);
        assert_eq!(Took { hold, provider, capture }.added(), Duration::from_millis(5));
    }
}
