//! The order of the log and its hashes: positions, times, commands, batches, signed heads.

use std::collections::{HashMap, VecDeque};

use uuid::Uuid;

use super::events::Link;
use super::once::Once;
use super::report::{Kind, Report};
use super::rows::{Fields, time};
use crate::store::hash::batch_hash;
use crate::store::heads::{Head, Ring, SignedHead};
use crate::store::hex;

/// A row of `batches`.
pub(super) struct Batch {
    first: i64,
    last: i64,
    recorded_at: i64,
    previous: Vec<u8>,
    hash: Vec<u8>,
}

impl Batch {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            first: fields.i64()?,
            last: fields.i64()?,
            recorded_at: fields.micros()?,
            previous: fields.bytes()?.to_vec(),
            hash: fields.bytes()?.to_vec(),
        })
    }
}

/// The columns of batches, in the order in which they are read.
pub(super) const TABLE: &str = "select first_position, last_position, recorded_at, \
     previous_hash, hash from public.batches order by first_position";

/// The chain so far.
pub(super) struct Chain {
    /// The end of the log in this transaction.
    head: Head,
    /// The last position that was read.
    position: i64,
    recorded_at: i64,
    command: (Uuid, i16),
    /// One outcome for each.
    commands: Once,
    /// Batches that have events to come.
    open: VecDeque<Batch>,
    leaves: Vec<[u8; 32]>,
    /// The end of the batches that were read.
    last: Head,
    signed: HashMap<i64, Vec<SignedHead>>,
}

/// What the chain starts from, as the first migration computes it.
fn genesis() -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest("saldo log, version 1").into()
}

impl Chain {
    pub(super) fn new(head: Head, signed: &[SignedHead], ring: &Ring, report: &mut Report) -> Self {
        let mut by_position: HashMap<i64, Vec<SignedHead>> = HashMap::new();
        for signed in signed {
            let position = signed.head.position;
            if let Err(error) = ring.check(signed) {
                let place = format_args!("signed head {position}");
                report.find(Kind::Signature, place, "a head is signed by us", "a signature", error);
            } else {
                by_position.entry(position).or_default().push(signed.clone());
            }
        }
        // The head may be tampered with: no more room than for a log of ten million events.
        let expected = usize::try_from(head.position).unwrap_or(0).min(10_000_000);
        let last = Head { position: 0, hash: genesis(), recorded_at: chrono::DateTime::UNIX_EPOCH };
        Self {
            head,
            position: 0,
            recorded_at: 0,
            command: (Uuid::nil(), -1),
            commands: Once::with_capacity(expected),
            open: VecDeque::new(),
            leaves: Vec::new(),
            last,
            signed: by_position,
        }
    }

    /// Whether the batch of the event at this position has not come yet.
    pub(super) fn wants_batch(&self, position: i64) -> bool {
        self.last.position < position
    }

    /// A batch, in order; its events come later.
    pub(super) fn batch(&mut self, batch: Batch, report: &mut Report) {
        report.batches += 1;
        let place = Place("batch", batch.first);
        let next = self.last.position + 1;
        if batch.first != next || batch.last < batch.first {
            let found = format_args!("{} to {}", batch.first, batch.last);
            report.find(Kind::Chain, place, "batches cover the log without holes", next, found);
        }
        if batch.previous != self.last.hash {
            let (expected, found) = (hex(&self.last.hash), hex(&batch.previous));
            report.find(Kind::Chain, place, "a batch continues the one before", expected, found);
        }
        let before = self.last.recorded_at.timestamp_micros();
        if batch.recorded_at < before {
            let found = time(batch.recorded_at);
            report.find(Kind::Time, place, "time does not go back", time(before), found);
        }
        let recorded_at = chrono::DateTime::from_timestamp_micros(batch.recorded_at);
        self.last = Head {
            position: batch.last,
            hash: batch.hash.as_slice().try_into().unwrap_or_default(),
            recorded_at: recorded_at.unwrap_or_default(),
        };
        for signed in self.signed.remove(&batch.last).unwrap_or_default() {
            report.heads += 1;
            if signed.head != self.last {
                let (expected, found) = (told(&signed.head), told(&self.last));
                report.find(Kind::Head, place, "the log is what was signed", expected, found);
            }
        }
        self.open.push_back(batch);
    }

    /// An event, in order.
    pub(super) fn event(&mut self, event: &Link, report: &mut Report) {
        report.events += 1;
        let place = Place("position", event.position);
        if event.position != self.position + 1 {
            let expected = self.position + 1;
            report.find(Kind::Position, place, "positions have no holes", expected, event.position);
        }
        if event.position > self.head.position {
            let head = format_args!("{} or less", self.head.position);
            report.find(Kind::Position, place, "no event is beyond the head", head, event.position);
        }
        self.position = event.position;
        if event.recorded_at < self.recorded_at {
            let (expected, found) = (time(self.recorded_at), time(event.recorded_at));
            report.find(Kind::Time, place, "time does not go back", expected, found);
        }
        self.recorded_at = event.recorded_at;
        self.command(event, report);
        self.leaf(event, report);
    }

    /// The events of a command follow one another, numbered from 0.
    fn command(&mut self, event: &Link, report: &mut Report) {
        let place = Place("position", event.position);
        let (command, ordinal) = self.command;
        if event.ordinal == 0 {
            if !self.commands.insert(event.command_id) {
                let found = event.command_id;
                report.find(Kind::Command, place, "a command has one outcome", "a new one", found);
            }
        } else if (event.command_id, event.ordinal) != (command, ordinal.saturating_add(1)) {
            let expected = "the event after the one before, or the first of another";
            let found = format_args!("{} of {}", event.ordinal, event.command_id);
            report.find(Kind::Command, place, "a command's events are whole", expected, found);
        }
        self.command = (event.command_id, event.ordinal);
    }

    fn leaf(&mut self, event: &Link, report: &mut Report) {
        while self.open.front().is_some_and(|batch| batch.last < event.position) {
            self.close(report);
        }
        let place = Place("position", event.position);
        let Some(batch) = self.open.front().filter(|batch| batch.first <= event.position) else {
            report.find(Kind::Chain, place, "every event is in a batch", "a batch", "none");
            return;
        };
        if batch.recorded_at != event.recorded_at {
            let (expected, found) = (time(batch.recorded_at), time(event.recorded_at));
            report.find(Kind::Time, place, "an event has its batch's time", expected, found);
        }
        self.leaves.push(event.leaf);
    }

    /// A batch has all of its events.
    fn close(&mut self, report: &mut Report) {
        let Some(batch) = self.open.pop_front() else { return };
        let Batch { first, last, recorded_at, previous, hash } = batch;
        let computed = batch_hash(&previous, first, last, recorded_at, &self.leaves);
        self.leaves.clear();
        if computed[..] != hash[..] {
            let place = Place("batch", first);
            let (expected, found) = (hex(&computed), hex(&hash));
            report.find(Kind::Chain, place, "a batch's hash covers its events", expected, found);
        }
    }

    /// The log was read to its end.
    pub(super) fn end(mut self, report: &mut Report) {
        while !self.open.is_empty() {
            self.close(report);
        }
        if self.position < self.head.position {
            let (expected, found) = (self.head.position, self.position);
            report.find(Kind::Position, "the end", "the log reaches its head", expected, found);
        }
        if self.last != self.head {
            let (expected, found) = (told(&self.last), told(&self.head));
            report.find(Kind::Chain, "the head", "the head is the last batch", expected, found);
        }
        let mut left: Vec<_> = self.signed.into_values().flatten().collect();
        left.sort_by_key(|signed| signed.head.position);
        for SignedHead { head, .. } in left {
            let place = Place("signed head", head.position);
            let found = told(&self.last);
            report.find(Kind::Head, place, "the log is what was signed", told(&head), found);
        }
    }
}

#[derive(Clone, Copy)]
struct Place(&'static str, i64);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}

fn told(head: &Head) -> String {
    let Head { position, hash, recorded_at } = head;
    format!("{position} at {} with {}", recorded_at.to_rfc3339(), hex(hash))
}
