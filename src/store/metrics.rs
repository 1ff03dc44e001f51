//! What the write side counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of the write side since the process started; cheap to share.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    batches: AtomicU64,
    events: AtomicU64,
    conflicts: AtomicU64,
    duplicates: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Counted {
    /// Calls of `append_events`.
    pub batches: u64,
    /// Events sent in them.
    pub events: u64,
    /// Units that found their stream further on than expected.
    pub conflicts: u64,
    /// Units that held a command the log knew.
    pub duplicates: u64,
}

impl Metrics {
    pub(super) fn batch(&self, events: usize) {
        self.0.batches.fetch_add(1, Relaxed);
        self.0.events.fetch_add(events as u64, Relaxed);
    }

    pub(super) fn conflict(&self) {
        self.0.conflicts.fetch_add(1, Relaxed);
    }

    pub(super) fn duplicate(&self) {
        self.0.duplicates.fetch_add(1, Relaxed);
    }

    /// The counters now.
    #[must_use]
    pub fn counted(&self) -> Counted {
        Counted {
            batches: self.0.batches.load(Relaxed),
            events: self.0.events.load(Relaxed),
            conflicts: self.0.conflicts.load(Relaxed),
            duplicates: self.0.duplicates.load(Relaxed),
        }
    }
}
