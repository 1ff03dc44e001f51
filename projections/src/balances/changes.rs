//! What a batch of events changes in the tables: the last word on each row, written at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use aggregates::event::Event;
use aggregates::wallet::{Balance, GrantTerms, HoldFigures, Origin, WalletEvent};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::journal::Recorded;
use crate::projector::{all_of, column};

/// What a batch of events changes; grants and holds by wallet and id, since ids of holds are named
/// by clients.
#[derive(Default)]
pub(super) struct Changes {
    wallets: BTreeMap<Uuid, WalletChange>,
    grants: BTreeMap<(Uuid, Uuid), GrantChange>,
    holds: BTreeMap<(Uuid, Uuid), HoldChange>,
}

/// A wallet after the batch; no balance where no event of the batch moved credits.
#[derive(Default)]
struct WalletChange {
    opened: bool,
    balance: Option<Balance>,
    version: i64,
    position: i64,
}

/// A grant after the batch.
#[derive(Default)]
struct GrantChange {
    arrived: Option<Arrived>,
    remaining: i64,
    held: i64,
}

/// What never changes in a grant.
struct Arrived {
    terms: GrantTerms,
    kind: String,
    funding: Value,
    position: i64,
}

/// A hold after the batch.
struct HoldChange {
    opened: Option<Opened>,
    state: &'static str,
    figures: HoldFigures,
}

/// What never changes in a hold.
struct Opened {
    origin: String,
    position: i64,
}

impl Changes {
    pub(super) fn of(recorded: &[Arc<Recorded>]) -> sqlx::Result<Self> {
        let mut changes = Self::default();
        for recorded in recorded {
            if let Event::Wallet(event) = &recorded.event {
                changes.wallet(recorded, event);
                changes.grants(recorded, event)?;
                changes.hold(recorded, event)?;
            }
        }
        Ok(changes)
    }

    fn wallet(&mut self, recorded: &Recorded, event: &WalletEvent) {
        let wallet = self.wallets.entry(recorded.aggregate_id).or_default();
        wallet.opened |= matches!(event, WalletEvent::Opened { .. });
        wallet.balance = event.balance().or(wallet.balance);
        (wallet.version, wallet.position) = (recorded.sequence, recorded.position);
    }

    fn grants(&mut self, recorded: &Recorded, event: &WalletEvent) -> sqlx::Result<()> {
        if let Some(terms) = event.granted() {
            let arrived = Arrived {
                terms: terms.clone(),
                kind: word(&terms.kind)?,
                funding: json(&terms.funding)?,
                position: recorded.position,
            };
            let remaining = terms.amount.get();
            let change = GrantChange { arrived: Some(arrived), remaining, held: 0 };
            self.grants.insert((recorded.aggregate_id, terms.id.0), change);
        }
        for movement in event.movements() {
            let key = (recorded.aggregate_id, movement.grant.0);
            let change = self.grants.entry(key).or_default();
            (change.remaining, change.held) = (movement.remaining.get(), movement.held.get());
        }
        Ok(())
    }

    fn hold(&mut self, recorded: &Recorded, event: &WalletEvent) -> sqlx::Result<()> {
        let (hold, state, figures) = match event {
            WalletEvent::HoldAuthorized { hold, figures, .. }
            | WalletEvent::HoldIncremented { hold, figures, .. }
            | WalletEvent::HoldExtended { hold, figures, .. }
            | WalletEvent::HoldCaptured { hold, last: false, figures, .. } => {
                (hold, "authorized", figures)
            }
            WalletEvent::HoldCaptured { hold, last: true, figures, .. } => {
                (hold, "captured", figures)
            }
            WalletEvent::HoldReleased { hold, figures, .. } => (hold, "released", figures),
            WalletEvent::HoldExpired { hold, figures, .. } => (hold, "expired", figures),
            _ => return Ok(()),
        };
        let key = (recorded.aggregate_id, hold.0);
        let opened = match event {
            WalletEvent::HoldAuthorized { origin, .. } => Some(Opened::at(recorded, *origin)?),
            _ => self.holds.remove(&key).and_then(|before| before.opened),
        };
        self.holds.insert(key, HoldChange { opened, state, figures: *figures });
        Ok(())
    }

    /// Each row once. What is new must not be there yet; what is known must be.
    pub(super) async fn write(self, db: &mut PgConnection) -> sqlx::Result<()> {
        let (new, known) = split(self.wallets, |wallet| wallet.opened);
        insert_wallets(db, &new).await?;
        update_wallets(db, &known).await?;
        let (new, known) = split(self.grants, |grant| grant.arrived.is_some());
        insert_grants(db, &new).await?;
        update_grants(db, &known).await?;
        let (new, known) = split(self.holds, |hold| hold.opened.is_some());
        insert_holds(db, &new).await?;
        update_holds(db, &known).await
    }
}

impl Opened {
    fn at(recorded: &Recorded, origin: Origin) -> sqlx::Result<Self> {
        Ok(Self { origin: word(&origin)?, position: recorded.position })
    }
}

type Rows<K, C> = Vec<(K, C)>;

/// A statement with what it is about.
type Statement = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// Those that are new, and those that are known.
fn split<K, C>(changes: BTreeMap<K, C>, is_new: impl Fn(&C) -> bool) -> (Rows<K, C>, Rows<K, C>) {
    changes.into_iter().partition(|(_, change)| is_new(change))
}

async fn insert_wallets(db: &mut PgConnection, rows: &[(Uuid, WalletChange)]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let insert = "insert into wallets (wallet_id, available, held, debt, version, position)
         select n.wallet_id, coalesce(n.available, 0), coalesce(n.held, 0), coalesce(n.debt, 0),
             n.version, n.position
         from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
                 $6::bigint[])
             as n (wallet_id, available, held, debt, version, position)";
    with_wallets(insert, rows).execute(db).await?;
    Ok(())
}

async fn update_wallets(db: &mut PgConnection, rows: &[(Uuid, WalletChange)]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let update = "update wallets w
         set available = coalesce(n.available, w.available), held = coalesce(n.held, w.held),
             debt = coalesce(n.debt, w.debt), version = n.version, position = n.position
         from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
                 $6::bigint[])
             as n (wallet_id, available, held, debt, version, position)
         where w.wallet_id = n.wallet_id";
    let done = with_wallets(update, rows).execute(db).await?;
    all_of(rows.len(), done.rows_affected())
}

/// A statement about wallets, with id, available, held, debt, version and position of each.
fn with_wallets(statement: &'static str, rows: &[(Uuid, WalletChange)]) -> Statement {
    let figure = |of: fn(Balance) -> i64| column(rows, |(_, row)| row.balance.map(of));
    sqlx::query(statement)
        .bind(column(rows, |(wallet, _)| *wallet))
        .bind(figure(|balance| balance.available.get()))
        .bind(figure(|balance| balance.held.get()))
        .bind(figure(|balance| balance.debt.get()))
        .bind(column(rows, |(_, row)| row.version))
        .bind(column(rows, |(_, row)| row.position))
}

async fn insert_grants(
    db: &mut PgConnection,
    rows: &[((Uuid, Uuid), GrantChange)],
) -> sqlx::Result<()> {
    let new: Vec<_> = rows.iter().filter_map(|(_, row)| row.arrived.as_ref()).collect();
    if new.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into grants (wallet_id, grant_id, kind, granted, remaining, held, priority,
             expires_at, funding, position)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[],
             $6::bigint[], $7::smallint[], $8::timestamptz[], $9::jsonb[], $10::bigint[])",
    )
    .bind(column(rows, |((wallet, _), _)| *wallet))
    .bind(column(rows, |((_, grant), _)| *grant))
    .bind(column(&new, |grant| grant.kind.as_str()))
    .bind(column(&new, |grant| grant.terms.amount.get()))
    .bind(column(rows, |(_, row)| row.remaining))
    .bind(column(rows, |(_, row)| row.held))
    .bind(column(&new, |grant| i16::from(u8::from(grant.terms.priority))))
    .bind(column(&new, |grant| grant.terms.expires_at))
    .bind(column(&new, |grant| grant.funding.clone()))
    .bind(column(&new, |grant| grant.position))
    .execute(db)
    .await?;
    Ok(())
}

async fn update_grants(
    db: &mut PgConnection,
    rows: &[((Uuid, Uuid), GrantChange)],
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let done = sqlx::query(
        "update grants g set remaining = n.remaining, held = n.held
         from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[])
             as n (wallet_id, grant_id, remaining, held)
         where g.wallet_id = n.wallet_id and g.grant_id = n.grant_id",
    )
    .bind(column(rows, |((wallet, _), _)| *wallet))
    .bind(column(rows, |((_, grant), _)| *grant))
    .bind(column(rows, |(_, row)| row.remaining))
    .bind(column(rows, |(_, row)| row.held))
    .execute(db)
    .await?;
    all_of(rows.len(), done.rows_affected())
}

/// A client may name a new hold as one that has ended; then the row is the new one's.
async fn insert_holds(
    db: &mut PgConnection,
    rows: &[((Uuid, Uuid), HoldChange)],
) -> sqlx::Result<()> {
    let new: Vec<_> = rows.iter().filter_map(|(_, row)| row.opened.as_ref()).collect();
    if new.is_empty() {
        return Ok(());
    }
    let insert = "insert into holds (wallet_id, hold_id, state, authorized, captured, released,
             expires_at, origin, position)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[],
             $6::bigint[], $7::timestamptz[], $8::text[], $9::bigint[])
         on conflict (wallet_id, hold_id) do update
         set state = excluded.state, authorized = excluded.authorized,
             captured = excluded.captured, released = excluded.released,
             expires_at = excluded.expires_at, origin = excluded.origin,
             position = excluded.position";
    with_holds(insert, rows)
        .bind(column(&new, |hold| hold.origin.clone()))
        .bind(column(&new, |hold| hold.position))
        .execute(db)
        .await?;
    Ok(())
}

async fn update_holds(
    db: &mut PgConnection,
    rows: &[((Uuid, Uuid), HoldChange)],
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let update = "update holds h
         set state = n.state, authorized = n.authorized, captured = n.captured,
             released = n.released, expires_at = n.expires_at
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
                 $7::timestamptz[])
             as n (wallet_id, hold_id, state, authorized, captured, released, expires_at)
         where h.wallet_id = n.wallet_id and h.hold_id = n.hold_id";
    let done = with_holds(update, rows).execute(db).await?;
    all_of(rows.len(), done.rows_affected())
}

/// A statement about holds, with wallet, id, state, figures and expiry of each.
fn with_holds(statement: &'static str, rows: &[((Uuid, Uuid), HoldChange)]) -> Statement {
    sqlx::query(statement)
        .bind(column(rows, |((wallet, _), _)| *wallet))
        .bind(column(rows, |((_, hold), _)| *hold))
        .bind(column(rows, |(_, row)| row.state))
        .bind(column(rows, |(_, row)| row.figures.authorized.get()))
        .bind(column(rows, |(_, row)| row.figures.captured.get()))
        .bind(column(rows, |(_, row)| row.figures.released.get()))
        .bind(column(rows, |(_, row)| row.figures.expires_at))
}

fn json(value: &impl Serialize) -> sqlx::Result<Value> {
    serde_json::to_value(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// A value of an enum as its word on the wire.
fn word(value: &impl Serialize) -> sqlx::Result<String> {
    match json(value)? {
        Value::String(word) => Ok(word),
        other => Err(sqlx::Error::Encode(format!("{other} is no word").into())),
    }
}
