//! Purchases of packs, with what was paid and what of it is reversed.

use aggregates::money::Reversal;
use aggregates::purchase::{Order, Payment, PurchaseEvent, Stage};
use chrono::{DateTime, Utc};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, PgPool, Postgres};
use uuid::Uuid;

use crate::projector::all_of;

/// The purchase that a payment is for.
pub async fn by_intent(pool: &PgPool, intent: &str) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar("select purchase_id from purchases where intent = $1")
        .bind(intent)
        .fetch_optional(pool)
        .await
}

/// Purchases that were paid before, and are not in the wallet yet.
pub async fn unfulfilled(pool: &PgPool, before: DateTime<Utc>) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar("select purchase_id from purchases where stage = 'paid' and paid_at < $1")
        .bind(before)
        .fetch_all(pool)
        .await
}

pub(super) async fn follow(
    db: &mut PgConnection,
    id: Uuid,
    event: &PurchaseEvent,
) -> sqlx::Result<()> {
    let update = match event {
        PurchaseEvent::Created { order, at } => return create(db, id, order, *at).await,
        PurchaseEvent::CheckoutOpened { checkout, expires_at, .. } => sqlx::query(
            "update purchases set stage = $2, checkout = $3, expires_at = $4
             where purchase_id = $1",
        )
        .bind(id)
        .bind(Stage::CheckoutOpened.name())
        .bind(checkout)
        .bind(expires_at),
        PurchaseEvent::PaymentAwaited { .. } => stage(id, Stage::AwaitingPayment),
        PurchaseEvent::PaymentFailed { .. } => stage(id, Stage::PaymentFailed),
        PurchaseEvent::Expired { .. } => stage(id, Stage::Expired),
        PurchaseEvent::Fulfilled { .. } => stage(id, Stage::Fulfilled),
        PurchaseEvent::Paid { payment, at } => paid(id, Stage::Paid, payment, Some(*at)),
        PurchaseEvent::Quarantined { payment, .. } => paid(id, Stage::Quarantined, payment, None),
        PurchaseEvent::Accepted { at, .. } => {
            sqlx::query("update purchases set stage = $2, paid_at = $3 where purchase_id = $1")
                .bind(id)
                .bind(Stage::Paid.name())
                .bind(at)
        }
        PurchaseEvent::ReversalSet { reversal, .. } => reversed(id, *reversal),
    };
    all_of(1, update.execute(db).await?.rows_affected())
}

type Update<'a> = Query<'a, Postgres, PgArguments>;

fn stage(id: Uuid, stage: Stage) -> Update<'static> {
    sqlx::query("update purchases set stage = $2 where purchase_id = $1")
        .bind(id)
        .bind(stage.name())
}

fn paid(id: Uuid, stage: Stage, payment: &Payment, at: Option<DateTime<Utc>>) -> Update<'static> {
    sqlx::query("update purchases set stage = $2, intent = $3, paid_at = $4 where purchase_id = $1")
        .bind(id)
        .bind(stage.name())
        .bind(payment.intent.clone())
        .bind(at)
}

fn reversed(id: Uuid, reversal: Reversal) -> Update<'static> {
    let Reversal { refunded_minor, disputed_minor, reversed_minor, disputed } = reversal;
    sqlx::query(
        "update purchases
         set refunded_minor = $2, disputed_minor = $3, reversed_minor = $4, disputed = $5
         where purchase_id = $1",
    )
    .bind(id)
    .bind(refunded_minor)
    .bind(disputed_minor)
    .bind(reversed_minor)
    .bind(disputed)
}

async fn create(
    db: &mut PgConnection,
    id: Uuid,
    order: &Order,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into purchases (purchase_id, user_id, pack_id, name, credits, bonus, amount_minor,
             currency, stage, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(id)
    .bind(order.user.0)
    .bind(order.pack.0)
    .bind(&order.name)
    .bind(order.credits.get())
    .bind(order.bonus.get())
    .bind(order.price.amount_minor)
    .bind(order.price.currency.to_string())
    .bind(Stage::Created.name())
    .bind(at)
    .execute(db)
    .await?;
    Ok(())
}
