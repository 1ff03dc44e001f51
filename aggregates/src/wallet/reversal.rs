//! Refunds and disputes: what was granted for a payment follows what of the payment stands.
//!
//! Convergent: only the difference between the target and what was reversed so far is booked, so
//! order and repetition of the causes do not matter.

use std::cmp::Ordering;

use chrono::{DateTime, TimeDelta, Utc};

use super::burn::{Into, burn_key, total};
use super::draft::Draft;
use super::error::WalletError;
use super::event::WalletEvent;
use super::state::Group;
use super::terms::{Funding, GrantKind, GrantTerms, Movement, Priority};
use crate::credits::{Credits, NotCredits};
use crate::id::{GrantId, ReversalGroup};

/// How long restored credits last, when the grant they came from has expired meanwhile.
const GRACE: TimeDelta = TimeDelta::days(30);

impl Group {
    /// What is reversed so far: recovered + indebted − reinstated.
    fn net(&self) -> Result<Credits, NotCredits> {
        self.recovered
            .checked_add(self.indebted)?
            .checked_sub(self.forgiven)?
            .checked_sub(self.restored)
    }

    /// What of `granted` credits is to be reversed, rounded in the customer's favour.
    fn target(&self, granted: Credits) -> Result<Credits, NotCredits> {
        if self.reversed_minor == self.paid_minor {
            return Ok(granted);
        }
        let share = i128::from(granted.get()) * i128::from(self.reversed_minor)
            / i128::from(self.paid_minor.max(1));
        i64::try_from(share).map_err(|_| NotCredits).and_then(Credits::try_from)
    }
}

impl Draft {
    /// Books the difference between the group's target and what was reversed so far.
    pub(super) fn converge(&mut self, id: ReversalGroup) -> Result<(), WalletError> {
        let Some(group) = self.wallet.groups.get(&id).filter(|group| group.paid_minor > 0) else {
            return Ok(());
        };
        let (mut target, mut most, mut held) = (Credits::ZERO, Credits::ZERO, Credits::ZERO);
        for grant in self.wallet.grants.values().filter(|g| g.reversal_group == Some(id)) {
            let reversible = grant.amount.checked_sub(grant.voided)?;
            target = target.checked_add(group.target(grant.amount)?.min(reversible))?;
            most = most.checked_add(reversible)?;
            held = held.checked_add(grant.held)?;
        }
        let net = group.net()?;
        match target.cmp(&net) {
            Ordering::Greater => {
                // What is held is looked at again when its hold ends.
                let beyond_held = most.saturating_sub(held).saturating_sub(net);
                self.claw_back(id, target.checked_sub(net)?, beyond_held)
            }
            Ordering::Less => self.reinstate(id, net.checked_sub(target)?),
            Ordering::Equal => Ok(()),
        }
    }

    /// Takes `delta` from what remains of the group's grants, then from what they lost to expiry;
    /// the consumed part becomes debt, at most `most` in all.
    fn claw_back(
        &mut self,
        group: ReversalGroup,
        delta: Credits,
        most: Credits,
    ) -> Result<(), WalletError> {
        let mut movements =
            self.wallet.burn(delta, Into::Spent, |g| g.reversal_group == Some(group))?;
        let from_remaining = total(&movements)?;
        let from_expired =
            self.recover_expired(group, delta.checked_sub(from_remaining)?, &mut movements)?;
        let recovered = from_remaining.checked_add(from_expired)?;
        let indebted = delta.checked_sub(recovered)?.min(most.saturating_sub(recovered));
        if recovered.is_zero() && indebted.is_zero() {
            return Ok(());
        }
        let balance = self.balance().less_available(from_remaining)?.more_debt(indebted)?;
        let at = self.now;
        self.emit(WalletEvent::ClawedBack { group, recovered, indebted, movements, balance, at });
        Ok(())
    }

    /// Counts up to `amount` of what the group's grants lost to expiry as recovered.
    fn recover_expired(
        &self,
        group: ReversalGroup,
        amount: Credits,
        movements: &mut Vec<Movement>,
    ) -> Result<Credits, WalletError> {
        let mut lost: Vec<_> = self
            .wallet
            .grants()
            .filter(|(_, g)| g.reversal_group == Some(group) && !g.expired.is_zero())
            .collect();
        lost.sort_by_key(|(id, grant)| burn_key(*id, grant));
        let mut left = amount;
        for (id, grant) in lost {
            let part = left.min(grant.expired);
            if part.is_zero() {
                break;
            }
            left = left.checked_sub(part)?;
            if let Some(movement) = movements.iter_mut().find(|movement| movement.grant == id) {
                movement.amount = movement.amount.checked_add(part)?;
                movement.from_expired = part;
                continue;
            }
            movements.push(Movement {
                grant: id,
                amount: part,
                released: Credits::ZERO,
                expired: Credits::ZERO,
                from_expired: part,
                remaining: grant.remaining,
                held: grant.held,
            });
        }
        Ok(amount.checked_sub(left)?)
    }

    /// Forgives what is still owed for the group, and restores the rest as a grant of its own.
    fn reinstate(&mut self, id: ReversalGroup, back: Credits) -> Result<(), WalletError> {
        let Some(group) = self.wallet.groups.get(&id) else { return Ok(()) };
        let owed = group.indebted.saturating_sub(group.forgiven).min(self.balance().debt);
        let debt_forgiven = back.min(owed);
        let amount = back.checked_sub(debt_forgiven)?;
        let restored = (!amount.is_zero()).then(|| GrantTerms {
            id: GrantId::derive(id.0, &format!("restoration {}", group.restorations)),
            kind: GrantKind::Reinstated,
            amount,
            priority: Priority::default(),
            expires_at: self.restored_expiry(id),
            funding: Funding::Reinstatement,
            reversal_group: None,
        });
        let balance = self.balance().less_debt(debt_forgiven)?.more_available(amount)?;
        let at = self.now;
        self.emit(WalletEvent::Reinstated { group: id, debt_forgiven, restored, balance, at });
        Ok(())
    }

    /// The latest expiry of the group's grants; some grace when that is over; none when one of
    /// them never expires.
    fn restored_expiry(&self, id: ReversalGroup) -> Option<DateTime<Utc>> {
        let grants = self.wallet.grants.values().filter(|g| g.reversal_group == Some(id));
        let expiries: Option<Vec<_>> = grants.map(|grant| grant.expires_at).collect();
        let latest = expiries?.into_iter().max()?;
        Some(if latest > self.now { latest } else { self.now + GRACE })
    }
}
