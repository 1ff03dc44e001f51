//! What each wallet has: its figures, its grants, its holds.

mod changes;

use std::sync::Arc;

use aggregates::id::WalletId;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use sqlx::{FromRow, PgConnection, PgPool, Row};
use uuid::Uuid;

use crate::journal::Recorded;
use crate::projector::Projection;
use changes::Changes;

/// How soon an expiry is told as soon.
const SOON: TimeDelta = TimeDelta::days(7);

/// Follows the log into `wallets`, `grants` and `holds`.
pub struct Balances;

impl Projection for Balances {
    fn name(&self) -> &'static str {
        "balances"
    }

    fn streams(&self) -> &'static [&'static str] {
        &["wallet"]
    }

    fn project<'a>(
        &'a self,
        db: &'a mut PgConnection,
        recorded: &'a [Arc<Recorded>],
    ) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move { Changes::of(recorded)?.write(db).await })
    }
}

/// What a wallet has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// In grants whose time is not over, and not held.
    pub available: i64,
    /// In open holds.
    pub held: i64,
    /// Reversed after it was spent, and not repaid.
    pub debt: i64,
    /// The length of the wallet's stream.
    pub version: i64,
    /// Grants that still have credits, in burn order of priority and expiry.
    pub grants: Vec<GrantRow>,
}

impl Balance {
    /// What may be spent: nothing while there is debt.
    #[must_use]
    pub fn spendable(&self) -> i64 {
        if self.debt > 0 { 0 } else { self.available }
    }

    /// Grants that will soon expire.
    pub fn expiring_soon(&self, now: DateTime<Utc>) -> impl Iterator<Item = &GrantRow> {
        self.grants.iter().filter(move |grant| {
            grant.remaining > 0 && grant.expires_at.is_some_and(|at| at <= now + SOON)
        })
    }
}

/// A grant that still has credits.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct GrantRow {
    /// The grant.
    pub grant_id: Uuid,
    /// What it is.
    pub kind: String,
    /// How many credits arrived.
    pub granted: i64,
    /// How many are left.
    pub remaining: i64,
    /// How many open holds have.
    pub held: i64,
    /// When the rest becomes breakage.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What the wallet has at `now`: grants whose time is over are left out, booked or not. One
/// statement, so that wallet and grants are of one moment, also while a rebuild swaps the tables.
pub async fn of_wallet(
    db: &PgPool,
    wallet: WalletId,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Balance>> {
    let rows = sqlx::query(
        "select w.held as wallet_held, w.debt, w.version,
             g.grant_id, g.kind, g.granted, g.remaining, g.held, g.expires_at
         from wallets w
         left join grants g on g.wallet_id = w.wallet_id and (g.live or g.held > 0)
             and (g.expires_at is null or g.expires_at > $2 or g.held > 0)
         where w.wallet_id = $1
         order by g.priority, g.expires_at nulls last, g.position",
    )
    .bind(wallet.0)
    .bind(now)
    .fetch_all(db)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let (held, debt) = (first.try_get("wallet_held")?, first.try_get("debt")?);
    let version = first.try_get("version")?;
    let mut grants = Vec::with_capacity(rows.len());
    for row in &rows {
        // A wallet without grants is one row without a grant.
        if row.try_get::<Option<Uuid>, _>("grant_id")?.is_some() {
            grants.push(GrantRow::from_row(row)?);
        }
    }
    let live = |grant: &&GrantRow| grant.expires_at.is_none_or(|at| at > now);
    let available = grants.iter().filter(live).map(|grant| grant.remaining).sum();
    Ok(Some(Balance { available, held, debt, version, grants }))
}

/// What came of a subscription for a time, and what is left of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromRow)]
pub struct Quota {
    /// What it brought.
    pub granted: i64,
    /// What was carried over from the time before.
    pub carried_over: i64,
    /// What open holds have of both.
    pub held: i64,
    /// What is left of both.
    pub remaining: i64,
}

/// The last quota that a subscription, by Stripe's id, has brought for a time that began since `since`
/// and not after `now`.
pub async fn quota(
    db: &PgPool,
    wallet: WalletId,
    stripe: &str,
    (since, now): (DateTime<Utc>, DateTime<Utc>),
) -> sqlx::Result<Quota> {
    sqlx::query_as(
        "with quota as (
             select kind, granted, held, remaining,
                 (funding -> 'subscription_period' ->> 'period_start')::timestamptz as begins_at
             from grants
             where wallet_id = $1 and kind in ('quota', 'rollover')
                 and funding -> 'subscription_period' ->> 'subscription' = $2)
         select coalesce(sum(granted) filter (where kind = 'quota'), 0)::bigint as granted,
             coalesce(sum(granted) filter (where kind = 'rollover'), 0)::bigint as carried_over,
             coalesce(sum(held), 0)::bigint as held,
             coalesce(sum(remaining), 0)::bigint as remaining
         from quota
         where begins_at = (select max(begins_at) from quota where begins_at between $3 and $4)",
    )
    .bind(wallet.0)
    .bind(stripe)
    .bind(since)
    .bind(now)
    .fetch_one(db)
    .await
}

/// Open holds whose time is over, the longest overdue first.
pub async fn due_holds(
    db: &PgPool,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<(Uuid, Uuid)>> {
    sqlx::query_as(
        "select wallet_id, hold_id from holds
         where state = 'authorized' and expires_at <= $1
         order by expires_at limit $2",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Grants with credits left whose time is over, the longest overdue first.
pub async fn due_grants(
    db: &PgPool,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<(Uuid, Uuid)>> {
    sqlx::query_as(
        "select wallet_id, grant_id from grants
         where live and expires_at is not null and expires_at <= $1
         order by expires_at limit $2",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(db)
    .await
}
