//! What Stripe tells: kept before it is answered, each event once, and worked off object by object.

mod desk;
mod look;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use tracing::error;
use utoipa::ToSchema;

use super::stripe;
use crate::app::App;
use crate::clients::stripe::webhook::{self, Rejected};
use crate::clients::stripe::{EventEnvelope, Malformed};
use crate::clock;
use crate::error::{Problem, Result};
use crate::queue::{Job, SETTLE_OBJECT};
use crate::store::hex;

pub use desk::{EventRow, list, replay};
pub use look::settle;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum EventState {
    /// Its object is to be looked at.
    Waiting,
    /// Its object was looked at.
    Done,
    /// It is about nothing that concerns us.
    Ignored,
    /// It is of another mode or account.
    Quarantined,
    /// It does not say what it is about, or has failed for two days.
    Dead,
}

/// Takes a webhook: 400 for what is not Stripe's, an error where it cannot be kept, so that Stripe
/// sends it again.
pub async fn take(app: &App, body: &[u8], signature: &str) -> Result<()> {
    match webhook::verify(body, signature, &app.stripe_secrets) {
        Ok(event) => keep(app, &event, "webhook").await,
        Err(Rejected::Malformed(malformed)) => bury(app, body, "webhook", &malformed).await,
        Err(rejected @ (Rejected::Signature | Rejected::Timestamp)) => {
            let detail = rejected.to_string();
            Err(Problem::new(StatusCode::BAD_REQUEST, "bad_signature", detail))
        }
    }
}

/// Keeps an event, and enqueues the work that follows, in one transaction. One that is known already
/// changes nothing.
pub async fn keep(app: &App, event: &EventEnvelope, source: &str) -> Result<()> {
    let (state, why) = sort(app, event)?;
    let mut unit = app.db().begin().await?;
    if insert(&mut unit, event, source, (state, why.as_deref())).await? {
        match state {
            EventState::Waiting => enqueue(&mut unit, object_of(event)).await?,
            EventState::Quarantined | EventState::Dead => {
                error!(event.id, event.kind, why, "an event of Stripe's waits for somebody");
            }
            EventState::Done | EventState::Ignored => {}
        }
    }
    unit.commit().await?;
    Ok(())
}

/// What is to become of an event, and why where it is nothing that we can do.
fn sort(app: &App, event: &EventEnvelope) -> Result<(EventState, Option<String>)> {
    if event.livemode != stripe(app)?.is_live() || event.account.is_some() {
        return Ok((EventState::Quarantined, Some("it is of another mode or account".to_owned())));
    }
    Ok(match look::work_of(&event.kind, event) {
        Ok(Some(_)) => (EventState::Waiting, None),
        Ok(None) => (EventState::Ignored, None),
        Err(malformed) => (EventState::Dead, Some(malformed.to_string())),
    })
}

/// What an event is about; nothing, where its object has no id.
fn object_of(event: &EventEnvelope) -> &str {
    event.object_id.as_deref().unwrap_or_default()
}

/// Whether the event is new.
async fn insert(
    db: &mut PgConnection,
    event: &EventEnvelope,
    source: &str,
    (state, why): (EventState, Option<&str>),
) -> Result<bool> {
    let inserted = sqlx::query(
        "insert into stripe_inbox (event_id, kind, object, object_id, created, livemode,
             api_version, payload, source, state, error, settled_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
             case when $10 = 'waiting' then null else clock_timestamp() end)
         on conflict (event_id) do nothing",
    )
    .bind(&event.id)
    .bind(&event.kind)
    .bind(&event.object_type)
    .bind(object_of(event))
    .bind(event.created)
    .bind(event.livemode)
    .bind(&event.api_version)
    .bind(what_is_needed(event).to_string())
    .bind(source)
    .bind(state)
    .bind(why)
    .execute(db)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// One job for each object, and one at a time: many events of an object need one look at it.
pub(super) async fn enqueue(db: &mut PgConnection, object: &str) -> Result<()> {
    Ok(Job::about(SETTLE_OBJECT, object).enqueue(db).await?)
}

/// What is Stripe's and cannot be understood is kept for somebody to look at: never dropped.
pub(super) async fn bury(
    app: &App,
    body: &[u8],
    source: &str,
    malformed: &Malformed,
) -> Result<()> {
    let id = format!("malformed_{}", hex(&Sha256::digest(body)[..16]));
    error!(id, field = malformed.field, "an event of Stripe's cannot be understood: it is kept");
    sqlx::query(
        "insert into stripe_inbox (event_id, kind, object, object_id, created, livemode, payload,
             source, state, error, settled_at)
         values ($1, 'unknown', 'unknown', '', $2, false, $3, $4, 'dead', $5, clock_timestamp())
         on conflict (event_id) do nothing",
    )
    .bind(id)
    .bind(clock::now())
    .bind(String::from_utf8_lossy(body))
    .bind(source)
    .bind(malformed.to_string())
    .execute(app.db())
    .await?;
    Ok(())
}

/// Of an event, what says which object is to be read. The rest is personal data of who pays, and is
/// not kept.
fn what_is_needed(event: &EventEnvelope) -> Value {
    let object = &event.object;
    json!({
        "id": event.id, "type": event.kind, "created": event.created.timestamp(),
        "livemode": event.livemode, "api_version": event.api_version, "account": event.account,
        "data": { "object": {
            "id": event.object_id, "object": event.object_type,
            "payment_intent": object.get("payment_intent").and_then(id_of),
            "charge": object.get("charge").and_then(id_of),
        } },
    })
}

/// An object's id, where it stands as itself or as its id.
fn id_of(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value.get("id")?.as_str()).map(str::to_owned)
}
