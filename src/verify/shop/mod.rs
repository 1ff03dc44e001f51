//! The tables of `billing` must say what the log says at the position that they have reached (I7):
//! each row of each, and every column.
//!
//! What is sold is little beside what is spent: what a table must have is kept by its keys as the
//! log is read, and compared row by row at its end.

mod invoices;
mod offers;
mod purchases;
mod recharges;
mod subscriptions;

use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::hash::Hash;

use sqlx::PgConnection;
use uuid::Uuid;

use super::VerifyError;
use super::models::{RULE, same};
use super::report::{Kind, Report};
use super::rows::{self, Fields};

use invoices::Invoice;
use offers::{Pack, Plan, Price};
use purchases::Purchase;
use recharges::Recharge;
use subscriptions::Subscription;

/// A row of a table, without its key. Times are in microseconds since 1970.
pub(super) trait Row: PartialEq + Debug + Sized + Sync {
    type Key: Eq + Hash + Display + Sync;

    const TABLE: &str;
    /// The key, and then the columns in the order in which they are read.
    const QUERY: &str;

    fn key(fields: &mut Fields<'_>) -> Option<Self::Key>;

    fn read(fields: &mut Fields<'_>) -> Option<Self>;
}

/// What the tables must have.
#[derive(Debug, Default)]
pub(super) struct Shop {
    packs: HashMap<Uuid, Pack>,
    plans: HashMap<Uuid, Plan>,
    prices: HashMap<String, Price>,
    purchases: HashMap<Uuid, Purchase>,
    subscriptions: HashMap<Uuid, Subscription>,
    invoices: HashMap<String, Invoice>,
    recharges: HashMap<Uuid, Recharge>,
}

impl Shop {
    /// Takes over what another shard has followed.
    pub(super) fn join(&mut self, other: Self) {
        self.packs.extend(other.packs);
        self.plans.extend(other.plans);
        self.prices.extend(other.prices);
        self.purchases.extend(other.purchases);
        self.subscriptions.extend(other.subscriptions);
        self.invoices.extend(other.invoices);
        self.recharges.extend(other.recharges);
    }

    /// Compares the tables with what they must have.
    pub(super) async fn compare(
        &self,
        db: &mut PgConnection,
        report: &mut Report,
    ) -> Result<(), VerifyError> {
        compare(db, &self.packs, report).await?;
        compare(db, &self.plans, report).await?;
        compare(db, &self.prices, report).await?;
        compare(db, &self.purchases, report).await?;
        compare(db, &self.subscriptions, report).await?;
        compare(db, &self.invoices, report).await?;
        compare(db, &self.recharges, report).await
    }
}

/// Compares a table with what it must have.
pub(super) async fn compare<R: Row>(
    db: &mut PgConnection,
    expected: &HashMap<R::Key, R>,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let mut missing: HashMap<&R::Key, &R> = expected.iter().collect();
    rows::each(db, R::QUERY, |fields| {
        let (key, found) = (R::key(fields)?, R::read(fields)?);
        let place = format_args!("{}, {key}", R::TABLE);
        report.rows += 1;
        match missing.remove(&key) {
            Some(expected) => same(report, place, expected, &found),
            None => report.find(Kind::ReadModel, place, RULE, "no row", format_args!("{found:?}")),
        }
        Some(())
    })
    .await?;
    for (key, row) in missing {
        let place = format_args!("{}, {key}", R::TABLE);
        report.find(Kind::ReadModel, place, RULE, format_args!("{row:?}"), "none");
    }
    Ok(())
}
