//! The tables of `balances` and `users` must say what the log says at the position that they have
//! reached (I7); those of `billing` are compared by `shop`.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::VerifyError;
use super::book::HoldState;
use super::facts::Claim;
use super::fold::{Fold, WalletTrail};
use super::people::Person;
use super::report::{Kind, Report};
use super::rows;

pub(super) const RULE: &str = "I7: a read model is a fold of the log";

/// Compares the tables of `balances`, `users` and `billing` with the log.
pub(super) async fn compare(
    db: &mut PgConnection,
    fold: &Fold,
    report: &mut Report,
) -> Result<(), VerifyError> {
    wallets(db, fold, report).await?;
    grants(db, fold, report).await?;
    holds(db, fold, report).await?;
    persons(db, fold, report).await?;
    fold.trades.shop.compare(db, report).await
}

/// A row must be what is expected of it.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    report: &mut Report,
    place: impl Display,
    expected: &T,
    found: &T,
) {
    if expected != found {
        let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
        report.find(Kind::ReadModel, place, RULE, expected, found);
    }
}

/// The wallet as `balances` must have it; none before its first event or when its books are lost.
fn view(trail: &WalletTrail) -> Option<(Claim, i64, i64)> {
    let WalletTrail { book, behind, .. } = trail;
    match behind {
        Some(behind) if behind.sequence == 0 => None,
        Some(behind) => Some((behind.balance, behind.sequence, behind.position)),
        None => Some((book.balance(), book.sequence, book.position)),
    }
}

async fn wallets(
    db: &mut PgConnection,
    fold: &Fold,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let sql = "select wallet_id, available, held, debt, version, position from balances.wallets";
    let mut seen = HashSet::new();
    rows::each(db, sql, |fields| {
        let id = fields.uuid()?;
        let balance = Claim { available: fields.i64()?, held: fields.i64()?, debt: fields.i64()? };
        let found = Some((balance, fields.i64()?, fields.i64()?));
        seen.insert(id);
        report.rows += 1;
        let trail = fold.wallets.get(&id);
        if trail.is_none_or(|trail| !trail.book.lost) {
            same(report, format_args!("wallets, {id}"), &trail.and_then(view), &found);
        }
        Some(())
    })
    .await?;
    for (id, trail) in &fold.wallets {
        if !trail.book.lost && view(trail).is_some() && !seen.contains(id) {
            report.find(Kind::ReadModel, format_args!("wallets, {id}"), RULE, "a row", "none");
        }
    }
    Ok(())
}

async fn grants(
    db: &mut PgConnection,
    fold: &Fold,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let sql = "select wallet_id, grant_id, kind, granted, remaining, held, priority, expires_at, \
               funding::text, position from balances.grants";
    let mut seen = HashSet::new();
    rows::each(db, sql, |fields| {
        let (wallet, id) = (fields.uuid()?, fields.uuid()?);
        let (kind, granted) = (fields.text()?, fields.i64()?);
        let (remaining, held) = (fields.i64()?, fields.i64()?);
        let (priority, expires_at) = (fields.i16()?, fields.opt_micros()?);
        let funding: Value = serde_json::from_str(fields.text()?).ok()?;
        let found = (kind, granted, remaining, held, priority, expires_at, &funding, fields.i64()?);
        seen.insert((wallet, id));
        report.rows += 1;
        let trail = fold.wallets.get(&wallet);
        if trail.is_some_and(|trail| trail.book.lost) {
            return Some(());
        }
        let expected = trail.and_then(|trail| {
            let grant = trail.book.grants.iter().find(|grant| grant.terms.id == id)?;
            let now = (grant.parts.remaining, grant.parts.held);
            let (remaining, held) = match &trail.behind {
                Some(behind) => *behind.grants.get(&id)?,
                None => now,
            };
            let terms = &grant.terms;
            let expires_at = terms.expires_at.map(|at| at.timestamp_micros());
            let kind = terms.kind.as_str();
            let (granted, position) = (terms.amount, grant.position);
            Some((
                kind,
                granted,
                remaining,
                held,
                terms.priority,
                expires_at,
                &terms.funding,
                position,
            ))
        });
        same(report, format_args!("grants, {id} of {wallet}"), &expected, &Some(found));
        Some(())
    })
    .await?;
    for (wallet, trail) in fold.wallets.iter().filter(|(_, trail)| !trail.book.lost) {
        let behind = trail.behind.as_ref();
        let due = |id: &Uuid| behind.is_none_or(|behind| behind.grants.contains_key(id));
        for grant in trail.book.grants.iter().filter(|grant| due(&grant.terms.id)) {
            if !seen.contains(&(*wallet, grant.terms.id)) {
                let place = format_args!("grants, {} of {wallet}", grant.terms.id);
                report.find(Kind::ReadModel, place, RULE, "a row", "none");
            }
        }
    }
    Ok(())
}

/// A hold's state in the words of its table.
fn word(state: HoldState) -> &'static str {
    match state {
        HoldState::Authorized => "authorized",
        HoldState::Captured => "captured",
        HoldState::Released => "released",
        // What was captured late had expired, and stays so.
        HoldState::Expired | HoldState::LateCaptured => "expired",
    }
}

async fn holds(db: &mut PgConnection, fold: &Fold, report: &mut Report) -> Result<(), VerifyError> {
    let sql = "select wallet_id, hold_id, origin, state, authorized, captured, released, \
               expires_at, position from balances.holds";
    let mut rows_of: HashMap<Uuid, usize> = HashMap::new();
    rows::each(db, sql, |fields| {
        let (wallet, id) = (fields.uuid()?, fields.uuid()?);
        let (origin, state) = (fields.text()?, fields.text()?);
        let (authorized, captured, released) = (fields.i64()?, fields.i64()?, fields.i64()?);
        let (expires_at, position) = (fields.micros()?, fields.i64()?);
        let found = (origin, state, authorized, captured, released, expires_at, position);
        *rows_of.entry(wallet).or_default() += 1;
        report.rows += 1;
        let trail = fold.wallets.get(&wallet);
        if trail.is_some_and(|trail| trail.book.lost) {
            return Some(());
        }
        let expected = trail.and_then(|trail| {
            let hold = trail.book.holds.get(&id)?;
            let changed = trail.behind.as_ref().and_then(|behind| behind.holds.get(&id));
            let (state, figures) = changed.copied().unwrap_or(Some((hold.state, hold.figures)))?;
            let expires_at = figures.expires_at.timestamp_micros();
            let origin = hold.origin.as_str();
            let (captured, released) = (figures.captured, figures.released);
            Some((
                origin,
                word(state),
                figures.authorized,
                captured,
                released,
                expires_at,
                hold.position,
            ))
        });
        same(report, format_args!("holds, {id} of {wallet}"), &expected, &Some(found));
        Some(())
    })
    .await?;
    for (wallet, trail) in fold.wallets.iter().filter(|(_, trail)| !trail.book.lost) {
        let new = trail
            .behind
            .as_ref()
            .map_or(0, |behind| behind.holds.values().filter(|before| before.is_none()).count());
        let (due, there) = (trail.book.holds.len() - new, rows_of.get(wallet).copied());
        same(report, format_args!("holds of {wallet}, rows"), &due, &there.unwrap_or(0));
    }
    Ok(())
}

async fn persons(
    db: &mut PgConnection,
    fold: &Fold,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let sql = "select user_id, email, email_verified::int::int8, phone, name, role, status,
                   registered_at, last_seen_at from users.users";
    let mut there = 0;
    rows::each(db, sql, |fields| {
        let id = fields.uuid()?;
        let (email, email_verified) = (fields.opt_text()?, fields.i64()? == 1);
        let (phone, name) = (fields.opt_text()?, fields.opt_text()?);
        let (role, status) = (fields.text()?, fields.text()?);
        let rest = (email_verified, role, status, fields.micros()?, fields.micros()?);
        there += 1;
        report.rows += 1;
        // Personal data is not told.
        let is_said =
            |person: &Person| person.has_personal([email, phone, name]) && person.rest() == rest;
        if !fold.persons.get(&id).is_some_and(is_said) {
            let place = format_args!("users, {id}");
            report.find(Kind::ReadModel, place, RULE, "what the log says", "something else");
        }
        Some(())
    })
    .await?;
    same(report, "users, rows", &fold.persons.len(), &there);
    Ok(())
}
