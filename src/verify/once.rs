//! Ids of which none may come twice. They begin with a time (version 7 of RFC 9562) and come nearly in
//! order, so that a list that is kept in order wants no table of hashes: a table of millions is not in
//! the processor's cache, and each look-up in it would cost more than all else that the chain does with
//! an event.

use std::collections::HashSet;

use foldhash::fast::RandomState;
use uuid::Uuid;

/// How many places an id is moved towards its own at most: as many as commands were under way at once.
const NEAR: usize = 1024;

/// Ids that have come so far: 16 bytes of memory for each.
#[derive(Debug, Default)]
pub(super) struct Once {
    ordered: Vec<Uuid>,
    /// Those that came long after a later one.
    late: HashSet<Uuid, RandomState>,
}

impl Once {
    /// Room for so many.
    pub(super) fn with_capacity(expected: usize) -> Self {
        Self { ordered: Vec::with_capacity(expected), late: HashSet::default() }
    }

    /// Enters an id; whether it is the first time.
    pub(super) fn insert(&mut self, id: Uuid) -> bool {
        if self.ordered.last().is_none_or(|last| *last < id) {
            self.ordered.push(id);
            return true;
        }
        let near = self.ordered.len().saturating_sub(NEAR);
        match self.ordered[near..].binary_search(&id) {
            Ok(_) => false,
            // Its place may be farther back.
            Err(0) if near > 0 => {
                self.ordered[..near].binary_search(&id).is_err() && self.late.insert(id)
            }
            Err(place) => {
                let new = !self.late.contains(&id);
                if new {
                    self.ordered.insert(near + place, id);
                }
                new
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::{NEAR, Once};

    proptest! {
        /// In whatever order, and however often, they come: it says what a set says.
        #[test]
        fn an_id_is_new_once(steps in proptest::collection::vec((0..40_u128, any::<bool>()), 1..4_000)) {
            let (mut once, mut set, mut last) = (Once::default(), HashSet::new(), 0_u128);
            for (step, far) in steps {
                let back = if far { step * NEAR as u128 } else { step };
                last += 7;
                let id = Uuid::from_u128(last.saturating_sub(back));
                prop_assert_eq!(once.insert(id), set.insert(id));
            }
        }
    }
}
