//! The credit history: one row for each event that moved credits.
//!
//! `amount` is what the event changed in what is available, so that a wallet's amounts add up to
//! each row's `available_after`; `consumed` is what it spent for good.

use std::sync::Arc;

use aggregates::credits::Credits;
use aggregates::event::Event;
use aggregates::id::WalletId;
use aggregates::wallet::{Movement, WalletEvent};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::copied::Copied;
use crate::journal::Recorded;
use crate::projector::Projection;

/// Follows the log into `transactions`.
pub struct Transactions;

/// A row of the credit history.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Transaction {
    /// The event's place in the log.
    pub position: i64,
    /// Whose.
    pub wallet_id: Uuid,
    /// What happened.
    pub kind: String,
    /// What it changed in what is available.
    pub amount: i64,
    /// What it spent for good; negative when that was given back.
    pub consumed: i64,
    /// Available afterwards.
    pub available_after: i64,
    /// Held afterwards.
    pub held_after: i64,
    /// Owed afterwards.
    pub debt_after: i64,
    /// What for.
    pub reason: String,
    /// The grant, hold, debit or reversal group.
    pub reference: Uuid,
    /// The request that asked.
    pub request_id: Option<String>,
    /// When the log took it.
    pub recorded_at: DateTime<Utc>,
}

impl Projection for Transactions {
    fn name(&self) -> &'static str {
        "transactions"
    }

    fn streams(&self) -> &'static [&'static str] {
        &["wallet"]
    }

    fn project<'a>(
        &'a self,
        db: &'a mut PgConnection,
        recorded: &'a [Arc<Recorded>],
    ) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            let rows: Vec<_> = recorded.iter().filter_map(|event| Transaction::of(event)).collect();
            if rows.is_empty() { Ok(()) } else { write(db, &rows).await }
        })
    }
}

/// By COPY, which takes half of what an insert of arrays does.
async fn write(db: &mut PgConnection, rows: &[Transaction]) -> sqlx::Result<()> {
    let mut copied = Copied::begin();
    for row in rows {
        copied.row(12);
        copied.integer(row.position);
        copied.bytes(row.wallet_id.as_bytes());
        copied.bytes(row.kind.as_bytes());
        for amount in
            [row.amount, row.consumed, row.available_after, row.held_after, row.debt_after]
        {
            copied.integer(amount);
        }
        copied.bytes(row.reason.as_bytes());
        copied.bytes(row.reference.as_bytes());
        copied.optional(row.request_id.as_deref().map(str::as_bytes));
        copied.time(row.recorded_at);
    }
    let mut copy = db
        .copy_in_raw(
            "copy transactions (position, wallet_id, kind, amount, consumed, available_after,
                 held_after, debt_after, reason, reference, request_id, recorded_at)
             from stdin (format binary)",
        )
        .await?;
    copy.send(copied.end()?).await?;
    copy.finish().await?;
    Ok(())
}

/// What an event tells the history.
struct Told<'a> {
    kind: &'static str,
    amount: i64,
    consumed: i64,
    reason: &'a str,
    reference: Uuid,
}

impl Transaction {
    fn of(recorded: &Recorded) -> Option<Self> {
        let Event::Wallet(event) = &recorded.event else { return None };
        let balance = event.balance()?;
        let Told { kind, amount, consumed, reason, reference } = told(event)?;
        Some(Self {
            position: recorded.position,
            wallet_id: recorded.aggregate_id,
            kind: kind.to_owned(),
            amount,
            consumed,
            available_after: balance.available.get(),
            held_after: balance.held.get(),
            debt_after: balance.debt.get(),
            reason: reason.to_owned(),
            reference,
            request_id: recorded.request_id.clone(),
            recorded_at: recorded.recorded_at,
        })
    }
}

fn told(event: &WalletEvent) -> Option<Told<'_>> {
    use WalletEvent as E;
    let row = |kind, amount, consumed, reason, reference| {
        Some(Told { kind, amount, consumed, reason, reference })
    };
    match event {
        E::Granted { grant, reason, .. } => row("grant", grant.amount.get(), 0, reason, grant.id.0),
        E::GrantVoided { movement, reason, .. } => {
            row("void", -movement.amount.get(), 0, reason, movement.grant.0)
        }
        E::GrantExpired { movement, .. } => {
            row("expiry", -movement.amount.get(), 0, "the grant expired", movement.grant.0)
        }
        E::HoldAuthorized { hold, amount, reason, .. } => {
            row("hold", -amount.get(), 0, reason, hold.0)
        }
        E::HoldIncremented { hold, amount, .. } => {
            row("hold_increment", -amount.get(), 0, "the hold grew", hold.0)
        }
        E::HoldCaptured { hold, amount, movements, .. } => {
            row("capture", sum(movements, |m| m.released), amount.get(), "captured", hold.0)
        }
        E::HoldReleased { hold, movements, reason, .. } => {
            row("release", sum(movements, |m| m.released), 0, reason, hold.0)
        }
        E::HoldExpired { hold, movements, .. } => {
            row("hold_expiry", sum(movements, |m| m.released), 0, "the hold expired", hold.0)
        }
        E::HoldLateCaptured { hold, movements, .. } => {
            let covered = sum(movements, |m| m.amount);
            row("late_capture", -covered, covered, "delivered after the hold expired", hold.0)
        }
        E::Debited { debit, amount, reason, .. } => {
            row("debit", -amount.get(), amount.get(), reason, debit.0)
        }
        E::DebitReversed { debit, amount, movements, reason, .. } => {
            let back = amount.get() - sum(movements, |m| m.expired);
            row("debit_reversal", back, -amount.get(), reason, debit.0)
        }
        E::ClawedBack { group, movements, .. } => {
            let taken = sum(movements, |m| m.amount) - sum(movements, |m| m.from_expired);
            row("clawback", -taken, 0, "the payment was reversed", group.0)
        }
        E::Reinstated { group, restored, .. } => {
            let back = restored.as_ref().map_or(0, |grant| grant.amount.get());
            row("reinstatement", back, 0, "the reversal was undone", group.0)
        }
        E::DebtRepaid { amount, movements, .. } => {
            let grant = movements.first().map_or(Uuid::nil(), |movement| movement.grant.0);
            row("debt_repayment", -amount.get(), 0, "debt was repaid", grant)
        }
        E::DebtWrittenOff { reason, .. } => row("debt_write_off", 0, 0, reason, Uuid::nil()),
        E::Opened { .. }
        | E::HoldExtended { .. }
        | E::ReversalTargetSet { .. }
        | E::Frozen { .. }
        | E::Unfrozen { .. }
        | E::QuotaSuspended { .. }
        | E::QuotaResumed { .. }
        | E::SpendLimitSet { .. } => None,
    }
}

fn sum(movements: &[Movement], of: fn(&Movement) -> Credits) -> i64 {
    movements.iter().map(|movement| of(movement).get()).sum()
}

/// The wallet's history, newest first, from before position `before`.
pub async fn page(
    db: &PgPool,
    wallet: WalletId,
    before: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<Transaction>> {
    sqlx::query_as(
        "select position, wallet_id, kind, amount, consumed, available_after, held_after,
             debt_after, reason, reference, request_id, recorded_at
         from transactions
         where wallet_id = $1 and position < coalesce($2, 9223372036854775807)
         order by position desc
         limit $3",
    )
    .bind(wallet.0)
    .bind(before)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// The wallet's history between two times, oldest first: from `from`, before `to`.
pub async fn between(
    db: &PgPool,
    wallet: WalletId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Transaction>> {
    sqlx::query_as(
        "select position, wallet_id, kind, amount, consumed, available_after, held_after,
             debt_after, reason, reference, request_id, recorded_at
         from transactions
         where wallet_id = $1 and recorded_at >= $2 and recorded_at < $3
         order by position
         limit $4",
    )
    .bind(wallet.0)
    .bind(from)
    .bind(to)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// The wallet's last row before a time.
pub async fn last_before(
    db: &PgPool,
    wallet: WalletId,
    before: DateTime<Utc>,
) -> sqlx::Result<Option<Transaction>> {
    sqlx::query_as(
        "select position, wallet_id, kind, amount, consumed, available_after, held_after,
             debt_after, reason, reference, request_id, recorded_at
         from transactions
         where wallet_id = $1 and recorded_at < $2
         order by position desc
         limit 1",
    )
    .bind(wallet.0)
    .bind(before)
    .fetch_optional(db)
    .await
}
