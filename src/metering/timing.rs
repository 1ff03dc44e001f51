//! Where the time of a metered call goes: to its hold, to its provider, and to its capture. What the first
//! and the last take is what metering adds.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The longest time of each bucket but the last, in microseconds.
pub const BUCKETS: [u64; 15] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000, 15_000_000, 60_000_000,
];

static TIMINGS: Timings = Timings {
    hold: Histogram::new(),
    provider: Histogram::new(),
    capture: Histogram::new(),
    added: Histogram::new(),
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
        self.hold.note(took.hold);
        self.provider.note(took.provider);
        self.capture.note(took.capture);
        self.added.note(took.added());
    }
}

/// How many took how long; counting waits for nobody.
#[derive(Debug)]
pub struct Histogram {
    counts: [AtomicU64; BUCKETS.len() + 1],
    microseconds: AtomicU64,
}

/// A [`Histogram`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// How many took no longer than each of [`BUCKETS`], and longer than the one before; at the end, how
    /// many took longer than all.
    pub counts: [u64; BUCKETS.len() + 1],
    /// What all of them took.
    pub total: Duration,
}

impl Histogram {
    const fn new() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; BUCKETS.len() + 1],
            microseconds: AtomicU64::new(0),
        }
    }

    fn note(&self, took: Duration) {
        let took = microseconds(took);
        let bucket = BUCKETS.partition_point(|longest| *longest < took);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.microseconds.fetch_add(took, Relaxed);
    }

    /// What was counted until now. Calls that end meanwhile may be in one figure and not yet in another.
    #[must_use]
    pub fn distribution(&self) -> Distribution {
        Distribution {
            counts: self.counts.each_ref().map(|count| count.load(Relaxed)),
            total: Duration::from_micros(self.microseconds.load(Relaxed)),
        }
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
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
    fn a_time_is_counted_in_the_first_bucket_that_is_long_enough() {
        let histogram = Histogram::new();
        for took in [0, 250, 251, 5_000, 60_000_000, 60_000_001] {
            histogram.note(Duration::from_micros(took));
        }
        let Distribution { counts, total } = histogram.distribution();
        assert_eq!(counts, [2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(total, Duration::from_micros(120_005_502));
    }

    #[test]
    fn what_metering_adds_is_the_hold_and_the_capture() {
        let [hold, provider, capture] = [2, 50, 3].map(Duration::from_millis);
        assert_eq!(Took { hold, provider, capture }.added(), Duration::from_millis(5));
    }
}
