//! What may be spent in a day and in a month, and what was: by the whole wallet, and by each API
//! key.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::terms::SpendWindow;
use crate::credits::Credits;

/// The limits of one spender, and what counts against them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spending {
    limits: BTreeMap<SpendWindow, Credits>,
    /// What was spent or held since the first day of each window.
    spent: BTreeMap<SpendWindow, (NaiveDate, Credits)>,
}

/// A limit that is too low.
pub(super) struct Over {
    pub(super) window: SpendWindow,
    pub(super) limit: Credits,
    pub(super) spent: Credits,
}

impl Spending {
    /// How much may be spent in a window; none when it has no limit.
    #[must_use]
    pub fn limit(&self, window: SpendWindow) -> Option<Credits> {
        self.limits.get(&window).copied()
    }

    /// What was spent or held in the window that `now` is in.
    #[must_use]
    pub fn spent(&self, window: SpendWindow, now: DateTime<Utc>) -> Credits {
        match self.spent.get(&window) {
            // A node whose clock is behind is still in the window that others have opened.
            Some((first, spent)) if *first >= first_day(window, now) => *spent,
            _ => Credits::ZERO,
        }
    }

    /// Whether there is any limit.
    pub(super) fn has_limit(&self) -> bool {
        !self.limits.is_empty()
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.spent.is_empty()
    }

    /// Whether what was spent last was in an earlier window than that of `at`.
    pub(super) fn is_of_earlier(&self, window: SpendWindow, at: DateTime<Utc>) -> bool {
        self.spent.get(&window).is_some_and(|(first, _)| *first < first_day(window, at))
    }

    /// The limit that spending so much more would go over.
    pub(super) fn over(&self, required: Credits, now: DateTime<Utc>) -> Option<Over> {
        self.limits.iter().find_map(|(&window, &limit)| {
            let spent = self.spent(window, now);
            // A sum that is no number of credits is over any limit.
            let is_within = spent.checked_add(required).is_ok_and(|sum| sum <= limit);
            (!is_within).then_some(Over { window, limit, spent })
        })
    }

    pub(super) fn set_limit(&mut self, window: SpendWindow, limit: Option<Credits>) {
        match limit {
            Some(limit) => self.limits.insert(window, limit),
            None => self.limits.remove(&window),
        };
    }

    pub(super) fn spend(&mut self, amount: Credits, at: DateTime<Utc>) {
        for window in [SpendWindow::Day, SpendWindow::Month] {
            let first = first_day(window, at);
            let entry = self.spent.entry(window).or_insert((first, Credits::ZERO));
            if entry.0 < first {
                *entry = (first, Credits::ZERO);
            }
            entry.1 = entry.1.checked_add(amount).unwrap_or(entry.1);
        }
    }

    /// What a hold gives back counts as not spent, where it was opened in the window that runs.
    pub(super) fn give_back(&mut self, amount: Credits, opened_at: DateTime<Utc>) {
        for (window, (first, spent)) in &mut self.spent {
            if *first == first_day(*window, opened_at) {
                *spent = spent.saturating_sub(amount);
            }
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
