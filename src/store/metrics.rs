//! What the write side counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use aggregates::event::Event;
use aggregates::wallet::WalletEvent;
use projections::journal::Recorded;

use crate::counters::{Distribution, Histogram};

/// The most events of each bucket of batches but the last.
const SIZES: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/// Counters of the write side since the process started; cheap to share.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    sizes: Histogram,
    durations: Histogram,
    conflicts: AtomicU64,
    duplicates: AtomicU64,
    retries: AtomicU64,
    failures: AtomicU64,
    issued: AtomicU64,
    consumed: AtomicU64,
    reversed: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Batches that were sent to the log, by their events.
    pub sizes: Distribution,
    /// How long they took, in microseconds, until the log answered or was given up.
    pub durations: Distribution,
    /// Units that found their stream further on than expected.
    pub conflicts: u64,
    /// Units that held a command the log knew.
    pub duplicates: u64,
    /// Batches that were sent again, since the log was lost.
    pub retries: u64,
    /// Batches that the log did not take: it could not be reached, or refused what they hold.
    pub failures: u64,
    /// Credits that came into wallets by what was appended here.
    pub issued: u64,
    /// Credits that were spent for good by what was appended here.
    pub consumed: u64,
    /// Of those, what came back.
    pub reversed: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            sizes: Histogram::new(&SIZES),
            durations: Histogram::of_times(),
            conflicts: AtomicU64::default(),
            duplicates: AtomicU64::default(),
            retries: AtomicU64::default(),
            failures: AtomicU64::default(),
            issued: AtomicU64::default(),
            consumed: AtomicU64::default(),
            reversed: AtomicU64::default(),
        }
    }
}

impl Metrics {
    pub(super) fn batch(&self, events: usize, took: Duration) {
        self.0.sizes.note(events as u64);
        self.0.durations.took(took);
    }

    pub(super) fn conflict(&self) {
        self.0.conflicts.fetch_add(1, Relaxed);
    }

    pub(super) fn duplicate(&self) {
        self.0.duplicates.fetch_add(1, Relaxed);
    }

    pub(super) fn retry(&self) {
        self.0.retries.fetch_add(1, Relaxed);
    }

    pub(super) fn failure(&self) {
        self.0.failures.fetch_add(1, Relaxed);
    }

    /// Counts the credits that moved. What the log took without our hearing of it is not among them: it
    /// answers as a duplicate.
    pub(super) fn appended(&self, recorded: &[Recorded]) {
        for event in recorded.iter().filter_map(|recorded| match &recorded.event {
            Event::Wallet(event) => Some(&**event),
            _ => None,
        }) {
            let (counter, amount) = match event {
                WalletEvent::HoldCaptured { amount, .. } | WalletEvent::Debited { amount, .. } => {
                    (&self.0.consumed, *amount)
                }
                WalletEvent::HoldLateCaptured { amount, uncovered, .. } => {
                    (&self.0.consumed, amount.saturating_sub(*uncovered))
                }
                WalletEvent::DebitReversed { amount, .. } => (&self.0.reversed, *amount),
                event => match event.granted() {
                    Some(grant) => (&self.0.issued, grant.amount),
                    None => continue,
                },
            };
            counter.fetch_add(u64::try_from(amount.get()).unwrap_or_default(), Relaxed);
        }
    }

    /// The counters now.
    #[must_use]
    pub fn counted(&self) -> Figures {
        let counters = &*self.0;
        Figures {
            sizes: counters.sizes.distribution(),
            durations: counters.durations.distribution(),
            conflicts: counters.conflicts.load(Relaxed),
            duplicates: counters.duplicates.load(Relaxed),
            retries: counters.retries.load(Relaxed),
            failures: counters.failures.load(Relaxed),
            issued: counters.issued.load(Relaxed),
            consumed: counters.consumed.load(Relaxed),
            reversed: counters.reversed.load(Relaxed),
        }
    }
}
