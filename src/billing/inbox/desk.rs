//! What administrators see of Stripe's events, and have worked off again.

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

use super::{EventState, enqueue, object_of};
use crate::app::App;
use crate::clients::stripe::EventEnvelope;
use crate::error::{Problem, Result};

/// An event that Stripe has told of.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
pub struct EventRow {
    /// `evt_…`.
    pub event_id: String,
    /// What happened.
    pub kind: String,
    /// What it is about.
    pub object_id: String,
    /// `webhook`, `healed` or `replayed`.
    pub source: String,
    /// What became of it.
    pub state: EventState,
    /// How often it was tried.
    pub attempts: i32,
    /// Why it failed last.
    pub error: Option<String>,
    /// Since when it is here.
    pub received_at: DateTime<Utc>,
}

/// The newest events, or those of a state, from before `cursor`.
pub async fn list(
    app: &App,
    state: Option<EventState>,
    cursor: Option<&str>,
    limit: i64,
) -> Result<Vec<EventRow>> {
    let rows = sqlx::query_as(
        "select event_id, kind, object_id, source, state, attempts, error, received_at
         from stripe_inbox
         where ($1::text is null or state = $1) and ($2::text is null or (received_at, event_id) <
             (select received_at, event_id from stripe_inbox where event_id = $2))
         order by received_at desc, event_id desc limit $3",
    );
    Ok(rows.bind(state).bind(cursor).bind(limit).fetch_all(app.db()).await?)
}

/// Has an event worked off again, whatever became of it; 409 for what would come to the same: since
/// it was kept, the server may have learned what it means, or have got another key of Stripe's.
pub async fn replay(app: &App, id: &str) -> Result<()> {
    let payload = sqlx::query_scalar("select payload from stripe_inbox where event_id = $1");
    let payload: Option<String> = payload.bind(id).fetch_optional(app.db()).await?;
    let payload = payload.ok_or_else(Problem::not_found)?;
    let event = EventEnvelope::read(payload.as_bytes()).map_err(not_replayed)?;
    let (state, why) = super::sort(app, &event)?;
    if state != EventState::Waiting {
        return Err(not_replayed(why.unwrap_or_else(|| "it is about nothing of ours".to_owned())));
    }
    let mut unit = app.db().begin().await?;
    sqlx::query(
        "update stripe_inbox
         set state = 'waiting', source = 'replayed', attempts = 0, error = null, settled_at = null,
             waiting_since = clock_timestamp(),
             kind = $2, object = $3, object_id = $4
         where event_id = $1",
    )
    .bind(id)
    .bind(&event.kind)
    .bind(&event.object_type)
    .bind(object_of(&event))
    .execute(&mut *unit)
    .await?;
    enqueue(&mut unit, object_of(&event)).await?;
    unit.commit().await?;
    Ok(())
}

fn not_replayed(why: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::CONFLICT, "not_replayed", format!("nothing would follow: {why}"))
}
