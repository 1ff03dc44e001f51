//! Invoices of subscriptions, with what they have brought and what of them is reversed.

use aggregates::money::Reversal;
use aggregates::subscription::{Invoice, LineKind, Tranche};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::projector::all_of;

/// The subscription whose invoice a payment is for, and the invoice.
pub async fn invoice_paid_by(pool: &PgPool, intent: &str) -> sqlx::Result<Option<(Uuid, String)>> {
    sqlx::query_as("select subscription_id, invoice from invoices where intents @> array[$1]")
        .bind(intent)
        .fetch_optional(pool)
        .await
}

/// An invoice as it is now. What it is for is what its last line is for.
pub(super) async fn set(
    db: &mut PgConnection,
    subscription: Uuid,
    invoice: &Invoice,
) -> sqlx::Result<()> {
    let plan = invoice.lines.iter().rfind(|line| line.kind != LineKind::GivenBack);
    let plan = plan.map(|line| line.plan.terms.name.as_str());
    let done = sqlx::query(
        "insert into invoices (invoice, subscription_id, user_id, plan, reason, state, total_minor,
             paid_minor, currency, intents, attempts, created_at, paid_at)
         select $2, subscription_id, user_id, coalesce($3, plan), $4, $5, $6, $7, $8, $9, $10, $11,
             $12
         from subscriptions where subscription_id = $1
         on conflict (invoice) do update
         set state = excluded.state, total_minor = excluded.total_minor,
             paid_minor = excluded.paid_minor, intents = excluded.intents,
             attempts = excluded.attempts, paid_at = excluded.paid_at, plan = excluded.plan",
    )
    .bind(subscription)
    .bind(&invoice.id)
    .bind(plan)
    .bind(invoice.reason.name())
    .bind(invoice.state.name())
    .bind(invoice.total.amount_minor)
    .bind(invoice.paid_minor)
    .bind(invoice.total.currency.to_string())
    .bind(&invoice.intents)
    .bind(i32::try_from(invoice.attempts).unwrap_or(i32::MAX))
    .bind(invoice.created_at)
    .bind(invoice.paid_at)
    .execute(db)
    .await?;
    all_of(1, done.rows_affected())
}

pub(super) async fn reverse(
    db: &mut PgConnection,
    invoice: &str,
    reversal: Reversal,
) -> sqlx::Result<()> {
    let Reversal { refunded_minor, disputed_minor, disputed, .. } = reversal;
    let done = sqlx::query(
        "update invoices set refunded_minor = $2, disputed_minor = $3, disputed = $4
         where invoice = $1",
    )
    .bind(invoice)
    .bind(refunded_minor)
    .bind(disputed_minor)
    .bind(disputed)
    .execute(db)
    .await?;
    all_of(1, done.rows_affected())
}

/// Counts what was released of what each invoice has paid for.
pub(super) async fn release(db: &mut PgConnection, tranches: &[Tranche]) -> sqlx::Result<()> {
    for tranche in tranches {
        let add = "update invoices set credits = credits + $2 where invoice = $1";
        let add = sqlx::query(add).bind(&tranche.invoice).bind(tranche.grant.amount.get());
        all_of(1, add.execute(&mut *db).await?.rows_affected())?;
    }
    Ok(())
}
