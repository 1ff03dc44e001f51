//! What the next decision about a wallet needs, and how events change it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::event::WalletEvent;
use super::terms::{
    Balance, GrantKind, GrantTerms, HoldFigures, Movement, Origin, Priority, SpendWindow,
};
use crate::credits::Credits;
use crate::id::{DebitId, GrantId, HoldId, ReversalGroup, UserId};

/// A person's wallet. Nothing in it grows with the number of spends: grants are as many as
/// purchases, and holds leave when they end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wallet {
    owner: Option<UserId>,
    pub(super) balance: Balance,
    pub(super) grants: BTreeMap<GrantId, Grant>,
    pub(super) holds: BTreeMap<HoldId, Hold>,
    pub(super) frozen: Option<String>,
    pub(super) limits: BTreeMap<SpendWindow, Credits>,
    /// What was spent or held since the first day of each window.
    spent: BTreeMap<SpendWindow, (NaiveDate, Credits)>,
    pub(super) groups: BTreeMap<ReversalGroup, Group>,
    pub(super) reversed: BTreeMap<DebitId, Credits>,
    pub(super) late: BTreeSet<HoldId>,
}

/// A bucket of credits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// What it is.
    pub kind: GrantKind,
    /// How many credits arrived.
    pub amount: Credits,
    /// When it is spent, among others.
    pub priority: Priority,
    /// When what remains becomes breakage.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it arrived.
    pub granted_at: DateTime<Utc>,
    /// What it is reversed with.
    pub reversal_group: Option<ReversalGroup>,
    /// What is left.
    pub remaining: Credits,
    /// What open holds have of it.
    pub held: Credits,
    /// What it lost to expiry and no reversal has recovered.
    pub(super) expired: Credits,
    /// What an administrator withdrew.
    pub(super) voided: Credits,
}

/// An open hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Who may end it.
    pub origin: Origin,
    /// Its figures.
    pub figures: HoldFigures,
    /// When it was opened.
    pub(super) opened_at: DateTime<Utc>,
    /// What it still holds, of which grant.
    pub(super) allocations: BTreeMap<GrantId, Credits>,
}

/// What is known of a payment whose grants may be reversed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) reversed_minor: i64,
    pub(super) paid_minor: i64,
    pub(super) recovered: Credits,
    pub(super) indebted: Credits,
    pub(super) forgiven: Credits,
    pub(super) restored: Credits,
    pub(super) restorations: u32,
}

impl Grant {
    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }
}

impl Hold {
    /// What it still holds.
    #[must_use]
    pub fn open(&self) -> Credits {
        let HoldFigures { authorized, captured, released, .. } = self.figures;
        authorized.saturating_sub(captured).saturating_sub(released)
    }
}

impl Wallet {
    /// Whose it is; nobody's before it is opened.
    #[must_use]
    pub fn owner(&self) -> Option<UserId> {
        self.owner
    }

    /// The balance at `now`, expired grants left out, whether or not that is booked.
    #[must_use]
    pub fn balance(&self, now: DateTime<Utc>) -> Balance {
        let over = self.grants.values().filter(|grant| grant.is_over(now));
        let available = over.fold(self.balance.available, |available, grant| {
            available.saturating_sub(grant.remaining)
        });
        Balance { available, ..self.balance }
    }

    /// An open hold.
    #[must_use]
    pub fn hold(&self, id: HoldId) -> Option<&Hold> {
        self.holds.get(&id)
    }

    /// Every grant that ever arrived.
    pub fn grants(&self) -> impl Iterator<Item = (GrantId, &Grant)> {
        self.grants.iter().map(|(id, grant)| (*id, grant))
    }

    /// What was spent or held in the window that `now` is in.
    pub(super) fn spent_in(&self, window: SpendWindow, now: DateTime<Utc>) -> Credits {
        match self.spent.get(&window) {
            // A node whose clock is behind is still in the window that others have opened.
            Some((first, spent)) if *first >= first_day(window, now) => *spent,
            _ => Credits::ZERO,
        }
    }

    /// Follows an event. Assigns the figures it carries; decides nothing.
    pub(super) fn assign(&mut self, event: &WalletEvent) {
        if let Some(balance) = event.balance() {
            self.balance = balance;
        }
        for movement in event.movements() {
            self.move_grant(movement);
        }
        match event {
            WalletEvent::Opened { owner, .. } => self.owner = Some(*owner),
            WalletEvent::Granted { grant, at, .. } => self.add_grant(grant, *at),
            WalletEvent::GrantVoided { movement, .. } => {
                self.with_grant(movement, |grant| add(&mut grant.voided, movement.amount));
            }
            WalletEvent::GrantExpired { movement, .. } => {
                self.with_grant(movement, |grant| add(&mut grant.expired, movement.amount));
            }

            WalletEvent::HoldAuthorized {
                hold, origin, amount, figures, movements, at, ..
            } => {
                let allocations = movements.iter().map(|m| (m.grant, m.amount)).collect();
                let hold_ =
                    Hold { origin: *origin, figures: *figures, opened_at: *at, allocations };
                self.holds.insert(*hold, hold_);
                self.spend(*amount, *at);
            }
            WalletEvent::HoldIncremented { hold, amount, figures, movements, at, .. } => {
                if let Some(hold) = self.holds.get_mut(hold) {
                    hold.figures = *figures;
                    for movement in movements {
                        add(hold.allocations.entry(movement.grant).or_default(), movement.amount);
                    }
                }
                self.spend(*amount, *at);
            }
            WalletEvent::HoldExtended { hold, figures, .. } => {
                if let Some(hold) = self.holds.get_mut(hold) {
                    hold.figures = *figures;
                }
            }
            WalletEvent::HoldCaptured { hold, last: false, figures, movements, .. } => {
                if let Some(hold) = self.holds.get_mut(hold) {
                    hold.figures = *figures;
                    for movement in movements {
                        let open = hold.allocations.entry(movement.grant).or_default();
                        *open = open.saturating_sub(movement.amount);
                    }
                }
            }
            WalletEvent::HoldCaptured { hold, last: true, released, .. } => {
                self.close(*hold, *released);
            }
            WalletEvent::HoldReleased { hold, amount, .. }
            | WalletEvent::HoldExpired { hold, amount, .. } => self.close(*hold, *amount),
            WalletEvent::HoldLateCaptured { hold, amount, at, .. } => {
                self.late.insert(*hold);
                self.spend(*amount, *at);
            }

            WalletEvent::Debited { amount, at, .. } => self.spend(*amount, *at),
            WalletEvent::DebitReversed { debit, reversed, .. } => {
                self.reversed.insert(*debit, *reversed);
            }

            WalletEvent::ReversalTargetSet { group, reversed_minor, paid_minor, .. } => {
                let group = self.groups.entry(*group).or_default();
                (group.reversed_minor, group.paid_minor) = (*reversed_minor, *paid_minor);
            }
            WalletEvent::ClawedBack { group, recovered, indebted, .. } => {
                let group = self.groups.entry(*group).or_default();
                add(&mut group.recovered, *recovered);
                add(&mut group.indebted, *indebted);
            }
            WalletEvent::Reinstated { group, debt_forgiven, restored, at, .. } => {
                let group = self.groups.entry(*group).or_default();
                add(&mut group.forgiven, *debt_forgiven);
                if let Some(grant) = restored {
                    add(&mut group.restored, grant.amount);
                    group.restorations += 1;
                    self.add_grant(grant, *at);
                }
            }
            WalletEvent::DebtRepaid { .. } | WalletEvent::DebtWrittenOff { .. } => {}

            WalletEvent::Frozen { reason, .. } => self.frozen = Some(reason.clone()),
            WalletEvent::Unfrozen { .. } => self.frozen = None,
            WalletEvent::SpendLimitSet { window, limit: Some(limit), .. } => {
                self.limits.insert(*window, *limit);
            }
            WalletEvent::SpendLimitSet { window, limit: None, .. } => {
                self.limits.remove(window);
            }
        }
    }

    fn add_grant(&mut self, terms: &GrantTerms, at: DateTime<Utc>) {
        let GrantTerms { id, kind, amount, priority, expires_at, reversal_group, .. } = terms;
        self.grants.insert(
            *id,
            Grant {
                kind: *kind,
                amount: *amount,
                priority: *priority,
                expires_at: *expires_at,
                granted_at: at,
                reversal_group: *reversal_group,
                remaining: *amount,
                held: Credits::ZERO,
                expired: Credits::ZERO,
                voided: Credits::ZERO,
            },
        );
    }

    fn move_grant(&mut self, movement: &Movement) {
        self.with_grant(movement, |grant| {
            grant.remaining = movement.remaining;
            grant.held = movement.held;
            add(&mut grant.expired, movement.expired);
            grant.expired = grant.expired.saturating_sub(movement.from_expired);
        });
    }

    fn with_grant(&mut self, movement: &Movement, change: impl FnOnce(&mut Grant)) {
        if let Some(grant) = self.grants.get_mut(&movement.grant) {
            change(grant);
        }
    }

    /// A hold leaves; what it gives back counts as not spent, where it was set aside in the
    /// window that runs.
    fn close(&mut self, hold: HoldId, released: Credits) {
        let Some(hold) = self.holds.remove(&hold) else { return };
        for (window, (first, spent)) in &mut self.spent {
            if *first == first_day(*window, hold.opened_at) {
                *spent = spent.saturating_sub(released);
            }
        }
    }

    fn spend(&mut self, amount: Credits, at: DateTime<Utc>) {
        for window in [SpendWindow::Day, SpendWindow::Month] {
            let first = first_day(window, at);
            let entry = self.spent.entry(window).or_insert((first, Credits::ZERO));
            if entry.0 < first {
                *entry = (first, Credits::ZERO);
            }
            add(&mut entry.1, amount);
        }
    }
}

/// The first day of the window that `at` is in, in UTC.
fn first_day(window: SpendWindow, at: DateTime<Utc>) -> NaiveDate {
    let day = at.date_naive();
    match window {
        SpendWindow::Day => day,
        SpendWindow::Month => day.with_day(1).unwrap_or(day),
    }
}

/// Adds figures that stand in events; the sum of what was granted fits, by `Draft::grant`.
fn add(sum: &mut Credits, amount: Credits) {
    *sum = sum.checked_add(amount).unwrap_or(*sum);
}
