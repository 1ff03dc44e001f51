//! Holds: credits move from available to held, and from there are spent or go back.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::burn::{Into, burn_key, total};
use super::command::Spend;
use super::draft::{Draft, check_price};
use super::error::WalletError;
use super::event::WalletEvent;
use super::state::Hold;
use super::terms::{Balance, By, HoldFigures, Movement, Usage};
use crate::credits::Credits;
use crate::id::{ApiKeyId, HoldId};

/// What becomes of what a capture leaves open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Stays,
    GoesBack,
}

/// What a hold's end, or a capture, moves.
struct Settlement {
    movements: Vec<Movement>,
    /// Back in grants, or breakage.
    released: Credits,
    balance: Balance,
}

impl Draft {
    pub(super) fn authorize(
        &mut self,
        hold: HoldId,
        spend: Spend,
        expires_at: DateTime<Utc>,
    ) -> Result<(), WalletError> {
        let Spend { by, amount, price, reason } = spend;
        let By { origin, key } = by;
        if let Some(known) = self.wallet.holds.get(&hold) {
            let same = known.by() == by && known.figures.authorized == amount;
            return if same { Ok(()) } else { Err(WalletError::HoldIdTaken) };
        }
        if expires_at <= self.now {
            return Err(WalletError::HoldExpiryPast);
        }
        check_price(&price)?;
        self.check_spendable(amount, key)?;
        let movements = self.wallet.burn(amount, Into::Hold, |grant| self.may_pay(grant))?;
        let balance = self.balance().less_available(amount)?.more_held(amount)?;
        let figures = HoldFigures {
            authorized: amount,
            captured: Credits::ZERO,
            released: Credits::ZERO,
            expires_at,
        };
        let at = self.now;
        self.emit(WalletEvent::HoldAuthorized {
            hold,
            origin,
            key,
            amount,
            figures,
            movements,
            price,
            reason,
            balance,
            at,
        });
        Ok(())
    }

    pub(super) fn increment(
        &mut self,
        hold: HoldId,
        by: By,
        amount: Credits,
    ) -> Result<(), WalletError> {
        let &Hold { key, figures, .. } = self.open_hold(hold, by)?;
        self.check_spendable(amount, key)?;
        let movements = self.wallet.burn(amount, Into::Hold, |grant| self.may_pay(grant))?;
        let balance = self.balance().less_available(amount)?.more_held(amount)?;
        let figures =
            HoldFigures { authorized: figures.authorized.checked_add(amount)?, ..figures };
        let at = self.now;
        self.emit(WalletEvent::HoldIncremented { hold, amount, figures, movements, balance, at });
        Ok(())
    }

    pub(super) fn extend(
        &mut self,
        hold: HoldId,
        by: By,
        expires_at: DateTime<Utc>,
    ) -> Result<(), WalletError> {
        let figures = self.open_hold(hold, by)?.figures;
        if expires_at == figures.expires_at {
            return Ok(());
        }
        if expires_at <= self.now || expires_at < figures.expires_at {
            return Err(WalletError::HoldExpiryPast);
        }
        let figures = HoldFigures { expires_at, ..figures };
        self.emit(WalletEvent::HoldExtended { hold, figures, at: self.now });
        Ok(())
    }

    /// A capture that leaves nothing open is the last.
    pub(super) fn capture(
        &mut self,
        hold: HoldId,
        by: By,
        amount: Credits,
        last: bool,
        usage: Option<Usage>,
    ) -> Result<(), WalletError> {
        let known = self.open_hold(hold, by)?.clone();
        let open = known.open();
        if amount > open {
            return Err(WalletError::MoreThanHeld { asked: amount, open });
        }
        let last = last || amount == open;
        if amount.is_zero() && !last {
            return Err(WalletError::NothingAsked);
        }
        let rest = if last { Rest::GoesBack } else { Rest::Stays };
        let Settlement { movements, released, balance } = self.settle(&known, amount, rest)?;
        let figures = HoldFigures {
            captured: known.figures.captured.checked_add(amount)?,
            released: known.figures.released.checked_add(released)?,
            ..known.figures
        };
        let at = self.now;
        self.emit(WalletEvent::HoldCaptured {
            hold,
            amount,
            released,
            last,
            figures,
            usage,
            movements,
            balance,
            at,
        });
        self.after_holding(&known)
    }

    pub(super) fn release(
        &mut self,
        hold: HoldId,
        by: By,
        reason: String,
    ) -> Result<(), WalletError> {
        let known = self.open_hold(hold, by)?.clone();
        let Settlement { movements, released: amount, balance } =
            self.settle(&known, Credits::ZERO, Rest::GoesBack)?;
        let released = known.figures.released.checked_add(amount)?;
        let figures = HoldFigures { released, ..known.figures };
        let at = self.now;
        self.emit(WalletEvent::HoldReleased {
            hold,
            amount,
            figures,
            reason,
            movements,
            balance,
            at,
        });
        self.after_holding(&known)
    }

    pub(super) fn expire_hold(&mut self, hold: HoldId) -> Result<(), WalletError> {
        let known = self.wallet.holds.get(&hold).ok_or(WalletError::HoldNotOpen)?.clone();
        if known.figures.expires_at > self.now {
            return Err(WalletError::HoldNotDue);
        }
        let Settlement { movements, released: amount, balance } =
            self.settle(&known, Credits::ZERO, Rest::GoesBack)?;
        let released = known.figures.released.checked_add(amount)?;
        let figures = HoldFigures { released, ..known.figures };
        let at = self.now;
        self.emit(WalletEvent::HoldExpired { hold, amount, figures, movements, balance, at });
        self.after_holding(&known)
    }

    /// Charges what is there, in burn order, freeze, debt and limits notwithstanding: it was
    /// delivered.
    pub(super) fn capture_late(
        &mut self,
        hold: HoldId,
        key: Option<ApiKeyId>,
        amount: Credits,
        expired: Credits,
        usage: Option<Usage>,
    ) -> Result<(), WalletError> {
        if self.wallet.late.contains(&hold) {
            return Err(WalletError::AlreadyLateCaptured);
        }
        if amount.is_zero() {
            return Err(WalletError::NothingAsked);
        }
        if amount > expired {
            return Err(WalletError::MoreThanHeld { asked: amount, open: expired });
        }
        let movements = self.wallet.burn(amount, Into::Spent, |_| true)?;
        let covered = total(&movements)?;
        let uncovered = amount.checked_sub(covered)?;
        let balance = self.balance().less_available(covered)?;
        let at = self.now;
        self.emit(WalletEvent::HoldLateCaptured {
            hold,
            key,
            amount,
            uncovered,
            usage,
            movements,
            balance,
            at,
        });
        Ok(())
    }

    /// The hold, for whoever may change it.
    fn open_hold(&self, hold: HoldId, By { origin, key }: By) -> Result<&Hold, WalletError> {
        let hold = self.wallet.holds.get(&hold).filter(|hold| hold.origin == origin);
        let hold = hold.ok_or(WalletError::HoldNotOpen)?;
        if key.is_some() && key != hold.key { Err(WalletError::OfAnother) } else { Ok(hold) }
    }

    /// Spends `amount` of a hold, in burn order of its grants; the rest goes back to them, and is
    /// breakage where the grant's time is over.
    fn settle(&self, hold: &Hold, amount: Credits, rest: Rest) -> Result<Settlement, WalletError> {
        let mut allocations: Vec<_> = hold
            .allocations
            .iter()
            .filter_map(|(id, open)| Some((*id, *open, self.wallet.grants.get(id)?)))
            .collect();
        allocations.sort_by_key(|(id, _, grant)| burn_key(*id, grant));
        let (mut left, mut released, mut available) = (amount, Credits::ZERO, Credits::ZERO);
        let mut movements = Vec::new();
        for (id, open, grant) in allocations {
            let captured = left.min(open);
            left = left.checked_sub(captured)?;
            let back = match rest {
                Rest::Stays => Credits::ZERO,
                Rest::GoesBack => open.checked_sub(captured)?,
            };
            if captured.is_zero() && back.is_zero() {
                continue;
            }
            let (returned, expired) =
                if grant.is_over(self.now) { (Credits::ZERO, back) } else { (back, Credits::ZERO) };
            released = released.checked_add(back)?;
            available = available.checked_add(returned)?;
            movements.push(Movement {
                grant: id,
                amount: captured,
                released: returned,
                expired,
                from_expired: Credits::ZERO,
                remaining: grant.remaining.checked_add(returned)?,
                held: grant.held.checked_sub(captured)?.checked_sub(back)?,
            });
        }
        let balance =
            self.balance().more_available(available)?.less_held(amount)?.less_held(released)?;
        Ok(Settlement { movements, released, balance })
    }

    /// What was held may be due to a reversal, or to debt.
    fn after_holding(&mut self, hold: &Hold) -> Result<(), WalletError> {
        let groups: BTreeSet<_> = hold
            .allocations
            .keys()
            .filter_map(|id| self.wallet.grants.get(id)?.reversal_group)
            .collect();
        for group in groups {
            self.converge(group)?;
        }
        self.repay_debt()
    }
}
