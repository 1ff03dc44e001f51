//! Questions that only the log can answer: what a wallet had at a time, and why it moved.

use aggregates::credits::Credits;
use aggregates::id::WalletId;
use aggregates::wallet::{self, Funding, GrantKind, Price, Usage, Wallet, WalletEvent};
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use futures_util::TryStreamExt;
use projections::balances::{Balance, GrantRow};
use serde::Serialize;
use sqlx::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::error::{Problem, Result};

/// Why a row of the history is what it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// The event's place in the log.
    position: i64,
    /// What happened.
    #[schema(example = "HoldCaptured")]
    event: String,
    /// The request that asked.
    request_id: Option<String>,
    /// Who asked.
    actor: Option<String>,
    recorded_at: DateTime<Utc>,
    /// The hold or debit, where there is one.
    reference: Option<Uuid>,
    /// What it was priced by.
    #[schema(value_type = Option<Object>)]
    price: Option<Price>,
    /// What was delivered.
    #[schema(value_type = Option<Object>)]
    usage: Option<Usage>,
    /// The grants that it moved.
    grants: Vec<GrantMoved>,
}

/// A grant that an event moved.
#[derive(Debug, Serialize, ToSchema)]
struct GrantMoved {
    id: Uuid,
    /// What the event is named for.
    amount: i64,
    remaining_before: i64,
    remaining_after: i64,
    held_before: i64,
    held_after: i64,
    /// What paid for the grant.
    #[schema(value_type = Option<Object>)]
    funded_by: Option<Funding>,
    granted_at_position: Option<i64>,
}

/// The wallet by the events that the log took up to `at`; none before there was one.
pub async fn balance_as_of(
    app: &App,
    wallet: WalletId,
    at: DateTime<Utc>,
) -> Result<Option<Balance>> {
    let (mut state, mut version) = (Wallet::default(), 0);
    let id = wallet.to_string();
    let mut rows = sqlx::query(
        "select sequence, payload::text as payload from events
         where aggregate_type = $1 and aggregate_id = $2 and recorded_at <= $3
         order by sequence",
    )
    .bind(Wallet::TYPE)
    .bind(&id)
    .bind(at)
    .fetch(app.db());
    while let Some(row) = rows.try_next().await? {
        let event: WalletEvent =
            serde_json::from_str(row.try_get("payload")?).map_err(Problem::failed)?;
        state.apply(event);
        version = row.try_get("sequence")?;
    }
    if version == 0 {
        return Ok(None);
    }
    let mut live: Vec<_> = state
        .grants()
        .filter(|(_, grant)| {
            !grant.held.is_zero() || !(grant.remaining.is_zero() || grant.is_over(at))
        })
        .collect();
    live.sort_by_key(|(id, grant)| {
        (grant.priority, grant.expires_at.is_none(), grant.expires_at, grant.granted_at, *id)
    });
    let grants = live.into_iter().map(|(id, grant)| GrantRow {
        grant_id: id.0,
        kind: kind(grant.kind),
        granted: grant.amount.get(),
        remaining: grant.remaining.get(),
        held: grant.held.get(),
        expires_at: grant.expires_at,
    });
    let grants = grants.collect();
    let wallet::Balance { available, held, debt } = state.balance(at);
    let (available, held, debt) = (available.get(), held.get(), debt.get());
    Ok(Some(Balance { available, held, debt, version, grants }))
}

fn kind(kind: GrantKind) -> String {
    serde_json::to_value(kind)
        .ok()
        .and_then(|kind| kind.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// The chain of cause of one event of the wallet; none when it is not the wallet's.
pub async fn explain(app: &App, wallet: WalletId, position: i64) -> Result<Option<Explanation>> {
    let Some((event, row)) = event_at(app, wallet, position).await? else { return Ok(None) };
    let metadata: crate::store::Metadata =
        serde_json::from_str(row.try_get("metadata")?).map_err(Problem::failed)?;
    let (reference, mut price, usage) = cause(&event);
    if let (None, Some(hold)) = (&price, reference) {
        price = price_of_hold(app, wallet, hold).await?;
    }
    let mut grants = Vec::new();
    for movement in event.movements() {
        let granted: Option<(serde_json::Value, i64)> = sqlx::query_as(
            "select funding, position from grants where wallet_id = $1 and grant_id = $2",
        )
        .bind(wallet.0)
        .bind(movement.grant.0)
        .fetch_optional(app.db())
        .await?;
        let (funded_by, granted_at_position) = granted.unzip();
        let (taken, held) = before(&event, movement.amount, movement.released, movement.expired);
        grants.push(GrantMoved {
            id: movement.grant.0,
            amount: movement.amount.get(),
            remaining_before: movement.remaining.get() + taken,
            remaining_after: movement.remaining.get(),
            held_before: movement.held.get() + held,
            held_after: movement.held.get(),
            funded_by: funded_by.and_then(|funding| serde_json::from_value(funding).ok()),
            granted_at_position,
        });
    }
    Ok(Some(Explanation {
        position,
        event: event.name().to_owned(),
        request_id: metadata.request_id,
        actor: metadata.actor,
        recorded_at: row.try_get("recorded_at")?,
        reference,
        price,
        usage,
        grants,
    }))
}

async fn event_at(
    app: &App,
    wallet: WalletId,
    position: i64,
) -> Result<Option<(WalletEvent, sqlx::postgres::PgRow)>> {
    let row = sqlx::query(
        "select payload::text as payload, metadata::text as metadata, recorded_at from events
         where position = $1 and aggregate_type = $2 and aggregate_id = $3",
    )
    .bind(position)
    .bind(Wallet::TYPE)
    .bind(wallet.to_string())
    .fetch_optional(app.db())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let event = serde_json::from_str(row.try_get("payload")?).map_err(Problem::failed)?;
    Ok(Some((event, row)))
}

async fn price_of_hold(app: &App, wallet: WalletId, hold: Uuid) -> Result<Option<Price>> {
    let position: Option<i64> =
        sqlx::query_scalar("select position from holds where wallet_id = $1 and hold_id = $2")
            .bind(wallet.0)
            .bind(hold)
            .fetch_optional(app.db())
            .await?;
    let Some(position) = position else { return Ok(None) };
    let event = event_at(app, wallet, position).await?;
    Ok(event.and_then(|(event, _)| cause(&event).1))
}

/// The hold or debit of an event, its price and its usage.
fn cause(event: &WalletEvent) -> (Option<Uuid>, Option<Price>, Option<Usage>) {
    match event {
        WalletEvent::HoldAuthorized { hold, price, .. } => {
            (Some(hold.0), Some(price.clone()), None)
        }
        WalletEvent::Debited { debit, price, .. } => (Some(debit.0), Some(price.clone()), None),
        WalletEvent::HoldCaptured { hold, usage, .. }
        | WalletEvent::HoldLateCaptured { hold, usage, .. } => (Some(hold.0), None, usage.clone()),
        WalletEvent::HoldIncremented { hold, .. }
        | WalletEvent::HoldReleased { hold, .. }
        | WalletEvent::HoldExpired { hold, .. } => (Some(hold.0), None, None),
        WalletEvent::DebitReversed { debit, .. } => (Some(debit.0), None, None),
        _ => (None, None, None),
    }
}

/// What the event took from a grant's remaining and from its held credits; negative when it gave.
fn before(event: &WalletEvent, amount: Credits, released: Credits, expired: Credits) -> (i64, i64) {
    let (amount, released, expired) = (amount.get(), released.get(), expired.get());
    match event {
        WalletEvent::HoldAuthorized { .. } | WalletEvent::HoldIncremented { .. } => {
            (amount, -amount)
        }
        WalletEvent::HoldCaptured { .. }
        | WalletEvent::HoldReleased { .. }
        | WalletEvent::HoldExpired { .. } => (-released, amount + released + expired),
        WalletEvent::DebitReversed { .. } => (expired - amount, 0),
        _ => (amount, 0),
    }
}
