//! What an event must obey, and what is told when it does not.

use super::super::facts::Movement;

/// A rule that an event breaks.
#[derive(Debug)]
pub(in crate::verify) struct Fault {
    pub(in crate::verify) rule: &'static str,
    pub(in crate::verify) expected: String,
    pub(in crate::verify) found: String,
}

pub(in crate::verify) type Checked<T = ()> = Result<T, Fault>;

#[expect(clippy::needless_pass_by_value, reason = "figures and words are told as they come")]
pub(in crate::verify) fn fault(
    rule: &'static str,
    expected: impl ToString,
    found: impl ToString,
) -> Fault {
    Fault { rule, expected: expected.to_string(), found: found.to_string() }
}

/// `found` must be what the books say.
pub(in crate::verify) fn same(rule: &'static str, expected: i64, found: i64) -> Checked {
    if expected == found { Ok(()) } else { Err(fault(rule, expected, found)) }
}

/// `found` must be nothing more than `most`, and not negative.
pub(in crate::verify) fn within(rule: &'static str, found: i64, most: i64) -> Checked {
    if (0..=most).contains(&found) {
        Ok(())
    } else {
        Err(fault(rule, format_args!("0 to {most}"), found))
    }
}

pub(in crate::verify) fn more_than_nothing(amount: i64) -> Checked {
    within("I1: an amount is more than nothing", amount.saturating_sub(1), i64::MAX)
}

pub(in crate::verify) fn must(rule: &'static str, holds: bool) -> Checked {
    if holds { Ok(()) } else { Err(fault(rule, "yes", "no")) }
}

/// Adds, and refuses what does not fit or falls below zero.
pub(in crate::verify) fn add(rule: &'static str, to: &mut i64, amount: i64) -> Checked {
    match to.checked_add(amount) {
        Some(sum) if sum >= 0 => {
            *to = sum;
            Ok(())
        }
        _ => Err(fault(rule, "0 or more", i128::from(*to) + i128::from(amount))),
    }
}

pub(in crate::verify) fn not_negative(movements: &[Movement]) -> Checked {
    movements.iter().try_for_each(|m| {
        let least = m.amount.min(m.released).min(m.expired).min(m.from_expired);
        within("I1: an amount is not negative", least, i64::MAX)
    })
}

pub(in crate::verify) fn sum(movements: &[Movement], of: fn(&Movement) -> i64) -> Checked<i64> {
    movements.iter().try_fold(0_i64, |sum, m| {
        sum.checked_add(of(m)).ok_or_else(|| fault("I1: a sum fits a number", i64::MAX, "more"))
    })
}

/// An event that came to the wrong place: an error of ours.
pub(in crate::verify) fn misplaced(name: &str) -> Fault {
    fault("an event is entered where it belongs", "another place", name)
}
