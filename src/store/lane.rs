//! The queues of aggregates, and their cached states: one aggregate, one worker at a time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tracing::Span;
use uuid::Uuid;

use super::loading::Loaded;
use super::{Envelope, ExecuteError, Outcome, Stored};

/// States kept in memory; past it, those of aggregates at rest are dropped.
const CACHED_STATES: usize = 100_000 / SHARDS;
const SHARDS: usize = 16;

/// The aggregates of one kind that this process has lately worked on.
pub struct Lane<A: Stored> {
    shards: Vec<Mutex<HashMap<Uuid, Slot<A>>>>,
}

struct Slot<A: Stored> {
    waiting: VecDeque<Waiting<A>>,
    running: bool,
    cached: Option<Loaded<A>>,
}

/// A command in the queue.
pub(super) struct Waiting<A: Stored> {
    pub(super) envelope: Envelope,
    pub(super) command: A::Command,
    /// Its part of a trace.
    pub(super) span: Span,
    pub(super) answer: oneshot::Sender<Answer<A>>,
}

/// What a command's caller is told.
pub(super) type Answer<A> = Result<Outcome<A>, ExecuteError<<A as cqrs_es::Aggregate>::Error>>;

/// The commands that waited, and the cached state.
pub(super) type Taken<A> = (Vec<Waiting<A>>, Option<Loaded<A>>);

/// Somebody's work on an aggregate, until it is dropped. Where that is by a panic, the next who comes begins anew.
pub(super) struct Shift<'a, A: Stored> {
    lane: &'a Lane<A>,
    id: Uuid,
}

impl<'a, A: Stored> Shift<'a, A> {
    pub(super) fn begin(lane: &'a Lane<A>, id: Uuid) -> Self {
        Self { lane, id }
    }
}

impl<A: Stored> Drop for Shift<'_, A> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.lane.break_off(self.id);
        }
    }
}

impl<A: Stored> Default for Lane<A> {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl<A: Stored> Default for Slot<A> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), running: false, cached: None }
    }
}

impl<A: Stored> Lane<A> {
    fn shard(&self, id: Uuid) -> MutexGuard<'_, HashMap<Uuid, Slot<A>>> {
        let shard = usize::from(id.as_bytes()[15]) % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a command; says whether nobody works on the aggregate yet.
    pub(super) fn push(&self, id: Uuid, waiting: Waiting<A>) -> bool {
        let mut shard = self.shard(id);
        if shard.len() >= CACHED_STATES {
            shard.retain(|_, slot| slot.running);
        }
        let slot = shard.entry(id).or_default();
        slot.waiting.push_back(waiting);
        !std::mem::replace(&mut slot.running, true)
    }

    /// The next commands and the cached state; nothing when all is done.
    pub(super) fn take(&self, id: Uuid) -> Option<Taken<A>> {
        let mut shard = self.shard(id);
        let slot = shard.get_mut(&id)?;
        if slot.waiting.is_empty() {
            slot.running = false;
            return None;
        }
        // A repeat of a command waits for the next turn, when the log knows the first.
        let mut seen = HashSet::new();
        let count = slot
            .waiting
            .iter()
            .take(A::COMMANDS_PER_UNIT)
            .take_while(|waiting| seen.insert(waiting.envelope.command_id))
            .count();
        Some((slot.waiting.drain(..count).collect(), slot.cached.take()))
    }

    /// Lets all go that wait for the aggregate, unanswered, and its state: whoever worked on it has broken down.
    fn break_off(&self, id: Uuid) {
        self.shard(id).remove(&id);
    }

    /// Forgets the state, unless somebody works on it, who will find that the log has moved on.
    pub(super) fn forget(&self, id: Uuid) {
        if let Some(slot) = self.shard(id).get_mut(&id) {
            slot.cached = None;
        }
    }

    /// Gives the state back, where it is known.
    pub(super) fn keep(&self, id: Uuid, loaded: Option<Loaded<A>>) {
        if let Some(slot) = self.shard(id).get_mut(&id) {
            slot.cached = loaded;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use aggregates::wallet::{Ask, Wallet, WalletCommand};

    use super::*;
    use crate::store::Metadata;

    fn waits(lane: &Lane<Wallet>, id: Uuid) -> (bool, oneshot::Receiver<Answer<Wallet>>) {
        let (answer, answered) = oneshot::channel();
        let hold = aggregates::id::HoldId(id);
        let command = WalletCommand { now: crate::clock::now(), ask: Ask::ExpireHold { hold } };
        let envelope = Envelope::once(Metadata::default());
        let span = tracing::Span::none();
        (lane.push(id, Waiting { envelope, command, span, answer }), answered)
    }

    #[test]
    fn after_a_panic_nobody_waits_for_whoever_broke_down() {
        let (lane, id) = (Lane::default(), Uuid::now_v7());
        let (is_first, _answered) = waits(&lane, id);
        let (is_second, mut answered) = waits(&lane, id);
        assert!(is_first && !is_second);
        let broken = catch_unwind(AssertUnwindSafe(|| {
            let _shift = Shift::begin(&lane, id);
            panic!("a bug");
        }));
        assert!(broken.is_err());
        assert_eq!(answered.try_recv().err(), Some(oneshot::error::TryRecvError::Closed));
        assert!(waits(&lane, id).0, "the next begins anew");
    }
}
