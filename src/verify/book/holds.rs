//! A wallet's holds, ended ones included: ended is ended.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::facts::{Figures, Movement, WalletFact};
use super::grants::moves;
use super::rules::{
    Checked, add, fault, misplaced, more_than_nothing, must, not_negative, same, sum, within,
};
use super::{Book, Told};

/// Where a hold is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::verify) enum State {
    Authorized,
    Captured,
    Released,
    Expired,
    LateCaptured,
}

/// A hold's books.
#[derive(Debug)]
pub(in crate::verify) struct Hold {
    pub(in crate::verify) origin: String,
    pub(in crate::verify) key: Option<Uuid>,
    pub(in crate::verify) state: State,
    pub(in crate::verify) figures: Figures,
    /// What it still holds, of which grant.
    pub(in crate::verify) allocations: Vec<(Uuid, i64)>,
    pub(in crate::verify) opened_at: DateTime<Utc>,
    pub(in crate::verify) position: i64,
    /// What was charged for it after it had expired.
    pub(in crate::verify) captured_late: i64,
}

/// What opens a hold.
struct Opening {
    hold: Uuid,
    origin: String,
    key: Option<Uuid>,
    amount: i64,
    figures: Figures,
}

impl Book {
    pub(super) fn enter_hold<'a>(
        &mut self,
        position: i64,
        fact: WalletFact<'a>,
    ) -> Checked<Option<Told<'a>>> {
        use WalletFact as F;
        let told = match fact {
            F::HoldAuthorized {
                hold,
                origin,
                key,
                amount,
                figures,
                movements,
                reason,
                balance,
                at,
            } => {
                let origin = origin.into_owned();
                let opening = Opening { hold, origin, key, amount, figures };
                self.authorize(position, opening, &movements, at)?;
                Told("hold", reason, hold, balance)
            }
            F::HoldIncremented { hold, amount, figures, movements, balance, at } => {
                self.increment(hold, amount, figures, &movements, at)?;
                Told("hold_increment", "the hold grew".into(), hold, balance)
            }
            F::HoldExtended { hold, figures, at } => {
                let known = self.open_hold(hold)?;
                let later =
                    figures.expires_at > at && figures.expires_at > known.figures.expires_at;
                must("a hold is extended to a later time", later)?;
                known.figures.expires_at = figures.expires_at;
                known.check(figures)?;
                return Ok(None);
            }
            F::HoldCaptured {
                hold,
                amount,
                released,
                last,
                figures,
                movements,
                balance,
                at,
                ..
            } => {
                within("I1: an amount is not negative", amount, i64::MAX)?;
                same("a capture's parts are its amount", amount, sum(&movements, |m| m.amount)?)?;
                must("only the last capture releases", last || released == 0)?;
                self.end_part(hold, &movements, released, at)?;
                let known = self.open_hold(hold)?;
                add("I1: a hold fits a number", &mut known.figures.captured, amount)?;
                must("the last capture leaves nothing open", last == (known.open() == 0))?;
                if last {
                    known.state = State::Captured;
                    let (key, opened_at) = (known.key, known.opened_at);
                    known.check(figures)?;
                    self.limits.give_back(key, released, opened_at);
                } else {
                    known.check(figures)?;
                }
                Told("capture", "captured".into(), hold, balance)
            }
            F::HoldReleased { hold, amount, figures, reason, movements, balance, at } => {
                self.end(hold, &movements, amount, figures, State::Released, at)?;
                Told("release", reason, hold, balance)
            }
            F::HoldExpired { hold, amount, figures, movements, balance, at } => {
                must("a hold expires when its time is over", figures.expires_at <= at)?;
                self.end(hold, &movements, amount, figures, State::Expired, at)?;
                Told("hold_expiry", "the hold expired".into(), hold, balance)
            }
            F::HoldLateCaptured {
                hold, key, amount, uncovered, movements, balance, at, ..
            } => {
                more_than_nothing(amount)?;
                within("what is uncovered is part of the amount", uncovered, amount)?;
                let covered = sum(&movements, |m| m.amount)?;
                same("a late capture's parts are what is covered", amount - uncovered, covered)?;
                self.burn(&movements, at, moves::spent)?;
                let dry = uncovered == 0 || self.available == 0;
                must("nothing is uncovered while there are credits", dry)?;
                self.capture_late(hold, key, amount, covered)?;
                self.limits.spend(key, amount, at)?;
                Told("late_capture", "delivered after the hold expired".into(), hold, balance)
            }
            other => return Err(misplaced(other.name())),
        };
        Ok(Some(told))
    }

    fn authorize(
        &mut self,
        position: i64,
        opening: Opening,
        movements: &[Movement],
        at: DateTime<Utc>,
    ) -> Checked {
        let Opening { hold, origin, key, amount, figures } = opening;
        self.spendable(key, amount, at)?;
        same("a hold's allocations are its amount", amount, sum(movements, |m| m.amount)?)?;
        self.spend(movements, at, moves::held)?;
        let Figures { expires_at, .. } = figures;
        must("a hold ends after it begins", expires_at > at)?;
        let opened = Figures { authorized: amount, captured: 0, released: 0, expires_at };
        same_figures(opened, figures)?;
        let allocations = movements.iter().map(|m| (m.grant, m.amount)).collect();
        let state = State::Authorized;
        let opened = Hold {
            origin,
            key,
            state,
            figures,
            allocations,
            opened_at: at,
            position,
            captured_late: 0,
        };
        must("a hold's id is used once", self.holds.insert(hold, opened).is_none())?;
        self.limits.spend(key, amount, at)
    }

    fn increment(
        &mut self,
        hold: Uuid,
        amount: i64,
        figures: Figures,
        movements: &[Movement],
        at: DateTime<Utc>,
    ) -> Checked {
        let key = self.open_hold(hold)?.key;
        self.spendable(key, amount, at)?;
        same("a hold's allocations are its amount", amount, sum(movements, |m| m.amount)?)?;
        self.spend(movements, at, moves::held)?;
        let known = self.open_hold(hold)?;
        add("I1: a hold fits a number", &mut known.figures.authorized, amount)?;
        for m in movements {
            known.allocate(m.grant, m.amount)?;
        }
        known.check(figures)?;
        self.limits.spend(key, amount, at)
    }

    fn open_hold(&mut self, id: Uuid) -> Checked<&mut Hold> {
        let hold = self.holds.get_mut(&id);
        let hold = hold.ok_or_else(|| fault("a hold is authorised first", "a hold", id))?;
        if hold.state == State::Authorized {
            Ok(hold)
        } else {
            Err(fault("an ended hold stays ended", "authorized", format_args!("{:?}", hold.state)))
        }
    }

    /// Credits leave a hold: captured, back to their grants, or broken.
    fn end_part(
        &mut self,
        hold: Uuid,
        movements: &[Movement],
        released: i64,
        at: DateTime<Utc>,
    ) -> Checked {
        not_negative(movements)?;
        let back = sum(movements, |m| m.released)?.checked_add(sum(movements, |m| m.expired)?);
        same("what a hold releases goes back or is breakage", released, back.unwrap_or(-1))?;
        let known = self.open_hold(hold)?;
        for m in movements {
            known.allocate(m.grant, moves::settled(m).held)?;
        }
        add("I1: a hold fits a number", &mut known.figures.released, released)?;
        self.apply(movements, at, moves::settled)?;
        for m in movements {
            let group = self.grant_of(m.grant)?.terms.reversal_group;
            self.unsettled.extend(group);
        }
        Ok(())
    }

    /// A hold ends without a capture.
    fn end(
        &mut self,
        hold: Uuid,
        movements: &[Movement],
        amount: i64,
        figures: Figures,
        state: State,
        at: DateTime<Utc>,
    ) -> Checked {
        same("a hold that is given up captures nothing", 0, sum(movements, |m| m.amount)?)?;
        self.end_part(hold, movements, amount, at)?;
        let known = self.open_hold(hold)?;
        same("a hold that ends leaves nothing open", 0, known.open())?;
        known.state = state;
        let (key, opened_at) = (known.key, known.opened_at);
        known.check(figures)?;
        self.limits.give_back(key, amount, opened_at);
        Ok(())
    }

    fn capture_late(&mut self, id: Uuid, key: Option<Uuid>, amount: i64, covered: i64) -> Checked {
        let hold = self.holds.get_mut(&id);
        let hold = hold.ok_or_else(|| fault("a hold is authorised first", "a hold", id))?;
        if hold.state != State::Expired {
            let found = format_args!("{:?}", hold.state);
            return Err(fault("only an expired hold is captured late, once", "Expired", found));
        }
        must("a hold is its key's to the end", hold.key == key)?;
        within("no more is captured late than was given back", amount, hold.figures.released)?;
        (hold.state, hold.captured_late) = (State::LateCaptured, covered);
        Ok(())
    }
}

impl Hold {
    fn open(&self) -> i64 {
        self.allocations.iter().map(|(_, amount)| amount).sum()
    }

    fn allocate(&mut self, grant: Uuid, amount: i64) -> Checked {
        let found = self.allocations.iter().position(|(id, _)| *id == grant);
        let at = found.unwrap_or_else(|| {
            self.allocations.push((grant, 0));
            self.allocations.len() - 1
        });
        add(
            "I3: no more leaves a hold than it holds of a grant",
            &mut self.allocations[at].1,
            amount,
        )?;
        if self.allocations[at].1 == 0 {
            self.allocations.swap_remove(at);
        }
        Ok(())
    }

    /// The claimed figures are those of the books, and add up.
    fn check(&self, claimed: Figures) -> Checked {
        same_figures(self.figures, claimed)?;
        let Figures { authorized, captured, released, .. } = self.figures;
        let spent = i128::from(captured) + i128::from(released) + i128::from(self.open());
        if i128::from(authorized) == spent {
            Ok(())
        } else {
            Err(fault("I3: a hold is captured, released and open", authorized, spent))
        }
    }
}

fn same_figures(books: Figures, claimed: Figures) -> Checked {
    if books == claimed {
        return Ok(());
    }
    let rule = "a hold's claimed figures are those of the books";
    Err(fault(rule, format_args!("{books:?}"), format_args!("{claimed:?}")))
}
