//! What may be spent in a day and in a month (UTC), and what was.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, Utc};

use super::super::facts::Window;
use super::rules::{Checked, add, within};

/// The limits of a wallet, and what counts against them.
#[derive(Debug, Default)]
pub(in crate::verify) struct Limits {
    pub(in crate::verify) most: BTreeMap<Window, i64>,
    /// The first day of the window that runs, and what was spent or held in it.
    pub(in crate::verify) spent: BTreeMap<Window, (NaiveDate, i64)>,
}

impl Limits {
    pub(in crate::verify) fn set(&mut self, window: Window, limit: Option<i64>) {
        match limit {
            Some(limit) => self.most.insert(window, limit),
            None => self.most.remove(&window),
        };
    }

    /// I4: a spend stays within the limits.
    pub(in crate::verify) fn check(&self, amount: i64, at: DateTime<Utc>) -> Checked {
        for (window, most) in &self.most {
            let spent = match self.spent.get(window) {
                Some((first, spent)) if *first >= first_day(*window, at) => *spent,
                _ => 0,
            };
            within("I4: no more is spent than the limit allows", amount, most - spent)?;
        }
        Ok(())
    }

    pub(in crate::verify) fn spend(&mut self, amount: i64, at: DateTime<Utc>) -> Checked {
        for window in [Window::Day, Window::Month] {
            let first = first_day(window, at);
            let running = self.spent.entry(window).or_insert((first, 0));
            if first > running.0 {
                *running = (first, 0);
            }
            add("I1: what was spent fits a number", &mut running.1, amount)?;
        }
        Ok(())
    }

    /// What a hold of that time gives back counts as not spent, while its window runs.
    pub(in crate::verify) fn give_back(&mut self, amount: i64, opened_at: DateTime<Utc>) {
        for (window, (first, spent)) in &mut self.spent {
            if *first == first_day(*window, opened_at) {
                *spent = (*spent - amount).max(0);
            }
        }
    }
}

fn first_day(window: Window, at: DateTime<Utc>) -> NaiveDate {
    let day = at.date_naive();
    match window {
        Window::Day => day,
        Window::Month => day.with_day(1).unwrap_or(day),
    }
}
