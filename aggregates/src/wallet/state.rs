//! What the next decision about a wallet needs, and how events change it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::WalletEvent;
use super::spending::Spending;
use super::terms::{
    Balance, By, GrantKind, GrantTerms, HoldFigures, Movement, Origin, Priority, SpendWindow,
};
use crate::credits::{Credits, NotCredits};
use crate::id::{ApiKeyId, DebitId, GrantId, HoldId, ReversalGroup, UserId};

/// A person's wallet. Nothing in it grows with the number of spends: grants are as many as
/// purchases, spenders as many as keys with a limit or of this month, and holds leave when they end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wallet {
    owner: Option<UserId>,
    pub(super) balance: Balance,
    pub(super) grants: BTreeMap<GrantId, Grant>,
    pub(super) holds: BTreeMap<HoldId, Hold>,
    pub(super) frozen: Option<String>,
    spending: Spending,
    /// Of that, what was by an API key.
    by_key: BTreeMap<ApiKeyId, Spending>,
    pub(super) groups: BTreeMap<ReversalGroup, Group>,
    pub(super) reversed: BTreeMap<DebitId, Credits>,
    pub(super) late: BTreeSet<HoldId>,
    pub(super) quota_suspended: bool,
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
    /// The API key that opened it.
    pub key: Option<ApiKeyId>,
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
    /// Who opened it.
    #[must_use]
    pub fn by(&self) -> By {
        By { origin: self.origin, key: self.key }
    }

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

    /// Why spending is stopped, where it is.
    #[must_use]
    pub fn frozen(&self) -> Option<&str> {
        self.frozen.as_deref()
    }

    /// What cannot be spent of what is available, since it came of subscriptions and that is
    /// suspended.
    pub(super) fn suspended(&self) -> Result<Credits, NotCredits> {
        let suspended = self
            .grants
            .values()
            .filter(|grant| self.quota_suspended && grant.kind.is_of_subscriptions());
        Credits::sum(suspended.map(|grant| grant.remaining))
    }

    /// Whether what came of subscriptions cannot be spent.
    #[must_use]
    pub fn is_quota_suspended(&self) -> bool {
        self.quota_suspended
    }

    /// What of a payment is reversed, in the smallest unit of its currency, as was told last.
    #[must_use]
    pub fn reversed_minor(&self, group: ReversalGroup) -> i64 {
        self.groups.get(&group).map_or(0, |group| group.reversed_minor)
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

    /// What is and may be spent, by a key where one is named; none, where it never spent and has
    /// no limit.
    #[must_use]
    pub fn spending(&self, key: Option<ApiKeyId>) -> Option<&Spending> {
        match key {
            Some(key) => self.by_key.get(&key),
            None => Some(&self.spending),
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
                hold,
                origin,
                key,
                amount,
                figures,
                movements,
                at,
                ..
            } => {
                let (origin, key, figures, opened_at) = (*origin, *key, *figures, *at);
                let allocations = movements.iter().map(|m| (m.grant, m.amount)).collect();
                let opened = Hold { origin, key, figures, opened_at, allocations };
                self.holds.insert(*hold, opened);
                self.spend(key, *amount, *at);
            }
            WalletEvent::HoldIncremented { hold, amount, figures, movements, at, .. } => {
                let Some(hold) = self.holds.get_mut(hold) else { return };
                hold.figures = *figures;
                for movement in movements {
                    add(hold.allocations.entry(movement.grant).or_default(), movement.amount);
                }
                let key = hold.key;
                self.spend(key, *amount, *at);
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
            WalletEvent::HoldLateCaptured { hold, key, amount, at, .. } => {
                self.late.insert(*hold);
                self.spend(*key, *amount, *at);
            }

            WalletEvent::Debited { key, amount, at, .. } => self.spend(*key, *amount, *at),
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
            WalletEvent::QuotaSuspended { .. } => self.quota_suspended = true,
            WalletEvent::QuotaResumed { .. } => self.quota_suspended = false,
            WalletEvent::SpendLimitSet { key, window, limit, .. } => {
                let spending = match key {
                    Some(key) => self.by_key.entry(*key).or_default(),
                    None => &mut self.spending,
                };
                spending.set_limit(*window, *limit);
                self.by_key.retain(|_, spending| !spending.is_empty());
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

    /// A hold leaves; what it gives back counts as not spent.
    fn close(&mut self, hold: HoldId, released: Credits) {
        let Some(Hold { key, opened_at, .. }) = self.holds.remove(&hold) else { return };
        self.spending.give_back(released, opened_at);
        if let Some(spending) = key.and_then(|key| self.by_key.get_mut(&key)) {
            spending.give_back(released, opened_at);
        }
    }

    fn spend(&mut self, key: Option<ApiKeyId>, amount: Credits, at: DateTime<Utc>) {
        if self.spending.is_of_earlier(SpendWindow::Month, at) {
            // What keys have spent counts no more.
            self.by_key.retain(|_, spending| spending.has_limit());
        }
        self.spending.spend(amount, at);
        if let Some(key) = key {
            self.by_key.entry(key).or_default().spend(amount, at);
        }
    }
}

/// Adds figures that stand in events; the sum of what was granted fits, by `Draft::grant`.
fn add(sum: &mut Credits, amount: Credits) {
    *sum = sum.checked_add(amount).unwrap_or(*sum);
}
