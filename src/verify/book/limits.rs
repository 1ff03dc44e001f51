//! What may be spent in a day and in a month (UTC), and what was.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use uuid::Uuid;

use super::super::facts::Window;
use super::rules::{Checked, add, within};

/// The limits of a wallet and of its API keys.
#[derive(Debug, Default)]
pub(in crate::verify) struct Limits {
    pub(in crate::verify) wallet: Spending,
    pub(in crate::verify) by_key: BTreeMap<Uuid, Spending>,
}

/// The limits of one spender, and what counts against them.
#[derive(Debug, Default)]
pub(in crate::verify) struct Spending {
    pub(in crate::verify) most: BTreeMap<Window, i64>,
    /// The first day of the window that runs, and what was spent or held in it.
    pub(in crate::verify) spent: BTreeMap<Window, (NaiveDate, i64)>,
}

impl Limits {
    pub(in crate::verify) fn set(&mut self, key: Option<Uuid>, window: Window, limit: Option<i64>) {
        let spending = match key {
            Some(key) => self.by_key.entry(key).or_default(),
            None => &mut self.wallet,
        };
        match limit {
            Some(limit) => spending.most.insert(window, limit),
            None => spending.most.remove(&window),
        };
        self.by_key.retain(|_, spending| !(spending.most.is_empty() && spending.spent.is_empty()));
    }

    /// I4: a spend stays within the limits of the wallet and of the key that spends.
    pub(in crate::verify) fn check(
        &self,
        key: Option<Uuid>,
        amount: i64,
        at: DateTime<Utc>,
    ) -> Checked {
        self.wallet.check(amount, at)?;
        let of_key = key.and_then(|key| self.by_key.get(&key));
        of_key.map_or(Ok(()), |spending| spending.check(amount, at))
    }

    pub(in crate::verify) fn spend(
        &mut self,
        key: Option<Uuid>,
        amount: i64,
        at: DateTime<Utc>,
    ) -> Checked {
        let month = self.wallet.spent.get(&Window::Month);
        if month.is_some_and(|(first, _)| *first < first_day(Window::Month, at)) {
            // Keys that may spend without a limit are known in the month in which they spend.
            self.by_key.retain(|_, spending| !spending.most.is_empty());
        }
        self.wallet.spend(amount, at)?;
        key.map_or(Ok(()), |key| self.by_key.entry(key).or_default().spend(amount, at))
    }

    /// What a hold of that time gives back counts as not spent, while its window runs.
    pub(in crate::verify) fn give_back(
        &mut self,
        key: Option<Uuid>,
        amount: i64,
        opened_at: DateTime<Utc>,
    ) {
        self.wallet.give_back(amount, opened_at);
        if let Some(spending) = key.and_then(|key| self.by_key.get_mut(&key)) {
            spending.give_back(amount, opened_at);
        }
    }
}

impl Spending {
    fn check(&self, amount: i64, at: DateTime<Utc>) -> Checked {
        for (window, most) in &self.most {
            let spent = match self.spent.get(window) {
                Some((first, spent)) if *first >= first_day(*window, at) => *spent,
                _ => 0,
            };
            within("I4: no more is spent than the limit allows", amount, most - spent)?;
        }
        Ok(())
    }

    fn spend(&mut self, amount: i64, at: DateTime<Utc>) -> Checked {
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

    fn give_back(&mut self, amount: i64, opened_at: DateTime<Utc>) {
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
