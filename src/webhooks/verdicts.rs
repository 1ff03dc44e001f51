//! What became of a try, and what follows: another one, or none, or no more at all.

use std::collections::HashMap;

use aggregates::id::{EndpointId, UserId};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use tracing::info;
use utoipa::ToSchema;
use uuid::Uuid;

use super::deliveries::give_up_all;
use super::endpoints::{Row, Sealed, lock};
use super::schedule::{self, PATIENCE};
use crate::accounts;
use crate::app::App;
use crate::clients::mail::Letter;
use crate::clients::webhooks::{Answer, Sent};
use crate::clock;
use crate::error::{Problem, Result};
use crate::queue::LetterTo;

/// A try.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Attempt {
    /// From 1.
    pub number: i32,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub duration_ms: i32,
    /// The HTTP status that was answered, if any.
    #[schema(example = 200)]
    pub status: Option<i32>,
    /// How the answer begins: at most 1,024 bytes.
    pub response: Option<String>,
    /// Why it was not taken, where the status does not say so.
    pub error: Option<String>,
}

#[derive(FromRow)]
struct Tried {
    delivery_id: Uuid,
    number: i32,
    at: DateTime<Utc>,
    duration_ms: i32,
    status: Option<i32>,
    response: Option<String>,
    error: Option<String>,
}

/// A webhook that is being sent.
#[derive(FromRow)]
pub(super) struct Due {
    pub(super) delivery_id: Uuid,
    pub(super) body: String,
    tries: i32,
    attempts: i32,
    asked_by: Option<Uuid>,
}

/// The last twenty tries of each of these, the oldest first.
pub(super) async fn attempts(
    app: &App,
    user: UserId,
    deliveries: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Attempt>>> {
    let rows: Vec<Tried> = sqlx::query_as(
        "select a.* from webhook_attempts a join webhook_deliveries d using (delivery_id)
         where delivery_id = any($1) and a.number > d.attempts - 20
         order by a.number",
    )
    .bind(deliveries)
    .fetch_all(app.db())
    .await?;
    let mut attempts = HashMap::<_, Vec<_>>::new();
    for row in rows {
        let response = match &row.response {
            Some(sealed) => {
                let place = place(row.delivery_id, row.number);
                let opened = app.store.codec().open_value(user, &place, sealed).await;
                opened.map_err(Problem::failed)?
            }
            None => None,
        };
        let Tried { delivery_id, number, at, duration_ms, status, error, .. } = row;
        let attempt = Attempt { number, at, duration_ms, status, response, error };
        attempts.entry(delivery_id).or_default().push(attempt);
    }
    Ok(attempts)
}

/// What the beginning of an answer is bound to.
fn place(delivery: Uuid, number: i32) -> String {
    format!("webhook_attempt/{delivery}/{number}")
}

/// Writes down what became of a try, unless somebody else has tried meanwhile, and what follows.
pub(super) async fn record(
    app: &App,
    endpoint: &Row,
    kept: &Sealed,
    due: &Due,
    sent: &Sent,
) -> Result<()> {
    let (now, number) = (clock::now(), due.attempts + 1);
    let user = UserId(endpoint.user_id);
    let answer = sent.outcome.as_ref().ok();
    let response = match answer {
        Some(answer) => {
            let place = place(due.delivery_id, number);
            let sealed = app.store.codec().seal_value(user, &place, &answer.body).await;
            Some(sealed.map_err(Problem::failed)?)
        }
        None => None,
    };
    let is_out_of_patience = endpoint.failing_since.is_some_and(|since| since + PATIENCE <= now);
    // Before a connection is held, since it takes another.
    let owner = if is_out_of_patience { owner(app, user).await? } else { None };
    let mut tx = app.db().begin().await?;
    // It was removed, with what was sent to it.
    let Some(row) = lock(&mut tx, EndpointId(endpoint.endpoint_id)).await? else { return Ok(()) };
    if !follow(&mut tx, &row, due, answer, now).await? {
        return Ok(());
    }
    sqlx::query(
        "insert into webhook_attempts (delivery_id, number, at, duration_ms, status, response, error)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(due.delivery_id)
    .bind(number)
    .bind(now)
    .bind(i32::try_from(sent.took.as_millis()).unwrap_or(i32::MAX))
    .bind(answer.map(|answer| i32::from(answer.status)))
    .bind(response)
    .bind(error_of(sent))
    .execute(&mut *tx)
    .await?;
    if let Some(since) = judge(&mut tx, &row, answer, now).await?
        && let Some(owner) = owner
    {
        write(app, &mut tx, &row, kept, owner, (since, now)).await?;
    }
    Ok(tx.commit().await?)
}

/// Why it was not taken, where the status does not say so.
fn error_of(sent: &Sent) -> Option<String> {
    match &sent.outcome {
        Ok(answer) if (300..400).contains(&answer.status) => {
            Some("redirections are not followed: change the endpoint's url".to_owned())
        }
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    }
}

/// What becomes of the webhook; whether nobody else has tried it since it was sent. Whoever asked meanwhile that it
/// be sent once more has all the tries of a new one: this is none of them, and decides nothing.
async fn follow(
    db: &mut PgConnection,
    endpoint: &Row,
    due: &Due,
    answer: Option<&Answer>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let tried: Option<Option<Uuid>> = sqlx::query_scalar(
        "update webhook_deliveries set attempts = attempts + 1, leased_until = null
         where delivery_id = $1 and attempts = $2
         returning asked_by",
    )
    .bind(due.delivery_id)
    .bind(due.attempts)
    .fetch_optional(&mut *db)
    .await?;
    let Some(asked_by) = tried else { return Ok(false) };
    if asked_by != due.asked_by {
        return Ok(true);
    }
    let is_taken = answer.is_some_and(Answer::is_taken);
    let next_at = schedule::next(due.tries + 1, now).filter(|_| !is_taken && endpoint.enabled);
    let state = match (is_taken, next_at) {
        (true, _) => "delivered",
        (false, Some(_)) => "waiting",
        (false, None) => "failed",
    };
    sqlx::query(
        "update webhook_deliveries set state = $2, next_at = $3, tries = tries + 1
         where delivery_id = $1",
    )
    .bind(due.delivery_id)
    .bind(state)
    .bind(next_at)
    .execute(db)
    .await?;
    Ok(true)
}

/// What becomes of the endpoint: one that says that it is gone, or has taken nothing for long, is turned
/// off. Of the latter its owner is told, who may not know: since when, where that is so.
async fn judge(
    db: &mut PgConnection,
    endpoint: &Row,
    answer: Option<&Answer>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    let is_taken = answer.is_some_and(Answer::is_taken);
    let failing_since = (!is_taken).then(|| endpoint.failing_since.unwrap_or(now));
    let is_gone = answer.is_some_and(Answer::is_gone);
    let failed = failing_since.filter(|since| !is_gone && *since + PATIENCE <= now);
    let reason = match (is_gone, failed) {
        (true, _) => Some("gone"),
        (false, Some(_)) => Some("failing"),
        (false, None) => None,
    };
    sqlx::query(
        "update webhook_endpoints
         set failing_since = $2, enabled = enabled and $3::text is null,
             disabled_reason = coalesce(disabled_reason, $3)
         where endpoint_id = $1",
    )
    .bind(endpoint.endpoint_id)
    .bind(failing_since)
    .bind(reason)
    .execute(&mut *db)
    .await?;
    let Some(reason) = reason.filter(|_| endpoint.enabled) else { return Ok(None) };
    info!(endpoint.id = %endpoint.endpoint_id, reason, "an endpoint of webhooks was turned off");
    give_up_all(db, EndpointId(endpoint.endpoint_id)).await?;
    Ok(failed)
}

/// Who is written to.
struct Owner {
    to: String,
    name: Option<String>,
}

/// The person, where they are reached: an address that nobody has proved may be a stranger's.
async fn owner(app: &App, user: UserId) -> Result<Option<Owner>> {
    let person = match accounts::state(app, user).await {
        // Who is gone is not written to.
        Err(problem) if problem.status == 404 => return Ok(None),
        person => person?,
    };
    let to = person.email().filter(|_| person.email_verified()).cloned();
    Ok(to.map(|to| Owner { to, name: person.name().cloned() }))
}

/// Writes to the owner of an endpoint that has taken nothing since then, and was turned off.
async fn write(
    app: &App,
    db: &mut PgConnection,
    endpoint: &Row,
    kept: &Sealed,
    Owner { to, name }: Owner,
    (since, at): (DateTime<Utc>, DateTime<Utc>),
) -> Result<()> {
    let letter = Letter::WebhooksStopped { name, host: kept.host(), since, at };
    let id = Uuid::new_v5(&endpoint.endpoint_id, since.to_rfc3339().as_bytes());
    let job = LetterTo { to, letter }.job(&app.keys, id).map_err(Problem::failed)?;
    Ok(job.enqueue(db).await?)
}
