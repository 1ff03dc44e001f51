//! The oracle: a wallet's books by the amounts in its events, and the rules of the domain held
//! against the figures that the events claim. It shares no code with the aggregate or the
//! projections: a wrong arm in either must make it disagree.

mod debits;
mod grants;
mod holds;
mod limits;
mod reversals;
mod rules;
mod state;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::facts::{Claim, WalletFact};
use debits::Debits;
use grants::{Grant, moves};
use holds::{Hold, State};
use limits::Limits;
use reversals::Group;
use rules::{Checked, more_than_nothing, must, same, sum, within};

pub(in crate::verify) use holds::State as HoldState;
pub(in crate::verify) use rules::Fault;

/// A wallet's books.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) owner: Option<Uuid>,
    pub(super) sequence: i64,
    pub(super) position: i64,
    pub(super) grants: Vec<Grant>,
    pub(super) holds: HashMap<Uuid, Hold>,
    frozen: Option<String>,
    /// What came of subscriptions cannot be spent.
    suspended: bool,
    limits: Limits,
    /// Over all grants.
    available: i64,
    held: i64,
    consumed: i64,
    /// Debt is what is left of the first after the others.
    indebted: i64,
    repaid: i64,
    forgiven: i64,
    written_off: i64,
    debits: Debits,
    groups: BTreeMap<Uuid, Group>,
    /// Whose reversal must have come to its target when the command is over.
    unsettled: Vec<Uuid>,
    command: Uuid,
    /// The books cannot be kept any further: an event broke a rule, or was not readable.
    pub(super) lost: bool,
}

/// A row that the credit history must have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) kind: &'static str,
    pub(super) amount: i64,
    pub(super) consumed: i64,
    pub(super) balance: Claim,
    pub(super) reason: Cow<'a, str>,
    pub(super) reference: Uuid,
}

/// What an event says of itself for the credit history, and what it claims of the wallet.
struct Told<'a>(&'static str, Cow<'a, str>, Uuid, Claim);

impl Book {
    /// What was reversed after it was spent, and not repaid.
    fn debt(&self) -> i64 {
        self.indebted - self.repaid - self.forgiven - self.written_off
    }

    pub(super) fn balance(&self) -> Claim {
        Claim { available: self.available, held: self.held, debt: self.debt() }
    }

    /// Enters an event; gives back what the credit history says of it.
    pub(super) fn follow<'a>(
        &mut self,
        command: Uuid,
        position: i64,
        fact: WalletFact<'a>,
    ) -> Checked<Option<Line<'a>>> {
        if command != self.command {
            self.settle()?;
            self.command = command;
        }
        let (available, consumed) = (self.available, self.consumed);
        let Some(Told(kind, reason, reference, claim)) = self.enter(position, fact)? else {
            return Ok(None);
        };
        let balance = self.balance();
        same("the claimed available is that of the books", balance.available, claim.available)?;
        same("the claimed held is that of the books", balance.held, claim.held)?;
        same("I11: the claimed debt is that of the books", balance.debt, claim.debt)?;
        let (amount, consumed) = (self.available - available, self.consumed - consumed);
        Ok(Some(Line { kind, amount, consumed, balance, reason, reference }))
    }

    /// A command is over: debt was netted, and reversals have come to their targets.
    pub(super) fn settle(&mut self) -> Checked {
        must("debt is paid as far as credits reach", self.debt().min(self.available) == 0)?;
        for id in std::mem::take(&mut self.unsettled) {
            self.check_group(id)?;
        }
        Ok(())
    }

    fn enter<'a>(&mut self, position: i64, fact: WalletFact<'a>) -> Checked<Option<Told<'a>>> {
        use WalletFact as F;
        if let F::Opened { owner } = fact {
            must("a wallet is opened once", self.owner.is_none())?;
            self.owner = Some(owner);
            return Ok(None);
        }
        must("a wallet is opened before anything else", self.owner.is_some())?;
        match fact {
            F::Opened { .. } => Ok(None),
            F::Granted { .. } | F::GrantVoided { .. } | F::GrantExpired { .. } => {
                self.enter_grant(position, fact).map(Some)
            }
            F::HoldAuthorized { .. }
            | F::HoldIncremented { .. }
            | F::HoldExtended { .. }
            | F::HoldCaptured { .. }
            | F::HoldReleased { .. }
            | F::HoldExpired { .. }
            | F::HoldLateCaptured { .. } => self.enter_hold(position, fact),
            F::Debited { .. } | F::DebitReversed { .. } => self.enter_debit(fact).map(Some),
            F::ReversalTargetSet { group, reversed_minor, paid_minor } => {
                self.set_target(group, reversed_minor, paid_minor).map(|()| None)
            }
            F::ClawedBack { .. } | F::Reinstated { .. } => {
                self.enter_reversal(position, fact).map(Some)
            }
            F::DebtRepaid { .. } | F::DebtWrittenOff { .. } => self.enter_debt(fact).map(Some),
            F::Frozen { reason } => {
                let other = self.frozen.as_deref() != Some(reason.as_ref());
                must("a wallet is frozen once for a reason", other)?;
                self.frozen = Some(reason.into_owned());
                Ok(None)
            }
            F::Unfrozen {} => {
                must("a frozen wallet is unfrozen", self.frozen.take().is_some())?;
                Ok(None)
            }
            F::QuotaSuspended {} => {
                must("quota is suspended once", !self.suspended)?;
                self.suspended = true;
                Ok(None)
            }
            F::QuotaResumed {} => {
                must("suspended quota is resumed", std::mem::take(&mut self.suspended))?;
                Ok(None)
            }
            F::SpendLimitSet { key, window, limit } => {
                self.limits.set(key, window, limit);
                Ok(None)
            }
        }
    }

    fn enter_grant<'a>(&mut self, position: i64, fact: WalletFact<'a>) -> Checked<Told<'a>> {
        use WalletFact as F;
        match fact {
            F::Granted { grant, reason, balance, at } => {
                let id = grant.id;
                self.unsettled.extend(grant.reversal_group);
                self.grant(position, grant, at)?;
                Ok(Told("grant", reason, id, balance))
            }
            F::GrantVoided { movement, reason, balance, at } => {
                more_than_nothing(movement.amount)?;
                self.apply(&[movement], at, moves::voided)?;
                Ok(Told("void", reason, movement.grant, balance))
            }
            F::GrantExpired { movement, balance, at } => {
                more_than_nothing(movement.amount)?;
                self.apply(&[movement], at, moves::expired)?;
                let grant = self.grant_of(movement.grant)?;
                must("a grant expires when its time is over", grant.is_over(at))?;
                same("all that remains expires", 0, grant.parts.remaining)?;
                Ok(Told("expiry", "the grant expired".into(), movement.grant, balance))
            }
            other => Err(rules::misplaced(other.name())),
        }
    }

    fn enter_debit<'a>(&mut self, fact: WalletFact<'a>) -> Checked<Told<'a>> {
        use WalletFact as F;
        match fact {
            F::Debited { debit, key, amount, movements, reason, balance, at } => {
                self.spendable(key, amount, at)?;
                same("a debit's parts are its amount", amount, sum(&movements, |m| m.amount)?)?;
                self.spend(&movements, at, moves::spent)?;
                self.limits.spend(key, amount, at)?;
                must("a debit's id is used once", self.debits.add(debit, amount))?;
                Ok(Told("debit", reason, debit, balance))
            }
            F::DebitReversed { debit, amount, reversed, movements, reason, balance, at } => {
                more_than_nothing(amount)?;
                same("a reversal's parts are its amount", amount, sum(&movements, |m| m.amount)?)?;
                self.reverse(debit, amount, reversed)?;
                self.apply(&movements, at, moves::given_back)?;
                Ok(Told("debit_reversal", reason, debit, balance))
            }
            other => Err(rules::misplaced(other.name())),
        }
    }

    fn enter_debt<'a>(&mut self, fact: WalletFact<'a>) -> Checked<Told<'a>> {
        use WalletFact as F;
        match fact {
            F::DebtRepaid { amount, movements, balance, at } => {
                more_than_nothing(amount)?;
                within("no more debt is repaid than there is", amount, self.debt())?;
                same("a repayment's parts are its amount", amount, sum(&movements, |m| m.amount)?)?;
                self.burn(&movements, at, moves::repaid)?;
                self.repaid += amount;
                let first = movements.first().map_or(Uuid::nil(), |m| m.grant);
                Ok(Told("debt_repayment", "debt was repaid".into(), first, balance))
            }
            F::DebtWrittenOff { amount, reason, balance } => {
                more_than_nothing(amount)?;
                within("no more debt is written off than there is", amount, self.debt())?;
                self.written_off += amount;
                Ok(Told("debt_write_off", reason, Uuid::nil(), balance))
            }
            other => Err(rules::misplaced(other.name())),
        }
    }
}
