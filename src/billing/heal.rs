//! What no webhook brought is looked for in what Stripe lists, and what was left half-way is finished.

use chrono::{DateTime, TimeDelta, Utc};
use tracing::error;

use super::inbox::{bury, enqueue, keep};
use super::{freezing, settle, stripe};
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::queue::{self, CREATE_CUSTOMER, DELETE_CUSTOMER, Refund, WRITE_LETTER};

/// Events are looked for from so long before the last look: lists and clocks are not exact.
const OVERLAP: TimeDelta = TimeDelta::hours(1);
/// Stripe lists the events of thirty days.
const LISTED: TimeDelta = TimeDelta::days(30);
/// How many pages are read: a million events in thirty days are a mistake.
const PAGES: u32 = 10_000;
/// What was paid so long ago is in the wallet, unless somebody died over it.
const SOON: TimeDelta = TimeDelta::minutes(1);

/// Work that is owed to somebody, and that nothing else enqueues again.
const OWED: [&str; 4] = [CREATE_CUSTOMER, DELETE_CUSTOMER, Refund::TASK, WRITE_LETTER];

/// Goes through the events that Stripe lists since the last time: what no webhook brought is kept
/// now.
pub async fn heal(app: &App) -> Result<()> {
    let now = clock::now();
    let reached: Option<DateTime<Utc>> =
        sqlx::query_scalar("select healed_to from stripe_cursor").fetch_optional(app.db()).await?;
    let since = reached.map_or(now - LISTED, |reached| (reached - OVERLAP).max(now - LISTED));
    // What Stripe does not list now keeps nothing that is here already from being finished.
    let mut completed = look(app, since, now).await;
    completed = completed.and(wake(app).await).and(take_up(app).await);
    completed = completed.and(freezing::follow_late(app).await);
    // Somebody may have died between the money and the credits.
    for id in projections::billing::unfulfilled(app.db(), now - SOON).await? {
        completed = completed.and(settle::complete(app, id.into()).await);
    }
    completed
}

/// Keeps what is listed since then, and how far that was.
async fn look(app: &App, since: DateTime<Utc>, now: DateTime<Utc>) -> Result<()> {
    keep_listed(app, since).await?;
    sqlx::query(
        "insert into stripe_cursor (healed_to) values ($1)
         on conflict (id) do update set healed_to = greatest(stripe_cursor.healed_to, $1)",
    )
    .bind(now)
    .execute(app.db())
    .await?;
    Ok(())
}

/// Keeps what is listed page by page, as it comes: what a failure leaves out is read the next time,
/// which begins where this one began.
async fn keep_listed(app: &App, since: DateTime<Utc>) -> Result<()> {
    let mut after = None;
    for _ in 0..PAGES {
        let page = stripe(app)?.events_since(since, after).await?;
        for listed in &page.events {
            match &listed.envelope {
                Ok(event) => keep(app, event, "healed").await?,
                Err(malformed) => bury(app, listed.raw.as_bytes(), "healed", malformed).await?,
            }
        }
        if page.next.is_none() {
            return Ok(());
        }
        after = page.next;
    }
    Err(Problem::failed("the list of events has no end"))
}

/// Enqueues again what has waited for long, where nobody works at it any more: work that is still tried
/// keeps its pauses.
async fn wake(app: &App) -> Result<()> {
    let mut db = app.db().acquire().await?;
    let objects: Vec<String> = sqlx::query_scalar(
        "select distinct i.object_id from stripe_inbox i
         where i.state = 'waiting' and i.received_at < clock_timestamp() - interval '10 minutes'
           and not exists (select from graphile_worker.jobs j
               where j.key = $1 || '/' || i.object_id and j.attempts < j.max_attempts)",
    )
    .bind(queue::SETTLE_OBJECT)
    .fetch_all(&mut *db)
    .await?;
    // Each by itself: a job's key is locked until its transaction ends, and there may be many.
    for object in objects {
        enqueue(&mut db, &object).await?;
    }
    Ok(())
}

/// What was given up after two days of trying is tried once each time, and somebody is told of it.
async fn take_up(app: &App) -> Result<()> {
    let mut db = app.db().acquire().await?;
    for work in queue::try_again(&mut db, &OWED).await? {
        let (work, why) = (work.key, work.last_error);
        error!(work, why, "work has failed for two days: it is tried once an hour");
    }
    Ok(())
}
