//! Auto-recharge: on which terms it is on, what is in flight, what was charged.

use aggregates::recharge::{Charged, RechargeEvent};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{FromRow, PgConnection, PgPool, Postgres};
use uuid::Uuid;

use crate::projector::all_of;

/// A person's auto-recharge.
#[derive(Clone, Debug, FromRow)]
pub struct RechargeRow {
    /// Whether it is on.
    pub enabled: bool,
    /// Which pack is bought.
    pub pack_id: Uuid,
    /// It is bought when less than this is available.
    pub threshold: i64,
    /// What is charged in a month at most, in the smallest unit of the currency.
    pub cap_minor: i64,
    /// ISO 4217, in lower case.
    pub currency: String,
    /// The version of what the person agreed to.
    pub wording: String,
    /// When they did.
    pub consented_at: DateTime<Utc>,
    /// The purchase in flight.
    pub purchase_id: Option<Uuid>,
    /// Whether the bank wants to see the person for it.
    pub waits_for_person: bool,
    /// Stripe's page where they can pay then.
    pub checkout: Option<String>,
    /// None follows before.
    pub ready_at: Option<DateTime<Utc>>,
    /// What this month was charged, with what is in flight.
    pub charged_minor: i64,
    /// Why it failed last, unless it has succeeded since.
    pub failure: Option<String>,
    /// When it did.
    pub failed_at: Option<DateTime<Utc>>,
    /// Why it is off, once it was on.
    pub off_reason: Option<String>,
}

/// The person's; none when it was never on.
pub async fn recharge_of(
    pool: &PgPool,
    user: Uuid,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<RechargeRow>> {
    sqlx::query_as(
        "select enabled, r.pack_id, threshold, cap_minor, r.currency, wording, consented_at,
             r.purchase_id, waits_for_person, p.checkout, ready_at, failure, failed_at, off_reason,
             case when charged_month >= $2 and charged_currency = r.currency
                 then charged_minor else 0 end as charged_minor
         from recharges r left join purchases p on p.purchase_id = r.purchase_id
         where r.user_id = $1",
    )
    .bind(user)
    .bind(month_of(now))
    .fetch_optional(pool)
    .await
}

/// Whose wallet a spend has left with less than they want, where nothing that the read models know
/// is in the way; and where the log has the last spend, since which there was none. The oldest
/// first, of those behind the position `reached`. A pack that is sold no more, or dearer, is in
/// nobody's way: it is to be told.
pub async fn to_recharge(
    pool: &PgPool,
    now: DateTime<Utc>,
    reached: i64,
    limit: i64,
) -> sqlx::Result<Vec<(Uuid, i64)>> {
    sqlx::query_as(
        "select r.user_id, spend.position
         from recharges r
         join wallets w on w.wallet_id = r.user_id and w.available < r.threshold and w.debt = 0
         join users u on u.user_id = r.user_id and u.status = 'active'
         join packs p on p.pack_id = r.pack_id
         cross join lateral (
             select t.position from transactions t
             where t.wallet_id = r.user_id and t.position > r.after and t.kind in ('debit', 'hold', 'hold_increment', 'late_capture')
             order by t.position desc limit 1
         ) spend
         where r.enabled and r.purchase_id is null and coalesce(r.ready_at <= $1, true)
           and not exists (select from purchases d where d.user_id = r.user_id and d.disputed)
           and (not p.on_sale or (p.currency, p.amount_minor) is distinct from
                    (r.currency, least(p.amount_minor, r.price_minor))
                or p.amount_minor <= r.cap_minor - case
                    when r.charged_month >= $2 and r.charged_currency = r.currency
                    then r.charged_minor else 0 end)
           and spend.position > $3
         order by spend.position limit $4",
    )
    .bind(now)
    .bind(month_of(now))
    .bind(reached)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Whose purchase in flight has come to its end.
pub async fn recharges_over(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "select r.user_id from recharges r join purchases p on p.purchase_id = r.purchase_id
         where r.purchase_id is not null
           and (p.stage in ('fulfilled', 'expired', 'payment_failed')
               or p.stage = 'quarantined' and p.reversed_minor = p.paid_minor)
         limit $1",
    )
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Whose recharge is in flight, and waits for no person.
pub async fn recharges_in_flight(pool: &PgPool) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "select user_id from recharges where purchase_id is not null and not waits_for_person",
    )
    .fetch_all(pool)
    .await
}

/// The first day of the month (UTC).
fn month_of(now: DateTime<Utc>) -> NaiveDate {
    let day = now.date_naive();
    day.with_day(1).unwrap_or(day)
}

type Update<'a> = Query<'a, Postgres, PgArguments>;

pub(super) async fn follow(
    db: &mut PgConnection,
    id: Uuid,
    event: &RechargeEvent,
) -> sqlx::Result<()> {
    let update = match event {
        RechargeEvent::TurnedOn { .. } => return turn_on(db, id, event).await,
        RechargeEvent::Triggered { number, purchase, spent, charged, .. } => with_charged(
            sqlx::query(
                "update recharges
                 set charged_month = $2, charged_minor = $3, charged_currency = $4, number = $5,
                     purchase_id = $6, spent = $7, waits_for_person = false
                 where user_id = $1",
            ),
            id,
            *charged,
        )
        .bind(i32::try_from(*number).unwrap_or(i32::MAX))
        .bind(purchase.0)
        .bind(spent),
        RechargeEvent::AuthenticationRequired { .. } => {
            sqlx::query("update recharges set waits_for_person = true where user_id = $1").bind(id)
        }
        RechargeEvent::Succeeded { ready_at, .. } => sqlx::query(
            "update recharges
             set purchase_id = null, waits_for_person = false, ready_at = $2, failure = null,
                 failed_at = null, after = greatest(after, spent)
             where user_id = $1",
        )
        .bind(id)
        .bind(ready_at),
        RechargeEvent::Declined { code, ready_at, charged, at, .. } => {
            ended(id, code, *charged, *at, *ready_at)
        }
        RechargeEvent::Withdrawn { why, charged, at, .. } => {
            ended(id, why.name(), *charged, *at, None)
        }
        RechargeEvent::TurnedOff { why, .. } => {
            sqlx::query("update recharges set enabled = false, off_reason = $2 where user_id = $1")
                .bind(id)
                .bind(why.name())
        }
    };
    all_of(1, update.execute(db).await?.rows_affected())
}

/// Binds `$1` to `$4`: whose it is, and what was charged.
fn with_charged(update: Update<'_>, id: Uuid, charged: Charged) -> Update<'_> {
    update
        .bind(id)
        .bind(charged.month)
        .bind(charged.total.amount_minor)
        .bind(charged.total.currency.to_string())
}

/// One that ended without a payment; when the next may follow, where that is another time.
fn ended(
    id: Uuid,
    why: &str,
    charged: Charged,
    at: DateTime<Utc>,
    ready_at: Option<DateTime<Utc>>,
) -> Update<'_> {
    let update = sqlx::query(
        "update recharges
         set charged_month = $2, charged_minor = $3, charged_currency = $4, failure = $5,
             failed_at = $6, ready_at = coalesce($7, ready_at), purchase_id = null,
             waits_for_person = false
         where user_id = $1",
    );
    with_charged(update, id, charged).bind(why).bind(at).bind(ready_at)
}

async fn turn_on(db: &mut PgConnection, id: Uuid, event: &RechargeEvent) -> sqlx::Result<()> {
    let RechargeEvent::TurnedOn { terms, consent, after, declines, ready_at, at } = event else {
        return Ok(());
    };
    sqlx::query(
        "insert into recharges as r (user_id, enabled, pack_id, price_minor, currency, threshold,
             cap_minor, wording, consented_at, after, ready_at)
         values ($1, true, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (user_id) do update
         set enabled = true, pack_id = excluded.pack_id, price_minor = excluded.price_minor,
             currency = excluded.currency, threshold = excluded.threshold,
             cap_minor = excluded.cap_minor, wording = excluded.wording,
             consented_at = excluded.consented_at, after = excluded.after,
             ready_at = excluded.ready_at, off_reason = null,
             failure = case when $11 then r.failure end,
             failed_at = case when $11 then r.failed_at end",
    )
    .bind(id)
    .bind(terms.pack.0)
    .bind(terms.price.amount_minor)
    .bind(terms.price.currency.to_string())
    .bind(terms.threshold.get())
    .bind(terms.monthly_cap.amount_minor)
    .bind(&consent.wording)
    .bind(at)
    .bind(after)
    .bind(ready_at)
    .bind(*declines > 0)
    .execute(db)
    .await?;
    Ok(())
}
