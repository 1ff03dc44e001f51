//! What limits the person who is asking: by their plan, and by themselves.

use aggregates::credits::Credits;
use aggregates::id::UserId;
use aggregates::wallet::{SpendWindow, Wallet};
use axum::extract::State;
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::position::MinPosition;
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::metering::{self, PlanQuota, Quota};
use crate::models::Tier;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show))
}

/// What limits a person. Days and months are those of UTC.
#[derive(Serialize, ToSchema)]
struct Limits {
    tier: Tier,
    /// The model that answers where none is named.
    model: String,
    /// Messages of chats.
    chat_messages_per_day: Limited,
    /// Credits that the plan has brought for the period that runs; null without a plan.
    quota: Option<Limited>,
    /// Credits that may be spent or held in a day.
    spend_per_day: Limited,
    /// Credits that may be spent or held in a month.
    spend_per_month: Limited,
}

/// What is limited, and how far that is used up.
#[derive(Serialize, ToSchema)]
pub(super) struct Limited {
    /// Null is no limit.
    limit: Option<i64>,
    used: i64,
    /// Null where there is no limit.
    remaining: Option<i64>,
    /// When it begins anew.
    resets_at: DateTime<Utc>,
}

impl Limited {
    fn of(limit: Option<i64>, used: i64, resets_at: DateTime<Utc>) -> Self {
        let remaining = limit.map(|limit| (limit - used).max(0));
        Self { limit, used, remaining, resets_at }
    }

    /// Messages of chats, those of today.
    pub(super) async fn of_messages(app: &App, user: UserId, quota: &Quota) -> Result<Self> {
        let now = clock::now();
        let sent = metering::messages(app, user, now.date_naive()).await?;
        Ok(Self::of(quota.messages_per_day.map(i64::from), sent, end_of(SpendWindow::Day, now)))
    }

    /// What open holds have is not used, and not left.
    fn of_plan(plan: &PlanQuota) -> Self {
        Self {
            limit: Some(plan.all()),
            used: plan.used(),
            remaining: Some(plan.credits.remaining),
            resets_at: plan.resets_at,
        }
    }

    /// What may be spent from the wallet.
    fn of_spending(wallet: &Wallet, window: SpendWindow, now: DateTime<Utc>) -> Self {
        let spending = wallet.spending(None);
        let limit = spending.and_then(|spending| spending.limit(window));
        let spent = spending.map(|spending| spending.spent(window, now)).unwrap_or_default();
        Self::of(limit.map(Credits::get), spent.get(), end_of(window, now))
    }
}

/// What limits the person who is asking, how far it is used up, and when it begins anew.
#[utoipa::path(get, path = "/me/limits", tag = "me",
    params(("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = Limits), (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    MinPosition(at_least): MinPosition,
) -> Result<axum::Json<Limits>> {
    app.caught_up("balances", caller.user, at_least).await?;
    let now = clock::now();
    let quota = metering::quota(&app, caller.user).await?;
    let wallet = app.store.load::<Wallet>(caller.wallet()).await?;
    Ok(axum::Json(Limits {
        tier: quota.tier,
        model: app.models.usual(quota.tier).id.clone(),
        chat_messages_per_day: Limited::of_messages(&app, caller.user, &quota).await?,
        quota: quota.plan.as_ref().map(Limited::of_plan),
        spend_per_day: Limited::of_spending(&wallet, SpendWindow::Day, now),
        spend_per_month: Limited::of_spending(&wallet, SpendWindow::Month, now),
    }))
}

/// When the window that runs is over, in UTC.
fn end_of(window: SpendWindow, now: DateTime<Utc>) -> DateTime<Utc> {
    let today = now.date_naive();
    let next = match window {
        SpendWindow::Day => today.checked_add_days(Days::new(1)),
        SpendWindow::Month => first_of_month(today).checked_add_months(Months::new(1)),
    };
    next.map_or(now, |next| next.and_time(NaiveTime::MIN).and_utc())
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_and_a_month_with_its_last_day() {
        let now = "2026-12-31T23:59:59.999999Z".parse().expect("a time");
        for (window, end) in [(SpendWindow::Day, "2027-01-01"), (SpendWindow::Month, "2027-01-01")]
        {
            assert_eq!(end_of(window, now).to_rfc3339(), format!("{end}T00:00:00+00:00"));
        }
        let now = "2026-01-31T00:00:00Z".parse().expect("a time");
        for (window, end) in [(SpendWindow::Day, "2026-02-01"), (SpendWindow::Month, "2026-02-01")]
        {
            assert_eq!(end_of(window, now).to_rfc3339(), format!("{end}T00:00:00+00:00"));
        }
        let now = "2026-02-10T12:00:00Z".parse().expect("a time");
        for (window, end) in [(SpendWindow::Day, "2026-02-11"), (SpendWindow::Month, "2026-03-01")]
        {
            assert_eq!(end_of(window, now).to_rfc3339(), format!("{end}T00:00:00+00:00"));
        }
    }
}
