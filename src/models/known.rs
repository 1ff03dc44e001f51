//! Who has which tier, as it was looked up a moment ago: whoever calls models calls them often, and each look
//! at the database would keep the call waiting.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aggregates::id::UserId;

use super::Tier;

/// For how long what was looked up is good. A plan that has just begun counts at once where without it a call is
/// refused, and otherwise after this long; one that has ended lasts this much longer.
const GOOD: Duration = Duration::from_secs(5);
/// People who are remembered; past it, all are forgotten, which costs a look each.
const MOST: usize = 100_000;

/// Who has which tier.
#[derive(Debug, Default)]
pub struct KnownTiers(Mutex<HashMap<UserId, (Instant, Tier)>>);

impl KnownTiers {
    /// The person's tier, where it was looked up lately.
    #[must_use]
    pub fn of(&self, user: UserId) -> Option<Tier> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&user).filter(|(at, _)| at.elapsed() < GOOD).map(|(_, tier)| *tier)
    }

    /// What was looked up: as it was at `asked`, or later.
    pub fn note(&self, user: UserId, asked: Instant, tier: Tier) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(user, (asked, tier));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_was_looked_up_is_good_for_a_while_from_the_question_on() {
        let (known, user) = (KnownTiers::default(), UserId(Uuid::now_v7()));
        assert_eq!(known.of(user), None);
        known.note(user, Instant::now(), Tier::Pro);
        assert_eq!(known.of(user), Some(Tier::Pro));
        let long_ago = Instant::now().checked_sub(GOOD).expect("the clock is older");
        known.note(user, long_ago, Tier::Pro);
        assert_eq!(known.of(user), None);
    }
}
