//! What people have paid, or were to pay: for packs, and for plans by invoices.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

/// A payment, and what became of it.
#[derive(Clone, Debug, FromRow)]
pub struct PaymentRow {
    /// The purchase, or Stripe's invoice.
    pub payment_id: String,
    /// `pack` or `plan`.
    pub kind: String,
    /// What was bought.
    pub description: String,
    /// What came of it for the wallet.
    pub credits: i64,
    /// What it costs, in the smallest unit of the currency.
    pub amount_minor: i64,
    /// ISO 4217, in lower case.
    pub currency: String,
    /// Where it is in its life.
    pub state: String,
    /// What succeeded refunds gave back.
    pub refunded_minor: i64,
    /// What disputes have withdrawn.
    pub disputed_minor: i64,
    /// When it was ordered, or billed.
    pub created_at: DateTime<Utc>,
    /// When it was paid.
    pub paid_at: Option<DateTime<Utc>>,
    /// Stripe's payment intent, once there is a payment.
    pub intent: Option<String>,
}

const PAYMENTS: &str = "(
    select purchase_id::text as payment_id, user_id, 'pack' as kind, name as description,
        credits + bonus as credits, amount_minor, currency, stage as state, refunded_minor,
        disputed_minor, created_at, paid_at, intent
    from purchases where user_id = $1
    union all
    select invoice, user_id, 'plan', plan, credits, total_minor, currency, state, refunded_minor,
        disputed_minor, created_at, paid_at, intents[1]
    from invoices where user_id = $1) payments";

const COLUMNS: &str = "payment_id, kind, description, credits, amount_minor, currency, state, \
    refunded_minor, disputed_minor, created_at, paid_at, intent";

/// The person's payments, the newest first, from before `cursor`.
pub async fn payments_of(
    pool: &PgPool,
    user: Uuid,
    cursor: Option<&str>,
    limit: i64,
) -> sqlx::Result<Vec<PaymentRow>> {
    let query = format!(
        "select {COLUMNS} from {PAYMENTS}
         where $2::text is null or (created_at, payment_id) <
             (select created_at, payment_id from {PAYMENTS} where payment_id = $2)
         order by created_at desc, payment_id desc limit $3"
    );
    let query = sqlx::query_as(sqlx::AssertSqlSafe(query));
    query.bind(user).bind(cursor).bind(limit).fetch_all(pool).await
}

/// One payment of the person's.
pub async fn payment_of(pool: &PgPool, user: Uuid, id: &str) -> sqlx::Result<Option<PaymentRow>> {
    let query = format!("select {COLUMNS} from {PAYMENTS} where payment_id = $2");
    sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(user).bind(id).fetch_optional(pool).await
}
