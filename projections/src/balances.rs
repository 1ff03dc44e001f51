//! What each wallet has: its figures, its grants, its holds.

use std::collections::BTreeMap;

use aggregates::event::Event;
use aggregates::id::WalletId;
use aggregates::wallet::{HoldFigures, WalletEvent};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::journal::Recorded;
use crate::projector::Projection;

/// How soon an expiry is told as soon.
const SOON: TimeDelta = TimeDelta::days(7);

/// Follows the log into `wallets`, `grants` and `holds`.
pub struct Balances;

impl Projection for Balances {
    fn name(&self) -> &'static str {
        "balances"
    }

    fn project<'a>(
        &'a self,
        db: &'a mut PgConnection,
        recorded: &'a [Recorded],
    ) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            let changes = Changes::of(recorded);
            changes.write_wallets(db).await?;
            changes.write_new_grants(db).await?;
            changes.write_grants(db).await?;
            changes.write_new_holds(db).await?;
            changes.write_holds(db).await
        })
    }
}

/// The last word of a batch on each row.
#[derive(Default)]
struct Changes {
    wallets: BTreeMap<Uuid, WalletRow>,
    new_grants: Vec<NewGrant>,
    grants: BTreeMap<(Uuid, Uuid), (i64, i64)>,
    new_holds: Vec<NewHold>,
    holds: BTreeMap<(Uuid, Uuid), (&'static str, HoldFigures)>,
}

/// A wallet after the batch; no figures where no event of the batch moved credits.
#[derive(Default)]
struct WalletRow {
    available: Option<i64>,
    held: Option<i64>,
    debt: Option<i64>,
    version: i64,
    position: i64,
}

struct NewGrant {
    wallet: Uuid,
    grant: Uuid,
    kind: String,
    granted: i64,
    priority: i16,
    expires_at: Option<DateTime<Utc>>,
    funding: Value,
    position: i64,
}

struct NewHold {
    wallet: Uuid,
    hold: Uuid,
    origin: String,
    position: i64,
}

impl Changes {
    fn of(recorded: &[Recorded]) -> Self {
        let mut changes = Self::default();
        for recorded in recorded {
            if let Event::Wallet(event) = &recorded.event {
                changes.follow(recorded, event);
            }
        }
        changes
    }

    fn follow(&mut self, recorded: &Recorded, event: &WalletEvent) {
        let wallet = recorded.aggregate_id;
        let row = self.wallets.entry(wallet).or_default();
        (row.version, row.position) = (recorded.sequence, recorded.position);
        if let Some(balance) = event.balance() {
            row.available = Some(balance.available.get());
            row.held = Some(balance.held.get());
            row.debt = Some(balance.debt.get());
        }
        if let Some(grant) = event.granted() {
            self.new_grants.push(NewGrant {
                wallet,
                grant: grant.id.0,
                kind: word(&grant.kind),
                granted: grant.amount.get(),
                priority: u8::from(grant.priority).into(),
                expires_at: grant.expires_at,
                funding: serde_json::to_value(&grant.funding).unwrap_or_default(),
                position: recorded.position,
            });
        }
        for movement in event.movements() {
            let figures = (movement.remaining.get(), movement.held.get());
            self.grants.insert((wallet, movement.grant.0), figures);
        }
        let (hold, state, figures) = match event {
            WalletEvent::HoldAuthorized { hold, origin, figures, .. } => {
                let (hold, origin) = (hold.0, word(origin));
                self.new_holds.push(NewHold { wallet, hold, origin, position: recorded.position });
                (hold, "authorized", figures)
            }
            WalletEvent::HoldIncremented { hold, figures, .. }
            | WalletEvent::HoldExtended { hold, figures, .. }
            | WalletEvent::HoldCaptured { hold, last: false, figures, .. } => {
                (hold.0, "authorized", figures)
            }
            WalletEvent::HoldCaptured { hold, last: true, figures, .. } => {
                (hold.0, "captured", figures)
            }
            WalletEvent::HoldReleased { hold, figures, .. } => (hold.0, "released", figures),
            WalletEvent::HoldExpired { hold, figures, .. } => (hold.0, "expired", figures),
            _ => return,
        };
        self.holds.insert((wallet, hold), (state, *figures));
    }

    async fn write_wallets(&self, db: &mut PgConnection) -> sqlx::Result<()> {
        let figure =
            |of: fn(&WalletRow) -> Option<i64>| self.wallets.values().map(of).collect::<Vec<_>>();
        sqlx::query(
            "insert into wallets as w (wallet_id, available, held, debt, version, position)
             select n.wallet_id, coalesce(n.available, o.available, 0), coalesce(n.held, o.held, 0),
                 coalesce(n.debt, o.debt, 0), n.version, n.position
             from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
                 as n (wallet_id, available, held, debt, version, position)
             left join wallets o on o.wallet_id = n.wallet_id
             on conflict (wallet_id) do update
             set available = excluded.available, held = excluded.held, debt = excluded.debt,
                 version = excluded.version, position = excluded.position",
        )
        .bind(self.wallets.keys().copied().collect::<Vec<_>>())
        .bind(figure(|row| row.available))
        .bind(figure(|row| row.held))
        .bind(figure(|row| row.debt))
        .bind(self.wallets.values().map(|row| row.version).collect::<Vec<_>>())
        .bind(self.wallets.values().map(|row| row.position).collect::<Vec<_>>())
        .execute(db)
        .await?;
        Ok(())
    }

    async fn write_new_grants(&self, db: &mut PgConnection) -> sqlx::Result<()> {
        if self.new_grants.is_empty() {
            return Ok(());
        }
        let new = &self.new_grants;
        sqlx::query(
            "insert into grants (wallet_id, grant_id, kind, granted, remaining, held, priority, expires_at, funding, position)
             select wallet_id, grant_id, kind, granted, granted, 0, priority, expires_at, funding, position
             from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::smallint[], $6::timestamptz[], $7::jsonb[], $8::bigint[])
                 as n (wallet_id, grant_id, kind, granted, priority, expires_at, funding, position)",
        )
        .bind(new.iter().map(|grant| grant.wallet).collect::<Vec<_>>())
        .bind(new.iter().map(|grant| grant.grant).collect::<Vec<_>>())
        .bind(new.iter().map(|grant| grant.kind.clone()).collect::<Vec<_>>())
        .bind(new.iter().map(|grant| grant.granted).collect::<Vec<_>>())
        .bind(new.iter().map(|grant| grant.priority).collect::<Vec<_>>())
        .bind(new.iter().map(|grant| grant.expires_at).collect::<Vec<_>>())
        .bind(new.iter().map(|grant| grant.funding.clone()).collect::<Vec<_>>())
        .bind(new.iter().map(|grant| grant.position).collect::<Vec<_>>())
        .execute(db)
        .await?;
        Ok(())
    }

    async fn write_grants(&self, db: &mut PgConnection) -> sqlx::Result<()> {
        if self.grants.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "update grants g set remaining = n.remaining, held = n.held
             from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[])
                 as n (wallet_id, grant_id, remaining, held)
             where g.wallet_id = n.wallet_id and g.grant_id = n.grant_id",
        )
        .bind(self.grants.keys().map(|(wallet, _)| *wallet).collect::<Vec<_>>())
        .bind(self.grants.keys().map(|(_, grant)| *grant).collect::<Vec<_>>())
        .bind(self.grants.values().map(|(remaining, _)| *remaining).collect::<Vec<_>>())
        .bind(self.grants.values().map(|(_, held)| *held).collect::<Vec<_>>())
        .execute(db)
        .await?;
        Ok(())
    }

    async fn write_new_holds(&self, db: &mut PgConnection) -> sqlx::Result<()> {
        if self.new_holds.is_empty() {
            return Ok(());
        }
        let new = &self.new_holds;
        sqlx::query(
            "insert into holds (wallet_id, hold_id, origin, state, authorized, captured, released, expires_at, position)
             select wallet_id, hold_id, origin, 'authorized', 0, 0, 0, 'infinity', position
             from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[])
                 as n (wallet_id, hold_id, origin, position)
             on conflict (wallet_id, hold_id) do update
             set origin = excluded.origin, position = excluded.position",
        )
        .bind(new.iter().map(|hold| hold.wallet).collect::<Vec<_>>())
        .bind(new.iter().map(|hold| hold.hold).collect::<Vec<_>>())
        .bind(new.iter().map(|hold| hold.origin.clone()).collect::<Vec<_>>())
        .bind(new.iter().map(|hold| hold.position).collect::<Vec<_>>())
        .execute(db)
        .await?;
        Ok(())
    }

    async fn write_holds(&self, db: &mut PgConnection) -> sqlx::Result<()> {
        if self.holds.is_empty() {
            return Ok(());
        }
        let column = |of: fn(&HoldFigures) -> i64| {
            self.holds.values().map(|(_, figures)| of(figures)).collect::<Vec<_>>()
        };
        sqlx::query(
            "update holds h set state = n.state, authorized = n.authorized, captured = n.captured,
                 released = n.released, expires_at = n.expires_at
             from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[])
                 as n (wallet_id, hold_id, state, authorized, captured, released, expires_at)
             where h.wallet_id = n.wallet_id and h.hold_id = n.hold_id",
        )
        .bind(self.holds.keys().map(|(wallet, _)| *wallet).collect::<Vec<_>>())
        .bind(self.holds.keys().map(|(_, hold)| *hold).collect::<Vec<_>>())
        .bind(self.holds.values().map(|(state, _)| (*state).to_owned()).collect::<Vec<_>>())
        .bind(column(|figures| figures.authorized.get()))
        .bind(column(|figures| figures.captured.get()))
        .bind(column(|figures| figures.released.get()))
        .bind(self.holds.values().map(|(_, f)| f.expires_at).collect::<Vec<_>>())
        .execute(db)
        .await?;
        Ok(())
    }
}

/// A value of an enum as its word on the wire.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
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

/// What the wallet has at `now`: grants whose time is over are left out, booked or not.
pub async fn of_wallet(
    db: &PgPool,
    wallet: WalletId,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Balance>> {
    let mut tx = db.begin().await?;
    sqlx::query("set transaction isolation level repeatable read, read only")
        .execute(&mut *tx)
        .await?;
    let row: Option<(i64, i64, i64)> =
        sqlx::query_as("select held, debt, version from wallets where wallet_id = $1")
            .bind(wallet.0)
            .fetch_optional(&mut *tx)
            .await?;
    let Some((held, debt, version)) = row else { return Ok(None) };
    let grants: Vec<GrantRow> = sqlx::query_as(
        "select grant_id, kind, granted, remaining, held, expires_at from grants
         where wallet_id = $1 and (remaining > 0 or held > 0)
           and (expires_at is null or expires_at > $2 or held > 0)
         order by priority, expires_at nulls last, position",
    )
    .bind(wallet.0)
    .bind(now)
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let live = |grant: &&GrantRow| grant.expires_at.is_none_or(|at| at > now);
    let available = grants.iter().filter(live).map(|grant| grant.remaining).sum();
    Ok(Some(Balance { available, held, debt, version, grants }))
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
         where remaining > 0 and expires_at is not null and expires_at <= $1
         order by expires_at limit $2",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(db)
    .await
}
