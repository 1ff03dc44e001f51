//! How many were how large.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The most bounds that a histogram has.
const MOST: usize = 15;

/// The longest time of each bucket but the last, in microseconds.
pub const TIMES: [u64; MOST] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000, 15_000_000, 60_000_000,
];

/// How many were how large; counting waits for nobody.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    counts: [AtomicU64; MOST + 1],
    total: AtomicU64,
}

/// A [`Histogram`] at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// The largest of each bucket but the last.
    pub bounds: &'static [u64],
    /// How many were no larger than each of the bounds, and larger than the one before; at the end, how many
    /// were larger than all.
    pub counts: Vec<u64>,
    /// All of them together.
    pub total: u64,
}

impl Histogram {
    /// Nothing yet, by bounds that grow.
    ///
    /// # Panics
    ///
    /// When there are more than 15 of them.
    #[must_use]
    pub const fn new(bounds: &'static [u64]) -> Self {
        assert!(bounds.len() <= MOST, "a histogram has room for so many bounds");
        Self { bounds, counts: [const { AtomicU64::new(0) }; MOST + 1], total: AtomicU64::new(0) }
    }

    /// Times, in microseconds.
    #[must_use]
    pub const fn of_times() -> Self {
        Self::new(&TIMES)
    }

    /// Counts one that is so large.
    pub fn note(&self, size: u64) {
        let bucket = self.bounds.partition_point(|largest| *largest < size);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.total.fetch_add(size, Relaxed);
    }

    /// Counts one that took so long.
    pub fn took(&self, time: Duration) {
        self.note(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// What was counted until now. What ends meanwhile may be in one figure and not yet in another.
    #[must_use]
    pub fn distribution(&self) -> Distribution {
        let counts = self.counts.iter().take(self.bounds.len() + 1);
        Distribution {
            bounds: self.bounds,
            counts: counts.map(|count| count.load(Relaxed)).collect(),
            total: self.total.load(Relaxed),
        }
    }
}

impl Distribution {
    /// How long all took, where times were counted.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_micros(self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_the_first_bucket_that_is_long_enough() {
        let histogram = Histogram::of_times();
        for took in [0, 250, 251, 5_000, 60_000_000, 60_000_001] {
            histogram.took(Duration::from_micros(took));
        }
        let distribution = histogram.distribution();
        assert_eq!(distribution.counts, [2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(distribution.time(), Duration::from_micros(120_005_502));
    }
}
