//! A person's calls as they are shown: those that are done, those that wait, and those that waited and failed.

use aggregates::id::UserId;
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::analyses::{Record, open};
use super::queued::Failure;
use crate::app::App;
use crate::error::{Problem, Result};

/// A call.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The call's id: that of its hold.
    pub id: Uuid,
    /// Which kind of call.
    pub feature: String,
    /// Since when it is as it is done; of others, when it was asked for.
    pub created_at: DateTime<Utc>,
    /// How far it is.
    pub state: State,
}

/// How far a call is.
#[derive(Clone, Debug)]
pub enum State {
    /// It waits, or is being made.
    Queued,
    /// This is what it delivered.
    Done(Box<Record>),
    /// It failed, and cost nothing.
    Failed(Failure),
}

impl Entry {
    /// What it delivered, when it is done.
    #[must_use]
    pub fn delivered(&self) -> Option<&Record> {
        match &self.state {
            State::Done(record) => Some(record),
            State::Queued | State::Failed(_) => None,
        }
    }
}

impl From<Record> for Entry {
    fn from(record: Record) -> Self {
        let Record { id, ref feature, created_at, .. } = record;
        Self { id, feature: feature.clone(), created_at, state: State::Done(Box::new(record)) }
    }
}

/// The person's calls, newest first, from before `cursor`.
pub async fn entries(
    app: &App,
    user: UserId,
    cursor: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Entry>> {
    let rows = sqlx::query(
        "with calls as (
             select analysis_id, feature, credits, sealed, created_at, null as failure
             from analyses where user_id = $1
             union all
             select call_id, feature, null, null, created_at, failure
             from queued_calls where user_id = $1
         )
         select * from calls
         where $2::uuid is null
            or (created_at, analysis_id)
                < (select created_at, analysis_id from calls where analysis_id = $2)
         order by created_at desc, analysis_id desc
         limit $3",
    );
    let rows = rows.bind(user.0).bind(cursor).bind(limit);
    let mut entries = Vec::new();
    for row in rows.fetch_all(app.db()).await? {
        entries.push(read(app, user, &row).await?);
    }
    Ok(entries)
}

/// One of the person's calls.
pub async fn entry(app: &App, user: UserId, id: Uuid) -> Result<Option<Entry>> {
    let row = sqlx::query(
        "select analysis_id, feature, credits, sealed, created_at, null as failure
         from analyses where user_id = $1 and analysis_id = $2
         union all
         select call_id, feature, null, null, created_at, failure
         from queued_calls where user_id = $1 and call_id = $2",
    );
    match row.bind(user.0).bind(id).fetch_optional(app.db()).await? {
        Some(row) => read(app, user, &row).await.map(Some),
        None => Ok(None),
    }
}

async fn read(app: &App, user: UserId, row: &PgRow) -> Result<Entry> {
    if row.try_get::<Option<&str>, _>("sealed")?.is_some() {
        return open(app, user, row).await.map(Entry::from);
    }
    let failure: Option<&str> = row.try_get("failure")?;
    let state = match failure.map(str::parse) {
        None => State::Queued,
        Some(failure) => State::Failed(failure.map_err(Problem::failed)?),
    };
    let (id, feature) = (row.try_get("analysis_id")?, row.try_get("feature")?);
    Ok(Entry { id, feature, created_at: row.try_get("created_at")?, state })
}
