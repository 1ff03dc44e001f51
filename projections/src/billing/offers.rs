//! Packs and plans.

use aggregates::catalogue::{Interval, Listing, OfferEvent, PackTerms, PlanTerms};
use aggregates::subscription::PlanVersion;
use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::subscriptions::tier;
use crate::projector::all_of;

/// A pack.
#[derive(Clone, Debug, FromRow)]
pub struct PackRow {
    /// Its id.
    pub pack_id: Uuid,
    /// What it is called.
    pub name: String,
    /// What is bought.
    pub credits: i64,
    /// What comes on top.
    pub bonus: i64,
    /// What it costs, in the smallest unit of the currency.
    pub amount_minor: i64,
    /// ISO 4217, in lower case.
    pub currency: String,
    /// How many days the credits last; for ever when none.
    pub lasts_days: Option<i32>,
    /// Whether it can be bought.
    pub on_sale: bool,
}

impl PackRow {
    /// As it is on these terms.
    #[must_use]
    pub fn of(pack_id: Uuid, terms: &PackTerms, on_sale: bool) -> Self {
        Self {
            pack_id,
            name: terms.name.clone(),
            credits: terms.credits.get(),
            bonus: terms.bonus.get(),
            amount_minor: terms.price.amount_minor,
            currency: terms.price.currency.to_string(),
            lasts_days: terms.lasts_days.and_then(|days| i32::try_from(days).ok()),
            on_sale,
        }
    }
}

/// A plan.
#[derive(Clone, Debug, FromRow)]
pub struct PlanRow {
    /// Its id.
    pub plan_id: Uuid,
    /// What it is called.
    pub name: String,
    /// `basic` or `pro`.
    pub tier: String,
    /// Credits a month.
    pub quota: i64,
    /// What it costs for each interval, in the smallest unit of the currency.
    pub amount_minor: i64,
    /// ISO 4217, in lower case.
    pub currency: String,
    /// `month` or `year`.
    pub pay_interval: String,
    /// How much of a month's unused quota is carried into the next, at most.
    pub rollover: i64,
    /// How many days it is free at first.
    pub trial_days: i32,
    /// Whether it can be bought.
    pub on_sale: bool,
}

impl PlanRow {
    /// As it is on these terms.
    #[must_use]
    pub fn of(plan_id: Uuid, terms: &PlanTerms, on_sale: bool) -> Self {
        let pay_interval = match terms.interval {
            Interval::Month => "month",
            Interval::Year => "year",
        };
        Self {
            plan_id,
            name: terms.name.clone(),
            tier: tier(terms.tier).to_owned(),
            quota: terms.quota.get(),
            amount_minor: terms.price.amount_minor,
            currency: terms.price.currency.to_string(),
            pay_interval: pay_interval.to_owned(),
            rollover: terms.rollover.get(),
            trial_days: i32::try_from(terms.trial_days).unwrap_or(i32::MAX),
            on_sale,
        }
    }
}

/// Packs, the cheapest first; retired ones, too, where `all`.
pub async fn packs(pool: &PgPool, all: bool) -> sqlx::Result<Vec<PackRow>> {
    sqlx::query_as(
        "select pack_id, name, credits, bonus, amount_minor, currency, lasts_days, on_sale
         from packs where on_sale or $1 order by currency, amount_minor, pack_id",
    )
    .bind(all)
    .fetch_all(pool)
    .await
}

/// Plans, the cheapest first; retired ones, too, where `all`.
pub async fn plans(pool: &PgPool, all: bool) -> sqlx::Result<Vec<PlanRow>> {
    sqlx::query_as(
        "select plan_id, name, tier, quota, amount_minor, currency, pay_interval, rollover,
             trial_days, on_sale
         from plans where on_sale or $1 order by currency, amount_minor, plan_id",
    )
    .bind(all)
    .fetch_all(pool)
    .await
}

/// What a price of Stripe's stands for; none where it is not of a plan of ours.
pub async fn plan_of_price(pool: &PgPool, price: &str) -> sqlx::Result<Option<PlanVersion>> {
    let row: Option<(Uuid, i32, Json<PlanTerms>)> =
        sqlx::query_as("select plan_id, version, terms from prices where price = $1")
            .bind(price)
            .fetch_optional(pool)
            .await?;
    Ok(row.map(|(plan, version, Json(terms))| PlanVersion {
        plan: plan.into(),
        version: version.unsigned_abs(),
        terms,
    }))
}

/// Packs and plans that Stripe does not list as they are.
pub async fn to_list(pool: &PgPool) -> sqlx::Result<(Vec<Uuid>, Vec<Uuid>)> {
    let packs = sqlx::query_scalar(
        "select pack_id from packs
         where (listed_version, listed_active) is distinct from (version, on_sale)",
    );
    let plans = sqlx::query_scalar(
        "select plan_id from plans
         where (listed_version, listed_active) is distinct from (version, on_sale)",
    );
    Ok((packs.fetch_all(pool).await?, plans.fetch_all(pool).await?))
}

pub(super) async fn follow_pack(
    db: &mut PgConnection,
    id: Uuid,
    event: &OfferEvent<PackTerms>,
) -> sqlx::Result<()> {
    let (terms, at) = match event {
        OfferEvent::Created { terms, at } | OfferEvent::Changed { terms, at } => (terms, at),
        other => return follow(db, "packs", "pack_id", id, other).await,
    };
    let pack = PackRow::of(id, terms, true);
    sqlx::query(
        "insert into packs (pack_id, name, credits, bonus, amount_minor, currency, lasts_days,
             version, on_sale, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, 1, true, $8)
         on conflict (pack_id) do update
         set name = excluded.name, credits = excluded.credits, bonus = excluded.bonus,
             amount_minor = excluded.amount_minor, currency = excluded.currency,
             lasts_days = excluded.lasts_days, version = packs.version + 1",
    )
    .bind(id)
    .bind(pack.name)
    .bind(pack.credits)
    .bind(pack.bonus)
    .bind(pack.amount_minor)
    .bind(pack.currency)
    .bind(pack.lasts_days)
    .bind(at)
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn follow_plan(
    db: &mut PgConnection,
    id: Uuid,
    event: &OfferEvent<PlanTerms>,
) -> sqlx::Result<()> {
    match event {
        OfferEvent::Created { terms, at } | OfferEvent::Changed { terms, at } => {
            set_plan(db, id, terms, *at).await
        }
        OfferEvent::Listed { listing, .. } => {
            follow(&mut *db, "plans", "plan_id", id, event).await?;
            stands_for(db, id, listing).await
        }
        other => follow(db, "plans", "plan_id", id, other).await,
    }
}

/// A price stands for the terms that it was listed with, whatever the plan becomes.
async fn stands_for(db: &mut PgConnection, id: Uuid, listing: &Listing) -> sqlx::Result<()> {
    sqlx::query(
        "insert into prices (price, plan_id, version, terms)
         select $2, plan_id, $3, terms from plans where plan_id = $1
         on conflict (price) do nothing",
    )
    .bind(id)
    .bind(&listing.price)
    .bind(i32::try_from(listing.version).unwrap_or(i32::MAX))
    .execute(db)
    .await?;
    Ok(())
}

async fn set_plan(
    db: &mut PgConnection,
    id: Uuid,
    terms: &PlanTerms,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let plan = PlanRow::of(id, terms, true);
    sqlx::query(
        "insert into plans (plan_id, name, tier, quota, amount_minor, currency, pay_interval,
             rollover, trial_days, version, on_sale, created_at, terms)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, true, $10, $11)
         on conflict (plan_id) do update
         set name = excluded.name, tier = excluded.tier, quota = excluded.quota,
             amount_minor = excluded.amount_minor, currency = excluded.currency,
             pay_interval = excluded.pay_interval, rollover = excluded.rollover,
             trial_days = excluded.trial_days, terms = excluded.terms, version = plans.version + 1",
    )
    .bind(id)
    .bind(plan.name)
    .bind(plan.tier)
    .bind(plan.quota)
    .bind(plan.amount_minor)
    .bind(plan.currency)
    .bind(plan.pay_interval)
    .bind(plan.rollover)
    .bind(plan.trial_days)
    .bind(at)
    .bind(Json(terms))
    .execute(db)
    .await?;
    Ok(())
}

/// What changes in an offer besides its terms. `table` and `key` are constants.
async fn follow<T>(
    db: &mut PgConnection,
    table: &str,
    key: &str,
    id: Uuid,
    event: &OfferEvent<T>,
) -> sqlx::Result<()> {
    let set = match event {
        OfferEvent::Created { .. } | OfferEvent::Changed { .. } => return Ok(()),
        OfferEvent::Retired { .. } => "on_sale = false",
        OfferEvent::Restored { .. } => "on_sale = true",
        OfferEvent::Listed { .. } => {
            "product = $2, price = $3, listed_version = $4, listed_active = $5"
        }
    };
    let statement = format!("update {table} set {set} where {key} = $1");
    let mut query = sqlx::query(AssertSqlSafe(statement)).bind(id);
    if let OfferEvent::Listed { listing, .. } = event {
        let Listing { product, price, version, active } = listing;
        let version = i32::try_from(*version).unwrap_or(i32::MAX);
        query = query.bind(product).bind(price).bind(version).bind(active);
    }
    all_of(1, query.execute(db).await?.rows_affected())
}
