//! Work that waits, fails, or was given up, and what can be done about it. What jobs are given stays hidden: letters
//! and ways into accounts are in it.

use aggregates::id::ChatId;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Type};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::chats;
use crate::error::{Problem, Result};
use crate::metering;
use crate::queue::{MAKE_CALL, REPLY};

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum JobState {
    /// Its time has not come, or nobody has taken it yet.
    Waiting,
    /// It has failed, and is tried again.
    Failing,
    /// Somebody is at it.
    Running,
    /// It was tried so often that nobody tries it any more.
    GivenUp,
}

/// A job.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
pub struct QueuedJob {
    /// Its id.
    pub id: i64,
    /// What is to be done.
    #[schema(example = "send_letter")]
    pub task: String,
    /// What, and about what: asked for again while it waits, it is done once.
    pub key: Option<String>,
    /// How it stands.
    pub state: JobState,
    /// How often it was tried.
    pub attempts: i32,
    /// How often it is tried at most.
    pub max_attempts: i32,
    /// When it is tried next.
    pub run_at: DateTime<Utc>,
    /// Since when there is such a job.
    pub created_at: DateTime<Utc>,
    /// Since when somebody is at it.
    pub locked_at: Option<DateTime<Utc>>,
    /// Why it failed last.
    pub last_error: Option<String>,
}

/// The newest jobs, from before an id. What was given up and has no key was not given up: other work has taken its
/// place while it was done.
pub async fn newest(
    app: &App,
    state: Option<JobState>,
    task: Option<&str>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<QueuedJob>> {
    let jobs = sqlx::query_as(
        "select j.id, j.task_identifier as task, j.key, s.state, j.attempts::int as attempts,
             j.max_attempts::int as max_attempts, j.run_at, j.created_at, j.locked_at, j.last_error
         from graphile_worker.jobs j
         cross join lateral (select case
             when j.locked_at is not null then 'running'
             when j.attempts >= j.max_attempts then 'given_up'
             when j.attempts > 0 then 'failing'
             else 'waiting' end as state) s
         where not (s.state = 'given_up' and j.key is null) and ($1::text is null or s.state = $1)
             and ($2::text is null or j.task_identifier = $2) and ($3::bigint is null or j.id < $3)
         order by j.id desc limit $4",
    );
    Ok(jobs.bind(state).bind(task).bind(before).bind(limit).fetch_all(app.db()).await?)
}

/// Has a job tried now; one that was given up once more.
pub async fn retry(app: &App, id: i64) -> Result<()> {
    let tried = sqlx::query_scalar(
        "select again.id
         from graphile_worker.jobs j
         cross join lateral graphile_worker.reschedule_jobs(array[j.id], run_at => clock_timestamp(),
             attempts => least(j.attempts, j.max_attempts - 1)::int) again
         where j.id = $1 and j.locked_at is null and not (j.attempts >= j.max_attempts and j.key is null)",
    );
    let tried: Option<i64> = tried.bind(id).fetch_optional(app.db()).await?;
    if tried.is_some() { Ok(()) } else { Err(not_now(app, id).await?) }
}

/// Has nobody try a job any more. A call that waits for it ends with it, so that nobody's credits are held for what
/// nobody does: before anybody sees that it was given up, and while nobody can take it. The replies of a chat end after it:
/// whoever says something in the chat asks for the same job, and would wait for this while the log waits for them.
pub async fn give_up(app: &App, id: i64, reason: &str) -> Result<()> {
    let mut tx = app.db().begin().await?;
    let given_up = sqlx::query_scalar(
        "select j.key
         from graphile_worker.jobs j
         cross join lateral graphile_worker.permanently_fail_jobs(array[j.id], $2) given_up
         where j.id = $1 and j.locked_at is null and j.attempts < j.max_attempts",
    );
    let given_up: Option<Option<String>> =
        given_up.bind(id).bind(reason).fetch_optional(&mut *tx).await?;
    let Some(key) = given_up else { return Err(not_now(app, id).await?) };
    let about = key.as_deref().and_then(|key| key.split_once('/'));
    if let Some((MAKE_CALL, call)) = about {
        metering::abandon(app, subject(call)?).await?;
    }
    tx.commit().await?;
    if let Some((REPLY, chat)) = about {
        chats::reply::abandon(app, ChatId(subject(chat)?)).await?;
    }
    Ok(())
}

/// What a job is about, by its key.
fn subject(key: &str) -> Result<Uuid> {
    key.parse().map_err(Problem::failed)
}

/// Why nothing can be done about a job.
async fn not_now(app: &App, id: i64) -> Result<Problem> {
    let running: Option<bool> = sqlx::query_scalar(
        "select locked_at is not null from graphile_worker.jobs
         where id = $1 and not (attempts >= max_attempts and key is null)",
    )
    .bind(id)
    .fetch_optional(app.db())
    .await?;
    let detail = match running {
        None => return Ok(Problem::not_found()),
        Some(true) => "somebody is at the job: wait until it has ended",
        Some(false) => "the job was given up already: it can be tried again",
    };
    Ok(Problem::new(StatusCode::CONFLICT, "not_possible_now", detail))
}
