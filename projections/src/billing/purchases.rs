//! Purchases of packs, with what was paid and what of it is reversed.

use aggregates::money::Reversal;
use aggregates::purchase::{Order, Payment, PurchaseEvent, Stage};
use chrono::{DateTime, Utc};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{FromRow, PgConnection, PgPool, Postgres};
use uuid::Uuid;

use crate::projector::all_of;

/// A purchase.
#[derive(Clone, Debug, FromRow)]
pub struct PurchaseRow {
    /// Its id.
    pub purchase_id: Uuid,
    /// Who buys.
    pub user_id: Uuid,
    /// What the pack was called.
    pub name: String,
    /// What is bought.
    pub credits: i64,
    /// What comes on top.
    pub bonus: i64,
    /// What it costs, in the smallest unit of the currency.
    pub amount_minor: i64,
    /// ISO 4217, in lower case.
    pub currency: String,
    /// Where it is in its life.
    pub stage: String,
    /// Stripe's checkout session.
    pub checkout: Option<String>,
    /// Stripe's payment intent, once there is a payment.
    pub intent: Option<String>,
    /// What came, in the smallest unit of its currency.
    pub paid_minor: Option<i64>,
    /// ISO 4217, in lower case.
    pub paid_currency: Option<String>,
    /// What succeeded refunds gave back.
    pub refunded_minor: i64,
    /// What disputes have withdrawn.
    pub disputed_minor: i64,
    /// Whether a dispute is open.
    pub disputed: bool,
    /// When an administrator last asked that it be given back.
    pub refund_requested_at: Option<DateTime<Utc>>,
    /// When it was ordered.
    pub created_at: DateTime<Utc>,
    /// When it was paid.
    pub paid_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "purchase_id, user_id, name, credits, bonus, amount_minor, currency, stage, \
    checkout, intent, paid_minor, paid_currency, refunded_minor, disputed_minor, disputed, \
    refund_requested_at, created_at, paid_at";

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("select {COLUMNS} from purchases {rest}"))
}

/// Purchases of a stage, the newest first, from before `cursor`. Of those in quarantine, what was
/// given back whole waits for nobody any more.
pub async fn in_stage(
    pool: &PgPool,
    stage: Stage,
    cursor: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<PurchaseRow>> {
    let rest = "where stage = $1 and (stage <> 'quarantined' or reversed_minor < paid_minor)
          and ($2::uuid is null or (created_at, purchase_id) <
              (select created_at, purchase_id from purchases where purchase_id = $2))
        order by created_at desc, purchase_id desc limit $3";
    sqlx::query_as(select(rest)).bind(stage.name()).bind(cursor).bind(limit).fetch_all(pool).await
}

/// The purchase that a payment is for.
pub async fn by_intent(pool: &PgPool, intent: &str) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar("select purchase_id from purchases where intent = $1")
        .bind(intent)
        .fetch_optional(pool)
        .await
}

/// The payments that something has come or gone of since, and those that a bank may yet take,
/// however old they are.
pub async fn moved_since(pool: &PgPool, since: DateTime<Utc>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "select intent from purchases where (moved_at >= $1 or disputed) and intent is not null
         union select unnest(intents) from invoices where disputed",
    )
    .bind(since)
    .fetch_all(pool)
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
        PurchaseEvent::Paid { payment, at } => paid(id, Stage::Paid, payment, *at),
        PurchaseEvent::Quarantined { payment, at } => paid(id, Stage::Quarantined, payment, *at),
        PurchaseEvent::Accepted { at, .. } => {
            sqlx::query("update purchases set stage = $2, paid_at = $3 where purchase_id = $1")
                .bind(id)
                .bind(Stage::Paid.name())
                .bind(at)
        }
        PurchaseEvent::ReversalSet { reversal, at } => reversed(id, *reversal, *at),
        PurchaseEvent::RefundRequested { at, .. } => {
            sqlx::query("update purchases set refund_requested_at = $2 where purchase_id = $1")
                .bind(id)
                .bind(at)
        }
    };
    all_of(1, update.execute(db).await?.rows_affected())
}

type Update<'a> = Query<'a, Postgres, PgArguments>;

fn stage(id: Uuid, stage: Stage) -> Update<'static> {
    sqlx::query("update purchases set stage = $2 where purchase_id = $1")
        .bind(id)
        .bind(stage.name())
}

fn paid(id: Uuid, stage: Stage, payment: &Payment, at: DateTime<Utc>) -> Update<'static> {
    sqlx::query(
        "update purchases
         set stage = $2, intent = $3, paid_minor = $4, paid_currency = $5, moved_at = $6,
             paid_at = case when $2 = 'paid' then $6 end
         where purchase_id = $1",
    )
    .bind(id)
    .bind(stage.name())
    .bind(payment.intent.clone())
    .bind(payment.paid.amount_minor)
    .bind(payment.paid.currency.to_string())
    .bind(at)
}

fn reversed(id: Uuid, reversal: Reversal, at: DateTime<Utc>) -> Update<'static> {
    let Reversal { refunded_minor, disputed_minor, reversed_minor, disputed } = reversal;
    sqlx::query(
        "update purchases
         set refunded_minor = $2, disputed_minor = $3, reversed_minor = $4, disputed = $5,
             moved_at = $6
         where purchase_id = $1",
    )
    .bind(id)
    .bind(refunded_minor)
    .bind(disputed_minor)
    .bind(reversed_minor)
    .bind(disputed)
    .bind(at)
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
