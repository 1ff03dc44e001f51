//! What each person used, by books of their own: the tables of `usage` must say the same (I7).

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::VerifyError;
use super::facts::{UsageFact, WalletFact};
use super::fold::Fold;
use super::models::{RULE, same};
use super::report::{Kind, Report};
use super::rows;

/// More tokens than these no call has.
const TOKENS: u64 = u32::MAX as u64;

/// Calls, credits, tokens read, tokens written, estimated calls.
type Figures = [i64; 5];
/// Feature and model.
type Line = (String, String);

/// What a wallet's owner used, by the log.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// By day, counted from 1970.
    days: BTreeMap<i64, Vec<(Line, Figures)>>,
    /// What holds of ours are for that can still be captured.
    features: HashMap<Uuid, String>,
}

impl Usage {
    pub(super) fn follow(&mut self, fact: &WalletFact<'_>) {
        use WalletFact as F;
        match fact {
            F::HoldAuthorized { hold, origin, reason, .. } => {
                // A hold that has ended leaves its id to whoever comes next.
                self.features.remove(hold);
                if origin == "gateway" {
                    self.features.insert(*hold, reason.clone().into_owned());
                }
            }
            F::HoldCaptured { hold, amount, last, usage, at, .. } => {
                self.call(*hold, *amount, usage.as_ref(), *at);
                if *last {
                    self.features.remove(hold);
                }
            }
            F::HoldLateCaptured { hold, amount, uncovered, usage, at, .. } => {
                self.call(*hold, amount - uncovered, usage.as_ref(), *at);
                self.features.remove(hold);
            }
            F::HoldReleased { hold, .. } => drop(self.features.remove(hold)),
            F::Debited { amount, at, .. } => self.enter(*at, "api", "", [1, *amount, 0, 0, 0]),
            F::DebitReversed { amount, at, .. } => {
                self.enter(*at, "api", "", [0, -amount, 0, 0, 0]);
            }
            _ => {}
        }
    }

    fn call(&mut self, hold: Uuid, charged: i64, usage: Option<&UsageFact<'_>>, at: DateTime<Utc>) {
        let feature = self.features.get(&hold).cloned();
        let feature = feature.as_deref().unwrap_or("api");
        let Some(UsageFact { model, input_tokens, output_tokens, estimated }) = usage else {
            return self.enter(at, feature, "", [1, charged, 0, 0, 0]);
        };
        let tokens = |count: &Option<u64>| {
            count.map_or(0, |count| i64::try_from(count.min(TOKENS)).unwrap_or_default())
        };
        let (read, written) = (tokens(input_tokens), tokens(output_tokens));
        self.enter(at, feature, model, [1, charged, read, written, i64::from(*estimated)]);
    }

    fn enter(&mut self, at: DateTime<Utc>, feature: &str, model: &str, figures: Figures) {
        let day = self.days.entry(at.timestamp().div_euclid(24 * 60 * 60)).or_default();
        let known = day.iter_mut().find(|((f, m), _)| f == feature && m == model);
        match known {
            Some((_, sum)) => sum.iter_mut().zip(figures).for_each(|(sum, more)| *sum += more),
            None => day.push(((feature.to_owned(), model.to_owned()), figures)),
        }
    }

    fn of(&self, day: i64, feature: &str, model: &str) -> Option<Figures> {
        let mut lines = self.days.get(&day)?.iter();
        lines.find(|((f, m), _)| f == feature && m == model).map(|(_, figures)| *figures)
    }
}

/// Compares the tables of `usage` with the log.
pub(super) async fn compare(
    db: &mut PgConnection,
    fold: &Fold,
    report: &mut Report,
) -> Result<(), VerifyError> {
    days(db, fold, report).await?;
    features(db, fold, report).await
}

async fn days(db: &mut PgConnection, fold: &Fold, report: &mut Report) -> Result<(), VerifyError> {
    let sql = "select wallet_id, (day - date '1970-01-01')::int8, feature, model, calls, credits, \
               input_tokens, output_tokens, estimated from usage.days";
    let mut there: HashMap<Uuid, usize> = HashMap::new();
    rows::each(db, sql, |fields| {
        let (wallet, day) = (fields.uuid()?, fields.i64()?);
        let (feature, model) = (fields.text()?, fields.text()?);
        let found = [fields.i64()?, fields.i64()?, fields.i64()?, fields.i64()?, fields.i64()?];
        *there.entry(wallet).or_default() += 1;
        report.rows += 1;
        let trail = fold.wallets.get(&wallet);
        if trail.is_none_or(|trail| !trail.book.lost) {
            let expected = trail.and_then(|trail| trail.usage.of(day, feature, model));
            let place = format_args!("usage, {feature} {model:?} on day {day} of {wallet}");
            same(report, place, &expected, &Some(found));
        }
        Some(())
    })
    .await?;
    for (wallet, trail) in fold.wallets.iter().filter(|(_, trail)| !trail.book.lost) {
        let due: usize = trail.usage.days.values().map(Vec::len).sum();
        let there = there.get(wallet).copied().unwrap_or(0);
        same(report, format_args!("usage of {wallet}, rows"), &due, &there);
    }
    Ok(())
}

async fn features(
    db: &mut PgConnection,
    fold: &Fold,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let mut there: HashMap<Uuid, usize> = HashMap::new();
    rows::each(db, "select wallet_id, hold_id, feature from usage.features", |fields| {
        let (wallet, hold, found) = (fields.uuid()?, fields.uuid()?, fields.text()?);
        *there.entry(wallet).or_default() += 1;
        report.rows += 1;
        let trail = fold.wallets.get(&wallet);
        let lost = trail.is_some_and(|trail| trail.book.lost);
        let expected = trail.and_then(|trail| trail.usage.features.get(&hold));
        if !lost && expected.map(String::as_str) != Some(found) {
            let (place, expected) = (format_args!("usage, hold {hold}"), format!("{expected:?}"));
            report.find(Kind::ReadModel, place, RULE, expected, found);
        }
        Some(())
    })
    .await?;
    for (wallet, trail) in fold.wallets.iter().filter(|(_, trail)| !trail.book.lost) {
        let (due, there) = (trail.usage.features.len(), there.get(wallet).copied().unwrap_or(0));
        same(report, format_args!("usage of {wallet}, holds"), &due, &there);
    }
    Ok(())
}
