//! What is open, waits, or was given up: holds, jobs, and what Stripe has told. All of it is found by indexes over
//! what is open, or in tables that hold only that.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection};

use super::page::{Kind, Page};
use crate::app::App;

/// How long a query goes on in the database, whoever waits for it: as long as a scrape waits.
const LIMIT: &str = "set local statement_timeout = '2s'";

/// What was found; nothing, where nobody could be asked.
#[derive(Default)]
pub(super) struct Work {
    holds: Option<Holds>,
    jobs: Vec<Jobs>,
    inbox: Vec<Inbox>,
    report: Option<Report>,
}

/// Holds that are open.
#[derive(FromRow)]
struct Holds {
    open: i64,
    credits: i64,
    /// For how many seconds the first has been past its time.
    overdue: i64,
}

/// Jobs of one task in one state.
#[derive(FromRow)]
struct Jobs {
    task: String,
    state: String,
    count: i64,
    /// For how many seconds the first has been due.
    due: i64,
}

/// What Stripe has told, in one state.
#[derive(FromRow)]
struct Inbox {
    state: String,
    events: i64,
    /// For how many seconds the first has been there.
    waiting: i64,
}

/// The last comparison with Stripe.
#[derive(FromRow)]
struct Report {
    ended: i64,
    mismatches: i64,
}

/// Asks for all of it.
pub(super) async fn find(app: &App) -> sqlx::Result<Work> {
    let mut tx = app.probes.db.begin().await?;
    sqlx::query(LIMIT).execute(&mut *tx).await?;
    let holds = rows(
        &mut tx,
        "select count(*) as open,
             coalesce(sum(authorized - captured - released), 0)::bigint as credits,
             greatest(coalesce(extract(epoch from clock_timestamp() - min(expires_at)), 0), 0)::bigint
                 as overdue
         from balances.holds where state = 'authorized'",
    );
    let holds = holds.await?.pop();
    // What is given up and has no key was not given up: see `queue::try_again`.
    let jobs = rows(
        &mut tx,
        "select j.task_identifier as task, s.state, count(*) as count,
             greatest(coalesce(extract(epoch from clock_timestamp() - min(j.run_at)), 0), 0)::bigint as due
         from graphile_worker.jobs j
         cross join lateral (select case
             when j.locked_at is not null then 'running'
             when j.attempts >= j.max_attempts then 'given_up'
             when j.attempts > 0 then 'failing'
             else 'waiting' end as state) s
         where not (s.state = 'given_up' and j.key is null)
         group by 1, 2 order by 1, 2",
    );
    let jobs = jobs.await?;
    let inbox = rows(
        &mut tx,
        "select s.state, count(i) as events,
             greatest(coalesce(extract(epoch from clock_timestamp() - min(i.since)), 0), 0)::bigint
                 as waiting
         from unnest(array['waiting', 'quarantined', 'dead']) s (state)
         left join (
             select state, waiting_since as since from stripe_inbox where state = 'waiting'
             union all
             select state, received_at from stripe_inbox where state in ('quarantined', 'dead')
         ) i on i.state = s.state
         group by 1 order by 1",
    );
    let inbox = inbox.await?;
    let report = rows(
        &mut tx,
        "select extract(epoch from ended_at)::bigint as ended,
             jsonb_array_length(mismatches)::bigint as mismatches
         from stripe_reports order by started_at desc limit 1",
    );
    let report = report.await?.pop();
    Ok(Work { holds, jobs, inbox, report })
}

async fn rows<T>(db: &mut PgConnection, sql: &'static str) -> sqlx::Result<Vec<T>>
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    sqlx::query_as(sql).fetch_all(db).await
}

impl Work {
    pub(super) fn tell(&self, page: &mut Page) {
        tell_holds(page, self.holds.as_ref());
        tell_jobs(page, &self.jobs);
        tell_inbox(page, &self.inbox);
        tell_report(page, self.report.as_ref());
    }
}

fn tell_holds(page: &mut Page, holds: Option<&Holds>) {
    let mut one = |name, help, value: fn(&Holds) -> i64| {
        optional(page, name, help, holds.map(value));
    };
    one("saldo_holds_open", "Holds that are open.", |holds| holds.open);
    one("saldo_credits_held", "Credits that are held.", |holds| holds.credits);
    one(
        "saldo_holds_overdue_seconds",
        "For how long the first open hold has been past its time.",
        |holds| holds.overdue,
    );
}

fn tell_jobs(page: &mut Page, jobs: &[Jobs]) {
    let help = "Jobs, by task and state: waiting, running, failing (tried again), given_up.";
    let mut family = page.family("saldo_jobs", Kind::Gauge, help);
    for Jobs { task, state, count, .. } in jobs {
        family.sample(&[("task", task), ("state", state)], count);
    }
    let help = "For how long the first job that waits or fails has been due.";
    let mut family = page.family("saldo_jobs_due_seconds", Kind::Gauge, help);
    for Jobs { task, state, due, .. } in jobs {
        if ["waiting", "failing"].contains(&state.as_str()) {
            family.sample(&[("task", task), ("state", state)], due);
        }
    }
}

fn tell_inbox(page: &mut Page, inbox: &[Inbox]) {
    let help = "What Stripe has told that is not settled, by state: waiting, quarantined, dead.";
    let mut family = page.family("saldo_stripe_inbox", Kind::Gauge, help);
    for Inbox { state, events, .. } in inbox {
        family.sample(&[("state", state)], events);
    }
    let help = "For how long the first of them has been there.";
    let mut family = page.family("saldo_stripe_inbox_oldest_seconds", Kind::Gauge, help);
    for Inbox { state, waiting, .. } in inbox {
        family.sample(&[("state", state)], waiting);
    }
}

fn tell_report(page: &mut Page, report: Option<&Report>) {
    let mut one = |name, help, value: fn(&Report) -> i64| {
        optional(page, name, help, report.map(value));
    };
    one(
        "saldo_stripe_mismatches",
        "What the last comparison with Stripe found to differ.",
        |report| report.mismatches,
    );
    one(
        "saldo_stripe_compared_timestamp_seconds",
        "When Stripe was compared with last, in seconds of Unix time.",
        |report| report.ended,
    );
}

fn optional(page: &mut Page, name: &'static str, help: &str, value: Option<i64>) {
    let mut family = page.family(name, Kind::Gauge, help);
    if let Some(value) = value {
        family.sample(&[], value);
    }
}
