//! What was used, and what is left of the quota.

use axum::extract::State;
use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use projections::usage::{self, Figures, Grouping, Share};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Allowed, UsageRead};
use super::json::Query;
use super::limits::Limited;
use super::position::MinPosition;
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::metering::{self, Quota};
use crate::models::Tier;

/// Days that may be asked for at once: a year, also one with a leap day.
const DAYS: i64 = 366;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Which usage.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UsageQuery {
    /// The first day (UTC); by default that on which the period of the subscription began, without one the
    /// first of the month.
    from: Option<NaiveDate>,
    /// The last day (UTC), at most 366 with the first; today by default.
    to: Option<NaiveDate>,
    /// What the rows are about; `day` by default.
    #[serde(default)]
    by: UsageBy,
}

/// What rows of usage are about.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum UsageBy {
    #[default]
    Day,
    Feature,
    Model,
}

/// What was used, and what is left of the quota.
#[derive(Serialize, ToSchema)]
struct UsageReport {
    from: NaiveDate,
    to: NaiveDate,
    by: UsageBy,
    totals: UsageFigures,
    /// In the order of their keys.
    items: Vec<UsageRow>,
    /// Of the period that runs, whichever days were asked for.
    quota: QuotaLeft,
}

/// What was used.
#[derive(Serialize, ToSchema)]
struct UsageFigures {
    /// Captures and debits.
    calls: i64,
    /// What they cost, less what reversed debits gave back on these days.
    credits: i64,
    /// As far as providers or our estimates say.
    input_tokens: i64,
    /// As far as providers or our estimates say.
    output_tokens: i64,
    /// Calls of which the provider did not say what they used: they were charged by our estimate.
    estimated_calls: i64,
}

/// What was used of one day, feature or model.
#[derive(Serialize, ToSchema)]
struct UsageRow {
    /// The day, the feature (`api` is what the customer's own service spends) or the model; null where no
    /// model is known.
    #[schema(example = "summarize")]
    key: Option<String>,
    #[serde(flatten)]
    figures: UsageFigures,
}

/// What the subscription brought for the period that runs, and what is left of it; without one, what the free
/// tier has.
#[derive(Serialize, ToSchema)]
struct QuotaLeft {
    tier: Tier,
    /// None without a subscription that runs.
    plan: Option<String>,
    period_start: Option<DateTime<Utc>>,
    /// Credits that came as quota.
    granted: i64,
    /// Credits that were carried over from the period before.
    carried_over: i64,
    /// Spent of both, or taken back with the payment.
    used: i64,
    /// Of both, what open holds have.
    held: i64,
    /// What is left of both.
    remaining: i64,
    /// When other credits take their place.
    resets_at: Option<DateTime<Utc>>,
    /// Messages of chats; without a limit, as many as can be paid.
    chat_messages_per_day: Limited,
}

/// What was used, by day, feature or model, and what is left of the quota.
#[utoipa::path(get, path = "/usage", tag = "wallet",
    params(UsageQuery, ("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = UsageReport), (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<UsageRead>,
    MinPosition(at_least): MinPosition,
    Query(UsageQuery { from, to, by }): Query<UsageQuery>,
) -> Result<axum::Json<UsageReport>> {
    app.caught_up("usage", caller.user, at_least).await?;
    app.caught_up("balances", caller.user, at_least).await?;
    let quota = metering::quota(&app, caller.user).await?;
    let (from, to) = days(from, to, &quota, clock::now().date_naive())?;
    let shares = usage::between(app.db(), caller.wallet(), (from, to), by.into()).await?;
    let messages = Limited::of_messages(&app, caller.user, &quota).await?;
    Ok(axum::Json(UsageReport {
        from,
        to,
        by,
        totals: usage::total(&shares).into(),
        items: shares.into_iter().map(UsageRow::from).collect(),
        quota: QuotaLeft::of(quota, messages),
    }))
}

/// The days that are asked for.
fn days(
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    quota: &Quota,
    today: NaiveDate,
) -> Result<(NaiveDate, NaiveDate)> {
    let to = to.unwrap_or(today);
    let from = from.unwrap_or_else(|| {
        let began = quota.plan.as_ref().map(|plan| plan.period_start.date_naive());
        // Of a year that has a leap day, and of a day before the period, too.
        let earliest = to - TimeDelta::days(DAYS - 1);
        began.or_else(|| today.with_day(1)).unwrap_or(today).clamp(earliest, to)
    });
    if from > to {
        return Err(Problem::field("from", "must not be after to"));
    }
    if to - from >= TimeDelta::days(DAYS) {
        return Err(Problem::field("to", format!("must be within {DAYS} days from the first")));
    }
    Ok((from, to))
}

impl From<UsageBy> for Grouping {
    fn from(by: UsageBy) -> Self {
        match by {
            UsageBy::Day => Self::Day,
            UsageBy::Feature => Self::Feature,
            UsageBy::Model => Self::Model,
        }
    }
}

impl From<Figures> for UsageFigures {
    fn from(figures: Figures) -> Self {
        let Figures { calls, credits, input_tokens, output_tokens, estimated } = figures;
        Self { calls, credits, input_tokens, output_tokens, estimated_calls: estimated }
    }
}

impl From<Share> for UsageRow {
    fn from(Share { name, figures }: Share) -> Self {
        Self { key: Some(name).filter(|name| !name.is_empty()), figures: figures.into() }
    }
}

impl QuotaLeft {
    fn of(Quota { tier, plan, .. }: Quota, messages: Limited) -> Self {
        let credits = plan.as_ref().map(|plan| plan.credits).unwrap_or_default();
        Self {
            tier,
            period_start: plan.as_ref().map(|plan| plan.period_start),
            granted: credits.granted,
            carried_over: credits.carried_over,
            used: plan.as_ref().map_or(0, metering::PlanQuota::used),
            held: credits.held,
            remaining: credits.remaining,
            resets_at: plan.as_ref().map(|plan| plan.resets_at),
            plan: plan.map(|plan| plan.name),
            chat_messages_per_day: messages,
        }
    }
}
