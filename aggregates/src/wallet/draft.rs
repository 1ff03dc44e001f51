//! A decision in the making: events so far, and the wallet as they leave it.

use chrono::{DateTime, Utc};

use super::burn::{Into, total};
use super::command::Spend;
use super::error::WalletError;
use super::event::WalletEvent;
use super::spending::Over;
use super::state::{Grant, Wallet};
use super::terms::{
    Balance, By, Funding, GrantKind, GrantTerms, Movement, Price, Priority, SpendWindow,
};
use crate::credits::{Credits, NotCredits};
use crate::id::{ApiKeyId, DebitId, GrantId, ReversalGroup};

/// A decision in the making.
pub(super) struct Draft {
    pub(super) wallet: Wallet,
    pub(super) now: DateTime<Utc>,
    events: Vec<WalletEvent>,
    booked: usize,
}

impl Draft {
    /// Books every grant whose time is over, the oldest expiry first.
    pub(super) fn new(wallet: &Wallet, now: DateTime<Utc>) -> Result<Self, WalletError> {
        let mut draft = Self { wallet: wallet.clone(), now, events: vec![], booked: 0 };
        let mut due: Vec<_> = wallet
            .grants()
            .filter(|(_, grant)| grant.is_over(now) && !grant.remaining.is_zero())
            .map(|(id, grant)| (grant.expires_at, id, grant.remaining, grant.held))
            .collect();
        due.sort();
        for (_, grant, amount, held) in due {
            let movement = Movement {
                grant,
                amount,
                released: Credits::ZERO,
                expired: Credits::ZERO,
                from_expired: Credits::ZERO,
                remaining: Credits::ZERO,
                held,
            };
            let balance = draft.balance().less_available(amount)?;
            draft.emit(WalletEvent::GrantExpired { movement, balance, at: now });
        }
        draft.booked = draft.events.len();
        Ok(draft)
    }

    /// What was booked, and nothing else.
    pub(super) fn booked(self) -> Vec<WalletEvent> {
        self.events
    }

    /// What was decided; nothing, when only expiries were booked.
    pub(super) fn decided(self) -> Vec<WalletEvent> {
        if self.events.len() == self.booked { vec![] } else { self.events }
    }

    pub(super) fn emit(&mut self, event: WalletEvent) {
        self.wallet.assign(&event);
        self.events.push(event);
    }

    pub(super) fn balance(&self) -> Balance {
        self.wallet.balance
    }

    /// Refuses what the wallet, or the key, may not spend.
    pub(super) fn check_spendable(
        &self,
        required: Credits,
        key: Option<ApiKeyId>,
    ) -> Result<(), WalletError> {
        let Balance { available, held, debt } = self.balance();
        if required.is_zero() {
            return Err(WalletError::NothingAsked);
        }
        if let Some(reason) = self.wallet.frozen.clone() {
            return Err(WalletError::Frozen { reason, required, available, held });
        }
        if !debt.is_zero() {
            return Err(WalletError::InDebt { debt, required, available, held });
        }
        // Whoever spends, it is from the wallet; a key has limits of its own, too.
        let (wallet, key) = (Some(None), key.map(Some));
        for spender in wallet.into_iter().chain(key) {
            if let Some(spending) = self.wallet.spending(spender)
                && let Some(Over { window, limit, spent }) = spending.over(required, self.now)
            {
                return Err(WalletError::OverSpendLimit {
                    key: spender,
                    window,
                    limit,
                    spent,
                    required,
                    available,
                    held,
                });
            }
        }
        let available = available.saturating_sub(self.wallet.suspended()?);
        if required > available {
            return Err(WalletError::InsufficientCredits { required, available, held });
        }
        Ok(())
    }

    /// Whether a grant may pay what is spent now.
    pub(super) fn may_pay(&self, grant: &Grant) -> bool {
        !(self.wallet.quota_suspended && grant.kind.is_of_subscriptions())
    }

    pub(super) fn grant(&mut self, grant: GrantTerms, reason: String) -> Result<(), WalletError> {
        if self.wallet.grants.contains_key(&grant.id) {
            return Ok(());
        }
        if grant.amount.is_zero() {
            return Err(WalletError::NothingAsked);
        }
        if grant.expires_at.is_some_and(|expires_at| expires_at <= self.now) {
            return Err(WalletError::ExpiryPast);
        }
        // All that was ever granted fits a number, so that no later sum can fail.
        let granted = self.wallet.grants().map(|(_, grant)| grant.amount);
        Credits::sum(granted.chain([grant.amount]))?;
        let balance = self.balance().more_available(grant.amount)?;
        let group = grant.reversal_group;
        self.emit(WalletEvent::Granted { grant, reason, balance, at: self.now });
        if let Some(group) = group {
            self.converge(group)?;
        }
        self.repay_debt()
    }

    pub(super) fn void(
        &mut self,
        id: GrantId,
        amount: Option<Credits>,
        reason: String,
    ) -> Result<(), WalletError> {
        let grant = self.wallet.grants.get(&id).ok_or(WalletError::UnknownGrant)?;
        let amount = amount.unwrap_or(grant.remaining).min(grant.remaining);
        if amount.is_zero() {
            return Ok(());
        }
        let movement = Movement {
            grant: id,
            amount,
            released: Credits::ZERO,
            expired: Credits::ZERO,
            from_expired: Credits::ZERO,
            remaining: grant.remaining.checked_sub(amount)?,
            held: grant.held,
        };
        let balance = self.balance().less_available(amount)?;
        self.emit(WalletEvent::GrantVoided { movement, reason, balance, at: self.now });
        Ok(())
    }

    /// Puts what is left of grants into others that last longer, each into one of its own.
    pub(super) fn carry_over(
        &mut self,
        from: Vec<GrantId>,
        most: Credits,
        expires_at: DateTime<Utc>,
        funding: &Funding,
    ) -> Result<(), WalletError> {
        let mut most = most;
        for from in from {
            let id = GrantId::derive(from.0, "carried over");
            if let Some(carried) = self.wallet.grants.get(&id) {
                most = most.saturating_sub(carried.amount);
                continue;
            }
            let Some(grant) = self.wallet.grants.get(&from) else { continue };
            let over = grant.is_over(self.now);
            let reversal_group = grant.reversal_group.map(ReversalGroup::of_carried);
            let amount = most.min(if over { grant.expired } else { grant.remaining });
            if amount.is_zero() {
                continue;
            }
            if !over {
                self.void(from, Some(amount), "carried over".to_owned())?;
            }
            most = most.checked_sub(amount)?;
            let (kind, funding) = (GrantKind::Rollover, funding.clone());
            let priority = Priority::default();
            let expires_at = Some(expires_at);
            let grant =
                GrantTerms { id, kind, amount, priority, expires_at, funding, reversal_group };
            self.grant(grant, "carried over".to_owned())?;
        }
        Ok(())
    }

    pub(super) fn debit(&mut self, debit: DebitId, spend: Spend) -> Result<(), WalletError> {
        let Spend { by: By { origin, key }, amount, price, reason } = spend;
        check_price(&price)?;
        self.check_spendable(amount, key)?;
        let movements = self.wallet.burn(amount, Into::Spent, |grant| self.may_pay(grant))?;
        let balance = self.balance().less_available(amount)?;
        let at = self.now;
        self.emit(WalletEvent::Debited {
            debit,
            origin,
            key,
            amount,
            movements,
            price,
            reason,
            balance,
            at,
        });
        Ok(())
    }

    /// Gives back from the end of what was spent, after what earlier reversals gave back. What
    /// belongs to an expired grant is breakage at once. It does not count as unspent for limits.
    pub(super) fn reverse(
        &mut self,
        debit: DebitId,
        amount: Credits,
        spent: Vec<(GrantId, Credits)>,
        reason: String,
    ) -> Result<(), WalletError> {
        if amount.is_zero() {
            return Err(WalletError::NothingAsked);
        }
        let before = self.wallet.reversed.get(&debit).copied().unwrap_or_default();
        let left = Credits::sum(spent.iter().map(|(_, amount)| *amount))?.saturating_sub(before);
        if amount > left {
            return Err(WalletError::MoreThanDebited { asked: amount, left });
        }
        let (mut skip, mut rest) = (before, amount);
        let mut movements = Vec::new();
        for (id, spent) in spent.into_iter().rev() {
            let skipped = skip.min(spent);
            skip = skip.checked_sub(skipped)?;
            let part = rest.min(spent.checked_sub(skipped)?);
            if part.is_zero() {
                continue;
            }
            rest = rest.checked_sub(part)?;
            let grant = self.wallet.grants.get(&id).ok_or(WalletError::UnknownGrant)?;
            let over = grant.is_over(self.now);
            movements.push(Movement {
                grant: id,
                amount: part,
                released: Credits::ZERO,
                expired: if over { part } else { Credits::ZERO },
                from_expired: Credits::ZERO,
                remaining: if over {
                    grant.remaining
                } else {
                    grant.remaining.checked_add(part)?
                },
                held: grant.held,
            });
        }
        let back = total(&movements)?
            .checked_sub(Credits::sum(movements.iter().map(|movement| movement.expired))?)?;
        let balance = self.balance().more_available(back)?;
        let (reversed, at) = (before.checked_add(amount)?, self.now);
        self.emit(WalletEvent::DebitReversed {
            debit,
            amount,
            reversed,
            movements,
            reason,
            balance,
            at,
        });
        self.repay_debt()
    }

    /// Pays debt from the grants, in burn order, as far as they reach.
    pub(super) fn repay_debt(&mut self) -> Result<(), WalletError> {
        let Balance { available, debt, .. } = self.balance();
        let amount = debt.min(available);
        if amount.is_zero() {
            return Ok(());
        }
        let movements = self.wallet.burn(amount, Into::Spent, |_| true)?;
        let balance = self.balance().less_available(amount)?.less_debt(amount)?;
        self.emit(WalletEvent::DebtRepaid { amount, movements, balance, at: self.now });
        Ok(())
    }

    pub(super) fn write_off(&mut self, amount: Credits, reason: String) -> Result<(), WalletError> {
        let debt = self.balance().debt;
        if amount.is_zero() {
            return Err(WalletError::NothingAsked);
        }
        if amount > debt {
            return Err(WalletError::MoreThanOwed { asked: amount, debt });
        }
        let balance = self.balance().less_debt(amount)?;
        self.emit(WalletEvent::DebtWrittenOff { amount, reason, balance, at: self.now });
        Ok(())
    }

    pub(super) fn freeze(&mut self, reason: String) {
        if self.wallet.frozen.as_ref() != Some(&reason) {
            self.emit(WalletEvent::Frozen { reason, at: self.now });
        }
    }

    pub(super) fn unfreeze(&mut self, reason: String) {
        if self.wallet.frozen.is_some() {
            self.emit(WalletEvent::Unfrozen { reason, at: self.now });
        }
    }

    pub(super) fn suspend_quota(&mut self) {
        if !self.wallet.quota_suspended {
            self.emit(WalletEvent::QuotaSuspended { at: self.now });
        }
    }

    pub(super) fn resume_quota(&mut self) {
        if self.wallet.quota_suspended {
            self.emit(WalletEvent::QuotaResumed { at: self.now });
        }
    }

    pub(super) fn set_limit(
        &mut self,
        key: Option<ApiKeyId>,
        window: SpendWindow,
        limit: Option<Credits>,
    ) {
        let known = self.wallet.spending(key).and_then(|spending| spending.limit(window));
        if known != limit {
            self.emit(WalletEvent::SpendLimitSet { key, window, limit, at: self.now });
        }
    }

    /// Remembers what of a payment is reversed, and follows it.
    pub(super) fn set_target(
        &mut self,
        group: ReversalGroup,
        reversed_minor: i64,
        paid_minor: i64,
    ) -> Result<(), WalletError> {
        if paid_minor < 1 || !(0..=paid_minor).contains(&reversed_minor) {
            return Err(WalletError::ReversalOutOfRange);
        }
        let known = self.wallet.groups.get(&group);
        if known.map(|known| (known.reversed_minor, known.paid_minor))
            != Some((reversed_minor, paid_minor))
        {
            let at = self.now;
            self.emit(WalletEvent::ReversalTargetSet { group, reversed_minor, paid_minor, at });
        }
        self.converge(group)?;
        self.repay_debt()
    }
}

/// A price that is missing or zero is an error, never free.
pub(super) fn check_price(price: &Price) -> Result<(), WalletError> {
    match price {
        Price::Fixed { credits, .. } if credits.is_zero() => Err(WalletError::NothingAsked),
        Price::Fixed { .. } | Price::Free | Price::Stated | Price::Metered { .. } => Ok(()),
    }
}

impl Balance {
    pub(super) fn more_available(self, amount: Credits) -> Result<Self, NotCredits> {
        Ok(Self { available: self.available.checked_add(amount)?, ..self })
    }

    pub(super) fn less_available(self, amount: Credits) -> Result<Self, NotCredits> {
        Ok(Self { available: self.available.checked_sub(amount)?, ..self })
    }

    pub(super) fn more_held(self, amount: Credits) -> Result<Self, NotCredits> {
        Ok(Self { held: self.held.checked_add(amount)?, ..self })
    }

    pub(super) fn less_held(self, amount: Credits) -> Result<Self, NotCredits> {
        Ok(Self { held: self.held.checked_sub(amount)?, ..self })
    }

    pub(super) fn more_debt(self, amount: Credits) -> Result<Self, NotCredits> {
        Ok(Self { debt: self.debt.checked_add(amount)?, ..self })
    }

    pub(super) fn less_debt(self, amount: Credits) -> Result<Self, NotCredits> {
        Ok(Self { debt: self.debt.checked_sub(amount)?, ..self })
    }
}
