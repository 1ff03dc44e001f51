//! Where the time of a metered call goes: to its hold, to its provider, and to its capture. What the first
//! and the last take is what metering adds.

use std::time::{Duration, Instant};

use crate::counters::Histogram;

static TIMINGS: Timings = Timings {
    hold: Histogram::of_times(),
    provider: Histogram::of_times(),
    capture: Histogram::of_times(),
    added: Histogram::of_times(),
};

/// How long the calls took that this process has charged since it started.
#[must_use]
pub fn timings() -> &'static Timings {
    &TIMINGS
}

/// How long calls took, by their parts.
#[derive(Debug)]
pub struct Timings {
    /// Holding credits.
    pub hold: Histogram,
    /// Waiting for the provider.
    pub provider: Histogram,
    /// Charging.
    pub capture: Histogram,
    /// Hold and capture of one call, together: what metering added to it.
    pub added: Histogram,
}

impl Timings {
    fn note(&self, took: &Took) {
        self.hold.took(took.hold);
        self.provider.took(took.provider);
        self.capture.took(took.capture);
        self.added.took(took.added());
    }
}

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

    /// The call was charged until now, and is over.
    pub(super) fn charged(mut self) -> Took {
        let lap = self.lap();
        self.took.capture += lap;
        TIMINGS.note(&self.took);
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
