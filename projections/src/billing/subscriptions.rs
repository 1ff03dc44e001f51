//! Subscriptions to plans, as they stand.

use aggregates::catalogue::Tier;
use aggregates::subscription::{
    InvoiceState, Order, Period, PlanVersion, Status, SubscriptionEvent,
};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::invoices;
use crate::projector::all_of;

/// A subscription.
#[derive(Clone, Debug, FromRow)]
pub struct SubscriptionRow {
    /// Its id.
    pub subscription_id: Uuid,
    /// Who subscribes.
    pub user_id: Uuid,
    /// What its plan is called.
    pub plan: String,
    /// Where it is in its life.
    pub status: String,
    /// Whether it runs at Stripe, and counts.
    pub live: bool,
    /// Stripe's id, once there is one.
    pub stripe: Option<String>,
    /// Stripe's checkout session.
    pub checkout: Option<String>,
}

const COLUMNS: &str = "subscription_id, user_id, plan, status, live, stripe, checkout";

fn select(rest: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("select {COLUMNS} from subscriptions {rest}"))
}

/// The person's subscription: the one that runs, else the newest.
pub async fn subscription_of(pool: &PgPool, user: Uuid) -> sqlx::Result<Option<SubscriptionRow>> {
    let rest = "where user_id = $1
        order by live desc, created_at desc, subscription_id desc limit 1";
    sqlx::query_as(select(rest)).bind(user).fetch_optional(pool).await
}

/// The tier that the person's subscription gives now, where one does: while it is paid or tried, and for
/// those who are behind, while they are so since later than `behind_since`.
pub async fn tier_of(
    pool: &PgPool,
    user: Uuid,
    behind_since: DateTime<Utc>,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(
        "select tier from subscriptions
         where user_id = $1 and live and not duplicate
           and (status in ('trialing', 'active') or status = 'past_due' and behind_since > $2)
         order by created_at desc, subscription_id desc limit 1",
    )
    .bind(user)
    .bind(behind_since)
    .fetch_optional(pool)
    .await
}

/// The period of a subscription that runs.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Running {
    /// What its plan is called.
    pub plan: String,
    /// Stripe's id of the subscription.
    pub stripe: String,
    /// When its period began.
    pub period_start: DateTime<Utc>,
    /// When its period ends.
    pub period_end: DateTime<Utc>,
    /// When the next part of its quota is due, where one is within the period.
    pub due_at: Option<DateTime<Utc>>,
}

/// The subscription of the person that runs, where one does.
pub async fn running_of(pool: &PgPool, user: Uuid) -> sqlx::Result<Option<Running>> {
    sqlx::query_as(
        "select plan, stripe, period_start, period_end, due_at from subscriptions
         where user_id = $1 and live and not duplicate and stripe is not null
             and period_start is not null and period_end is not null
         order by created_at desc, subscription_id desc limit 1",
    )
    .bind(user)
    .fetch_optional(pool)
    .await
}

/// Subscriptions of the person that were ordered and neither begun nor left.
pub async fn ordered(pool: &PgPool, user: Uuid) -> sqlx::Result<Vec<SubscriptionRow>> {
    let rest = "where user_id = $1 and status = 'ordered' order by created_at";
    sqlx::query_as(select(rest)).bind(user).fetch_all(pool).await
}

/// Whether the person has ever had a subscription at Stripe.
pub async fn has_subscribed(pool: &PgPool, user: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "select exists (select from subscriptions where user_id = $1 and stripe is not null)",
    )
    .bind(user)
    .fetch_one(pool)
    .await
}

/// All subscriptions of the person, the newest first.
pub async fn subscriptions_of(pool: &PgPool, user: Uuid) -> sqlx::Result<Vec<SubscriptionRow>> {
    let rest = "where user_id = $1 order by created_at desc, subscription_id desc";
    sqlx::query_as(select(rest)).bind(user).fetch_all(pool).await
}

/// The subscription that Stripe has under this id.
pub async fn by_stripe(pool: &PgPool, stripe: &str) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar("select subscription_id from subscriptions where stripe = $1")
        .bind(stripe)
        .fetch_optional(pool)
        .await
}

/// All subscriptions that run at Stripe, and what Stripe calls them.
pub async fn running(pool: &PgPool) -> sqlx::Result<Vec<(Uuid, String)>> {
    sqlx::query_as(
        "select subscription_id, stripe from subscriptions
         where stripe is not null and status not in ('canceled', 'incomplete_expired')",
    )
    .fetch_all(pool)
    .await
}

/// Subscriptions of which a part of the quota is due, or was released `before` and is not in the
/// wallet.
pub async fn due(
    pool: &PgPool,
    now: DateTime<Utc>,
    before: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "(select subscription_id from subscriptions where due_at <= $1 limit $3)
         union
         (select subscription_id from subscriptions
          where awaited > 0 and awaited_since < $2 limit $3)",
    )
    .bind(now)
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Why a person may not spend, as far as payments go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct Troubles {
    /// A payment is disputed.
    pub disputed: bool,
    /// A subscription is not paid in time.
    pub behind: bool,
}

/// What is wrong with the person's payments, with what is not paid in time since `behind_since` or
/// longer.
pub async fn troubles(
    pool: &PgPool,
    user: Uuid,
    behind_since: DateTime<Utc>,
) -> sqlx::Result<Troubles> {
    sqlx::query_as(
        "select exists (select from purchases where user_id = $1 and disputed)
             or exists (select from invoices where user_id = $1 and disputed) as disputed,
             exists (select from subscriptions
                 where user_id = $1 and behind_since <= $2) as behind",
    )
    .bind(user)
    .bind(behind_since)
    .fetch_one(pool)
    .await
}

/// Who has not paid in time since then, or longer.
pub async fn behind(pool: &PgPool, since: DateTime<Utc>) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar("select distinct user_id from subscriptions where behind_since <= $1")
        .bind(since)
        .fetch_all(pool)
        .await
}

pub(super) async fn follow(
    db: &mut PgConnection,
    id: Uuid,
    event: &SubscriptionEvent,
) -> sqlx::Result<()> {
    use SubscriptionEvent as E;
    match event {
        E::Ordered { order, at } => create(db, id, order, *at).await,
        E::CheckoutOpened { checkout, .. } => {
            let set = "update subscriptions set checkout = $2 where subscription_id = $1";
            changed(&sqlx::query(set).bind(id).bind(checkout).execute(db).await?)
        }
        E::Abandoned { at } => status(db, id, Status::Abandoned, *at).await,
        E::Began { stripe, standing, at } => {
            let set =
                "update subscriptions set stripe = $2, ends_at = $3 where subscription_id = $1";
            let set = sqlx::query(set).bind(id).bind(stripe).bind(standing.ends_at);
            changed(&set.execute(&mut *db).await?)?;
            status(&mut *db, id, standing.status, *at).await?;
            period(&mut *db, id, standing.period).await?;
            plan(db, id, &standing.plan).await
        }
        E::StatusChanged { status: found, at } => status(db, id, *found, *at).await,
        E::PeriodAdvanced { period: found, .. } => period(db, id, *found).await,
        E::PlanChanged { plan: found, .. } => plan(db, id, found).await,
        E::EndScheduled { ends_at, .. } => ends(db, id, Some(*ends_at)).await,
        E::EndUnscheduled { .. } => ends(db, id, None).await,
        E::ChangeAwaited { .. } | E::ChangeClosed { .. } | E::Managed { .. } => Ok(()),
        E::Duplicated { .. } => {
            let set = "update subscriptions
                set duplicate = true, live = false, behind_since = null, due_at = null
                where subscription_id = $1";
            changed(&sqlx::query(set).bind(id).execute(db).await?)
        }
        E::Invoiced { invoice, at } => {
            invoices::set(&mut *db, id, invoice).await?;
            let paid = invoice.state == InvoiceState::Paid;
            if paid { look(db, id, *at).await } else { Ok(()) }
        }
        E::ReversalSet { invoice, reversal, at } => {
            invoices::reverse(&mut *db, invoice, *reversal).await?;
            look(db, id, *at).await
        }
        E::QuotaReleased { tranches, next_at, at } => {
            invoices::release(&mut *db, tranches).await?;
            let set = "update subscriptions
                set due_at = $2, awaited = awaited + $3, awaited_since = coalesce(awaited_since, $4)
                where subscription_id = $1";
            let set = sqlx::query(set).bind(id).bind(next_at).bind(count(tranches.len())).bind(at);
            changed(&set.execute(db).await?)
        }
        E::QuotaGranted { grants, .. } => {
            let set = "update subscriptions
                set awaited = awaited - $2,
                    awaited_since = case when awaited > $2 then awaited_since end
                where subscription_id = $1";
            changed(&sqlx::query(set).bind(id).bind(count(grants.len())).execute(db).await?)
        }
    }
}

/// What is due may be more than before: whoever noted that may die before they look.
async fn look(db: &mut PgConnection, id: Uuid, at: DateTime<Utc>) -> sqlx::Result<()> {
    let due = "update subscriptions
        set due_at = case when duplicate then null else least(due_at, $2) end
        where subscription_id = $1";
    changed(&sqlx::query(due).bind(id).bind(at).execute(db).await?)
}

fn changed(done: &sqlx::postgres::PgQueryResult) -> sqlx::Result<()> {
    all_of(1, done.rows_affected())
}

fn count(many: usize) -> i32 {
    i32::try_from(many).unwrap_or(i32::MAX)
}

async fn create(
    db: &mut PgConnection,
    id: Uuid,
    order: &Order,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into subscriptions (subscription_id, user_id, plan_id, plan, tier, status,
             created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id)
    .bind(order.user.0)
    .bind(order.plan.plan.0)
    .bind(&order.plan.terms.name)
    .bind(tier(order.plan.terms.tier))
    .bind(Status::Ordered.name())
    .bind(at)
    .execute(db)
    .await?;
    Ok(())
}

async fn status(
    db: &mut PgConnection,
    id: Uuid,
    status: Status,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let behind_since = status.is_behind().then_some(at);
    let set = "update subscriptions
        set status = $2, live = $3 and not duplicate,
            behind_since = case when not duplicate and $4::timestamptz is not null
                then coalesce(behind_since, $4) end
        where subscription_id = $1";
    let set = sqlx::query(set).bind(id).bind(status.name());
    changed(&set.bind(status.is_live()).bind(behind_since).execute(db).await?)
}

async fn period(db: &mut PgConnection, id: Uuid, period: Period) -> sqlx::Result<()> {
    let set = "update subscriptions set period_start = $2, period_end = $3
        where subscription_id = $1";
    let set = sqlx::query(set).bind(id).bind(period.start).bind(period.end);
    changed(&set.execute(db).await?)
}

async fn plan(db: &mut PgConnection, id: Uuid, plan: &PlanVersion) -> sqlx::Result<()> {
    let set = "update subscriptions set plan_id = $2, plan = $3, tier = $4
        where subscription_id = $1";
    let set = sqlx::query(set).bind(id).bind(plan.plan.0).bind(&plan.terms.name);
    changed(&set.bind(tier(plan.terms.tier)).execute(db).await?)
}

async fn ends(db: &mut PgConnection, id: Uuid, ends_at: Option<DateTime<Utc>>) -> sqlx::Result<()> {
    let set = "update subscriptions set ends_at = $2 where subscription_id = $1";
    changed(&sqlx::query(set).bind(id).bind(ends_at).execute(db).await?)
}

pub(super) fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Basic => "basic",
        Tier::Pro => "pro",
    }
}
