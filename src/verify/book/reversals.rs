//! Debits given back, and payments reversed.

use uuid::Uuid;

use super::super::facts::WalletFact;
use super::debits::Spent;
use super::grants::moves;
use super::holds::Hold;
use super::rules::{Checked, add, fault, misplaced, must, same, sum, within};
use super::{Book, Told};

/// What is known of a payment whose grants may be reversed.
#[derive(Debug, Default)]
pub(in crate::verify) struct Group {
    pub(in crate::verify) reversed_minor: i64,
    pub(in crate::verify) paid_minor: i64,
    pub(in crate::verify) recovered: i64,
    pub(in crate::verify) indebted: i64,
    pub(in crate::verify) forgiven: i64,
    pub(in crate::verify) restored: i64,
    pub(in crate::verify) restorations: i64,
}

impl Book {
    /// What of a payment is reversed, as far as the wallet was told.
    pub(in crate::verify) fn reversed_of(&self, group: Uuid) -> i64 {
        self.groups.get(&group).map_or(0, |group| group.reversed_minor)
    }

    pub(in crate::verify) fn reverse(&mut self, id: Uuid, amount: i64, claimed: i64) -> Checked {
        let captured = |hold: &Hold| Spent { amount: hold.figures.captured, reversed: 0 };
        let known = self.debits.get(id).or_else(|| self.holds.get(&id).map(captured));
        let mut spent = known.ok_or_else(|| fault("only a debit is reversed", "a debit", id))?;
        within("no more is reversed than was debited", amount, spent.amount - spent.reversed)?;
        spent.reversed += amount;
        same("the claimed reversed is that of the books", spent.reversed, claimed)?;
        self.debits.set(id, spent);
        Ok(())
    }

    pub(in crate::verify) fn set_target(&mut self, id: Uuid, reversed: i64, paid: i64) -> Checked {
        must("something was paid", paid > 0)?;
        within("no more is reversed than was paid", reversed, paid)?;
        let group = self.groups.entry(id).or_default();
        (group.reversed_minor, group.paid_minor) = (reversed, paid);
        self.unsettled.push(id);
        Ok(())
    }

    pub(super) fn enter_reversal<'a>(
        &mut self,
        position: i64,
        fact: WalletFact<'a>,
    ) -> Checked<Told<'a>> {
        use WalletFact as F;
        match fact {
            F::ClawedBack { group, recovered, indebted, movements, balance, at } => {
                same(
                    "a clawback's parts are recovered",
                    recovered,
                    sum(&movements, |m| m.amount)?,
                )?;
                for m in &movements {
                    let of = self.grant_of(m.grant)?.terms.reversal_group;
                    must("only the group's grants are clawed back", of == Some(group))?;
                }
                self.apply(&movements, at, moves::recovered)?;
                within("I1: debt is not negative", indebted, i64::MAX)?;
                add("I1: debt fits a number", &mut self.indebted, indebted)?;
                let known = self.groups.entry(group).or_default();
                add("I1: a reversal fits a number", &mut known.recovered, recovered)?;
                add("I1: a reversal fits a number", &mut known.indebted, indebted)?;
                self.unsettled.push(group);
                Ok(Told("clawback", "the payment was reversed".into(), group, balance))
            }
            F::Reinstated { group, debt_forgiven, restored, balance, at } => {
                within("no more debt is forgiven than there is", debt_forgiven, self.debt())?;
                self.forgiven += debt_forgiven;
                let known = self.groups.entry(group).or_default();
                add("I1: a reversal fits a number", &mut known.forgiven, debt_forgiven)?;
                if let Some(grant) = restored {
                    add("I1: a reversal fits a number", &mut known.restored, grant.amount)?;
                    known.restorations += 1;
                    self.grant(position, grant, at)?;
                }
                self.unsettled.push(group);
                Ok(Told("reinstatement", "the reversal was undone".into(), group, balance))
            }
            other => Err(misplaced(other.name())),
        }
    }

    /// I6, for a payment whose grants have no credits held.
    pub(in crate::verify) fn check_group(&self, id: Uuid) -> Checked {
        let Some(group) = self.groups.get(&id) else { return Ok(()) };
        let (mut target, mut granted, mut held) = (0, 0, 0);
        for grant in self.grants.iter().filter(|grant| grant.terms.reversal_group == Some(id)) {
            let amount = i128::from(grant.terms.amount);
            let share = if group.reversed_minor == group.paid_minor && group.paid_minor > 0 {
                amount
            } else {
                amount * i128::from(group.reversed_minor) / i128::from(group.paid_minor.max(1))
            };
            // What an administrator withdrew cannot be taken twice.
            target += share.min(amount - i128::from(grant.parts.voided));
            granted += amount;
            held += grant.parts.held;
        }
        let Group { recovered, indebted, forgiven, restored, .. } = *group;
        let reversed = i128::from(recovered) + i128::from(indebted)
            - i128::from(forgiven)
            - i128::from(restored);
        if held == 0 && reversed != target {
            return Err(fault("I6: what is reversed is the target", target, reversed));
        }
        if reversed > granted {
            return Err(fault("I6: no more is reversed than was granted", granted, reversed));
        }
        Ok(())
    }
}
