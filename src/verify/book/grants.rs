//! A wallet's grants: what they have, and what became of the rest.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::facts::{Movement, Terms};
use super::super::report::Credits;
use super::Book;
use super::rules::{Checked, add, fault, more_than_nothing, must, not_negative, same, within};

/// What a grant has, and what has become of the rest of it. As a change: what moves where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::verify) struct Parts {
    pub(in crate::verify) remaining: i64,
    pub(in crate::verify) held: i64,
    pub(in crate::verify) consumed: i64,
    pub(in crate::verify) expired: i64,
    pub(in crate::verify) voided: i64,
    pub(in crate::verify) recovered: i64,
    pub(in crate::verify) repaid: i64,
}

impl Parts {
    /// A change is applied whole or is a fault.
    fn add(&mut self, change: &Self) -> Checked {
        add("I1: what remains of a grant is not negative", &mut self.remaining, change.remaining)?;
        add("I1: what is held of a grant is not negative", &mut self.held, change.held)?;
        add("I1: what a grant paid is not negative", &mut self.consumed, change.consumed)?;
        add("I1: a grant's breakage is not negative", &mut self.expired, change.expired)?;
        add("I1: what was voided is not negative", &mut self.voided, change.voided)?;
        add("I1: what was recovered is not negative", &mut self.recovered, change.recovered)?;
        add("I1: what was repaid is not negative", &mut self.repaid, change.repaid)
    }

    /// All of it.
    pub(in crate::verify) fn sum(&self) -> i128 {
        let Self { remaining, held, consumed, expired, voided, recovered, repaid } = *self;
        [remaining, held, consumed, expired, voided, recovered, repaid].map(i128::from).iter().sum()
    }
}

/// What a movement of each kind of event changes, by its amounts alone.
pub(in crate::verify) mod moves {
    use super::{Movement, Parts};

    pub(in crate::verify) fn voided(m: &Movement) -> Parts {
        Parts { remaining: -m.amount, voided: m.amount, ..Parts::default() }
    }

    pub(in crate::verify) fn expired(m: &Movement) -> Parts {
        Parts { remaining: -m.amount, expired: m.amount, ..Parts::default() }
    }

    pub(in crate::verify) fn held(m: &Movement) -> Parts {
        Parts { remaining: -m.amount, held: m.amount, ..Parts::default() }
    }

    pub(in crate::verify) fn settled(m: &Movement) -> Parts {
        let held = -m.amount.saturating_add(m.released).saturating_add(m.expired);
        let (remaining, consumed, expired) = (m.released, m.amount, m.expired);
        Parts { remaining, held, consumed, expired, ..Parts::default() }
    }

    pub(in crate::verify) fn spent(m: &Movement) -> Parts {
        Parts { remaining: -m.amount, consumed: m.amount, ..Parts::default() }
    }

    pub(in crate::verify) fn given_back(m: &Movement) -> Parts {
        let remaining = m.amount.saturating_sub(m.expired);
        Parts { remaining, consumed: -m.amount, expired: m.expired, ..Parts::default() }
    }

    pub(in crate::verify) fn recovered(m: &Movement) -> Parts {
        let remaining = m.from_expired.saturating_sub(m.amount);
        Parts { remaining, expired: -m.from_expired, recovered: m.amount, ..Parts::default() }
    }

    pub(in crate::verify) fn repaid(m: &Movement) -> Parts {
        Parts { remaining: -m.amount, repaid: m.amount, ..Parts::default() }
    }
}

/// A grant's books.
#[derive(Debug)]
pub(in crate::verify) struct Grant {
    pub(in crate::verify) terms: Terms,
    pub(in crate::verify) parts: Parts,
    pub(in crate::verify) granted_at: DateTime<Utc>,
    pub(in crate::verify) position: i64,
}

/// Kinds in the order in which they are spent, when priority and expiry are equal.
const KINDS: [&str; 7] =
    ["promotional", "quota", "rollover", "bonus", "adjustment", "reinstated", "purchased"];

impl Grant {
    /// The burn order, total: priority, sooner expiry (none last), kind, age, id.
    fn turn(&self) -> (i16, bool, Option<DateTime<Utc>>, usize, DateTime<Utc>, Uuid) {
        let Terms { id, kind, priority, expires_at, .. } = &self.terms;
        let kind = KINDS.iter().position(|known| known == kind).unwrap_or(KINDS.len());
        (*priority, expires_at.is_none(), *expires_at, kind, self.granted_at, *id)
    }

    /// Whether it came of a subscription.
    fn is_of_subscriptions(&self) -> bool {
        matches!(self.terms.kind.as_str(), "quota" | "rollover")
    }

    pub(in crate::verify) fn is_over(&self, at: DateTime<Utc>) -> bool {
        self.terms.expires_at.is_some_and(|expires_at| expires_at <= at)
    }
}

impl Book {
    /// Adds this wallet's credits to those of all.
    pub(in crate::verify) fn count_into(&self, credits: &mut Credits) {
        for Grant { terms, parts, .. } in &self.grants {
            credits.issued += i128::from(terms.amount);
            credits.available += i128::from(parts.remaining);
            credits.held += i128::from(parts.held);
            credits.consumed += i128::from(parts.consumed);
            credits.breakage += i128::from(parts.expired);
            credits.voided += i128::from(parts.voided);
            credits.recovered += i128::from(parts.recovered);
            credits.repaid += i128::from(parts.repaid);
        }
        credits.debt += i128::from(self.debt());
    }

    pub(in crate::verify) fn grant(
        &mut self,
        position: i64,
        terms: Terms,
        at: DateTime<Utc>,
    ) -> Checked {
        more_than_nothing(terms.amount)?;
        let lasts = terms.expires_at.is_none_or(|expires_at| expires_at > at);
        must("a grant arrives before it expires", lasts)?;
        let known = self.grants.iter().any(|grant| grant.terms.id == terms.id);
        must("a grant's id is used once", !known)?;
        add("I1: available fits a number", &mut self.available, terms.amount)?;
        let parts = Parts { remaining: terms.amount, ..Parts::default() };
        self.grants.push(Grant { terms, parts, granted_at: at, position });
        Ok(())
    }

    pub(in crate::verify) fn grant_of(&mut self, id: Uuid) -> Checked<&mut Grant> {
        let grant = self.grants.iter_mut().find(|grant| grant.terms.id == id);
        grant.ok_or_else(|| fault("what moves is a grant of the wallet", "a grant", id))
    }

    /// I4: what a spend may take.
    pub(in crate::verify) fn spendable(
        &self,
        key: Option<Uuid>,
        amount: i64,
        at: DateTime<Utc>,
    ) -> Checked {
        more_than_nothing(amount)?;
        must("I4: nothing is spent while the wallet is frozen", self.frozen.is_none())?;
        same("I4: nothing is spent while there is debt", 0, self.debt())?;
        let suspended = self.grants.iter().filter(|grant| self.sets_aside(grant));
        let suspended: i64 = suspended.map(|grant| grant.parts.remaining).sum();
        let available = self.available - suspended;
        within("I4: no more is spent than is available", amount, available)?;
        self.limits.check(key, amount, at)
    }

    /// Whether a grant pays nothing that is spent now.
    fn sets_aside(&self, grant: &Grant) -> bool {
        self.suspended && grant.is_of_subscriptions()
    }

    /// Moves credits, each grant by the movement's amounts; then what it claims must be so.
    pub(in crate::verify) fn apply(
        &mut self,
        movements: &[Movement],
        at: DateTime<Utc>,
        change: fn(&Movement) -> Parts,
    ) -> Checked {
        not_negative(movements)?;
        for m in movements {
            let change = change(m);
            let grant = self.grant_of(m.grant)?;
            grant.parts.add(&change)?;
            let over = grant.is_over(at);
            let breakage = change.expired > 0;
            must("breakage is only what has expired", over || !breakage)?;
            must("nothing comes back to an expired grant", !over || change.remaining <= 0)?;
            let (granted, all) = (i128::from(grant.terms.amount), grant.parts.sum());
            if granted != all {
                return Err(fault("I2: a grant is the sum of what became of it", granted, all));
            }
            same(
                "a grant's claimed remaining is that of the books",
                grant.parts.remaining,
                m.remaining,
            )?;
            same("a grant's claimed held is that of the books", grant.parts.held, m.held)?;
            add("I1: available is not negative", &mut self.available, change.remaining)?;
            add("I1: held is not negative", &mut self.held, change.held)?;
            add("I1: consumed is not negative", &mut self.consumed, change.consumed)?;
        }
        Ok(())
    }

    /// The same for credits that are used: an expired grant has none.
    pub(in crate::verify) fn burn(
        &mut self,
        movements: &[Movement],
        at: DateTime<Utc>,
        change: fn(&Movement) -> Parts,
    ) -> Checked {
        self.used(movements, at)?;
        self.apply(movements, at, change)?;
        self.in_turn(movements, at, |_| true)
    }

    /// The same for credits that are spent: what is suspended has no turn.
    pub(in crate::verify) fn spend(
        &mut self,
        movements: &[Movement],
        at: DateTime<Utc>,
        change: fn(&Movement) -> Parts,
    ) -> Checked {
        let suspended = self.suspended;
        for m in movements.iter().filter(|_| suspended) {
            let suspended = self.grant_of(m.grant)?.is_of_subscriptions();
            must("I4: nothing of suspended quota is spent", !suspended)?;
        }
        self.used(movements, at)?;
        self.apply(movements, at, change)?;
        self.in_turn(movements, at, |grant| !(suspended && grant.is_of_subscriptions()))
    }

    fn used(&mut self, movements: &[Movement], at: DateTime<Utc>) -> Checked {
        for m in movements {
            let grant = self.grant_of(m.grant)?;
            must("I4: nothing of an expired grant is spent", !grant.is_over(at))?;
            more_than_nothing(m.amount)?;
        }
        Ok(())
    }

    /// No grant was left out whose turn was before the last that paid.
    fn in_turn(
        &mut self,
        movements: &[Movement],
        at: DateTime<Utc>,
        pays: impl Fn(&Grant) -> bool,
    ) -> Checked {
        let Some(last) = movements.last() else { return Ok(()) };
        let last = self.grant_of(last.grant)?.turn();
        let mut paying = self.grants.iter().filter(|grant| pays(grant));
        let skipped = paying
            .find(|grant| grant.parts.remaining > 0 && !grant.is_over(at) && grant.turn() < last);
        match skipped {
            Some(grant) => Err(fault("grants pay in burn order", "nothing left", grant.terms.id)),
            None => Ok(()),
        }
    }
}
