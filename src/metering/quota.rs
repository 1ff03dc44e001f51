//! What somebody has for a time, and what is left of it.

use aggregates::id::UserId;
use chrono::{DateTime, NaiveDate, Utc};
use projections::balances;
use projections::billing;

use super::access;
use crate::app::App;
use crate::clock;
use crate::error::Result;
use crate::models::Tier;

/// What somebody has, by the plan that runs or by none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Their tier now.
    pub tier: Tier,
    /// The plan's part; none without a plan.
    pub plan: Option<PlanQuota>,
    /// Chat messages a day (UTC); as many as can be paid, when none.
    pub messages_per_day: Option<u32>,
}

/// What a plan has brought for the time that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanQuota {
    /// What the plan is called.
    pub name: String,
    /// When the subscription's period began.
    pub period_start: DateTime<Utc>,
    /// The credits.
    pub credits: balances::Quota,
    /// When other credits take their place.
    pub resets_at: DateTime<Utc>,
}

impl PlanQuota {
    /// What was brought, with what was carried over.
    #[must_use]
    pub fn all(&self) -> i64 {
        self.credits.granted + self.credits.carried_over
    }

    /// What of it was used, or taken back with its payment.
    #[must_use]
    pub fn used(&self) -> i64 {
        self.all() - self.credits.held - self.credits.remaining
    }
}

/// What the person has now.
pub async fn quota(app: &App, user: UserId) -> Result<Quota> {
    let tier = access::tier_now(app, user).await?;
    let messages_per_day = app.models.chat_messages_per_day(tier);
    let plan = match billing::running_of(app.db(), user.0).await? {
        Some(running) => Some(of_plan(app, user, running).await?),
        None => None,
    };
    Ok(Quota { tier, plan, messages_per_day })
}

async fn of_plan(app: &App, user: UserId, running: billing::Running) -> Result<PlanQuota> {
    let billing::Running { plan, stripe, period_start, period_end, due_at } = running;
    let now = clock::now();
    let times = (period_start, now);
    let credits = balances::quota(app.db(), user.into(), &stripe, times).await?;
    // A year's quota comes month by month.
    let resets_at = due_at.filter(|due| *due > now).map_or(period_end, |due| due.min(period_end));
    Ok(PlanQuota { name: plan, period_start, credits, resets_at })
}

/// How many chat messages the person has sent on a day (UTC).
pub async fn messages(app: &App, user: UserId, day: NaiveDate) -> Result<i64> {
    let sent =
        sqlx::query_scalar("select used::bigint from chat_days where user_id = $1 and day = $2");
    let sent: Option<i64> = sent.bind(user.0).bind(day).fetch_optional(app.db()).await?;
    Ok(sent.unwrap_or(0))
}
