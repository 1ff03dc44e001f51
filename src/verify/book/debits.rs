//! What each debit took, and what of it was given back.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use uuid::Uuid;

/// Credits that a debit, or a reversed capture, took and gave back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    pub(super) amount: i64,
    pub(super) reversed: i64,
}

/// The debits of a wallet. Their ids begin with a time (version 7 of RFC 9562) and mostly come in
/// order; a list that is in order wants no table of hashes, whose misses in the processor's cache
/// would be half of what following a debit costs.
#[derive(Debug, Default)]
pub(super) struct Debits {
    ordered: Vec<(Uuid, Spent)>,
    /// Those that came after a later one.
    others: HashMap<Uuid, Spent, RandomState>,
}

impl Debits {
    /// Enters a debit, unless there is one of that id.
    pub(super) fn add(&mut self, id: Uuid, amount: i64) -> bool {
        let new = self.is_last(id) || self.get(id).is_none();
        if new {
            self.set(id, Spent { amount, reversed: 0 });
        }
        new
    }

    pub(super) fn get(&self, id: Uuid) -> Option<Spent> {
        match self.find(id) {
            Ok(at) => self.ordered.get(at).map(|(_, spent)| *spent),
            Err(_) => self.others.get(&id).copied(),
        }
    }

    /// Enters what is now known of an id.
    pub(super) fn set(&mut self, id: Uuid, spent: Spent) {
        if self.is_last(id) {
            self.ordered.push((id, spent));
        } else if let Ok(at) = self.find(id) {
            self.ordered[at].1 = spent;
        } else {
            self.others.insert(id, spent);
        }
    }

    /// What was given back, by id.
    pub(super) fn reversed(&self) -> impl Iterator<Item = (Uuid, i64)> {
        let others = self.others.iter().map(|(id, spent)| (*id, spent.reversed));
        let all = self.ordered.iter().map(|(id, spent)| (*id, spent.reversed)).chain(others);
        all.filter(|(_, reversed)| *reversed > 0)
    }

    /// Whether an id comes after all that are in order.
    fn is_last(&self, id: Uuid) -> bool {
        self.ordered.last().is_none_or(|(last, _)| *last < id)
    }

    fn find(&self, id: Uuid) -> Result<usize, usize> {
        self.ordered.binary_search_by_key(&id, |(id, _)| *id)
    }
}
