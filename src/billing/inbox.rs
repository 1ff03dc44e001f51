//! What Stripe tells: kept before it is answered, each event once, and worked off object by object.

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{FromRow, PgConnection};
use tracing::{error, warn};
use utoipa::ToSchema;

use super::{freezing, settle, stripe, subscriptions};
use crate::app::App;
use crate::clients::stripe::webhook::{self, Rejected};
use crate::clients::stripe::{EventEnvelope, Malformed};
use crate::clock;
use crate::error::{Problem, Result};
use crate::queue::{Job, MOST_ABOUT, SETTLE_OBJECT};
use crate::store::hex;

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
    /// `waiting`, `done`, `ignored`, `quarantined` or `dead`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// Why it failed last.
    pub error: Option<String>,
    /// Since when it is here.
    pub received_at: DateTime<Utc>,
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
    let live = stripe(app)?.is_live();
    let object = event.object_id.as_deref().unwrap_or_default();
    let (state, error) = match work_of(&event.kind, event) {
        _ if event.livemode != live || event.account.is_some() => ("quarantined", None),
        Ok(Some(_)) => ("waiting", None),
        Ok(None) => ("ignored", None),
        Err(malformed) => ("dead", Some(malformed.to_string())),
    };
    let mut unit = app.db().begin().await?;
    let new = insert(&mut unit, event, source, (state, error.as_deref())).await?;
    match state {
        "waiting" if new => enqueue(&mut unit, object).await?,
        "quarantined" if new => {
            error!(event.id, event.kind, "an event of Stripe's is of another mode or account");
        }
        "dead" if new => {
            error!(
                event.id,
                event.kind, error, "an event of Stripe's does not say what it is about"
            );
        }
        _ => {}
    }
    unit.commit().await?;
    Ok(())
}

/// Whether the event is new.
async fn insert(
    db: &mut PgConnection,
    event: &EventEnvelope,
    source: &str,
    (state, error): (&str, Option<&str>),
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
    .bind(event.object_id.as_deref().unwrap_or_default())
    .bind(event.created)
    .bind(event.livemode)
    .bind(&event.api_version)
    .bind(what_is_needed(event).to_string())
    .bind(source)
    .bind(state)
    .bind(error)
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
        "livemode": event.livemode, "api_version": event.api_version,
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

/// What an event makes us look at.
enum Work {
    Checkout(String),
    Payment(String),
    Charge(String),
    Subscription(String),
    Invoice(String),
    /// The charge that a bank warns of.
    Warning(String),
}

impl Work {
    /// Brings what it names to what it is at Stripe now.
    async fn look(self, app: &App) -> Result<()> {
        match self {
            Self::Checkout(session) => settle::checkout(app, &session).await,
            Self::Payment(intent) => settle::payment(app, &intent).await,
            Self::Charge(charge) => settle::charge(app, &charge).await,
            Self::Subscription(id) => subscriptions::settle(app, &id).await,
            Self::Invoice(invoice) => subscriptions::invoice(app, &invoice).await,
            Self::Warning(charge) => freezing::warned(app, &charge).await,
        }
    }
}

/// What of invoices brings news: drafts do not, and `invoice.payment_succeeded` says again what
/// `invoice.paid` has said.
const OF_INVOICES: [&str; 6] = [
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.voided",
];

/// The object that is to be read; none for what does not concern us. What does must name it.
fn work_of(kind: &str, event: &EventEnvelope) -> Result<Option<Work>, Malformed> {
    let text = |field: &str| event.object.get(field).and_then(id_of);
    let own = || event.object_id.clone().ok_or_else(|| missing("id"));
    Ok(Some(match kind.split('.').next().unwrap_or_default() {
        "checkout" => Work::Checkout(own()?),
        "customer" if event.object_type == "subscription" => Work::Subscription(own()?),
        "invoice" if OF_INVOICES.contains(&kind) => Work::Invoice(own()?),
        "payment_intent" => Work::Payment(own()?),
        "radar" if kind == "radar.early_fraud_warning.created" => {
            Work::Warning(text("charge").ok_or_else(|| missing("charge"))?)
        }
        "charge" | "refund" => match text("payment_intent") {
            Some(intent) => Work::Payment(intent),
            None if event.object_type == "charge" => Work::Charge(own()?),
            None => Work::Charge(text("charge").ok_or_else(|| missing("charge"))?),
        },
        _ => return Ok(None),
    }))
}

/// What an event lacks in its object.
fn missing(field: &str) -> Malformed {
    Malformed { field: format!("data.object.{field}") }
}

/// The work of events of one object: there is one thing to look at, and one of them names it.
fn work_in(waiting: &[(String, String)]) -> Result<Option<Work>, Malformed> {
    let mut nothing = Ok(None);
    for (_, payload) in waiting {
        let event = EventEnvelope::read(payload.as_bytes());
        match event.and_then(|event| work_of(&event.kind, &event)) {
            Ok(None) => {}
            Ok(work) => return Ok(work),
            Err(malformed) => nothing = Err(malformed),
        }
    }
    nothing
}

/// Works off what was told of an object: one look at what it is now settles all that waits. An error
/// is tried again by the queue.
pub async fn settle(app: &App, object: &str) -> Result<()> {
    let waiting: Vec<(String, String)> = sqlx::query_as(
        "update stripe_inbox set attempts = attempts + 1
         where object_id = $1 and state = 'waiting' returning event_id, payload",
    )
    .bind(object)
    .fetch_all(app.db())
    .await?;
    if waiting.is_empty() {
        return Ok(());
    }
    let settled = match work_in(&waiting) {
        Ok(Some(work)) => work.look(app).await,
        Ok(None) => Ok(()),
        Err(malformed) => Err(Problem::failed(malformed)),
    };
    let ids: Vec<String> = waiting.into_iter().map(|(id, _)| id).collect();
    note(app, object, &ids, settled.as_ref().err()).await?;
    settled
}

/// Notes what became of these events of an object: settled, to be tried again, or given up.
async fn note(app: &App, object: &str, ids: &[String], failed: Option<&Problem>) -> Result<()> {
    let error = failed.map(|problem| problem.cause.as_ref().unwrap_or(&problem.detail));
    if let Some(error) = error {
        warn!(object, error, "what Stripe told could not be settled; it is tried again");
    }
    let dead: Vec<String> = sqlx::query_scalar(
        "with noted as (
             update stripe_inbox
             set state = case when $2::text is null then 'done' when attempts >= $3 then 'dead'
                     else state end,
                 error = $2, settled_at = case when $2::text is null then clock_timestamp() end
             where event_id = any($1) and state = 'waiting'
             returning event_id, state)
         select event_id from noted where state = 'dead'",
    )
    .bind(ids)
    .bind(error)
    .bind(MOST_ABOUT)
    .fetch_all(app.db())
    .await?;
    if !dead.is_empty() {
        error!(object, events = ?dead, "what Stripe told is given up: it waits for somebody");
    }
    Ok(())
}

/// The newest events, from before `cursor`.
pub async fn list(app: &App, cursor: Option<&str>, limit: i64) -> Result<Vec<EventRow>> {
    let rows = sqlx::query_as(
        "select event_id, kind, object_id, source, state, attempts, error, received_at
         from stripe_inbox
         where $1::text is null or (received_at, event_id) <
             (select received_at, event_id from stripe_inbox where event_id = $1)
         order by received_at desc, event_id desc limit $2",
    );
    Ok(rows.bind(cursor).bind(limit).fetch_all(app.db()).await?)
}

/// Has an event worked off again, whatever became of it.
pub async fn replay(app: &App, event: &str) -> Result<()> {
    let mut unit = app.db().begin().await?;
    let object: Option<String> = sqlx::query_scalar(
        "update stripe_inbox
         set state = 'waiting', source = 'replayed', attempts = 0, error = null, settled_at = null
         where event_id = $1 and object_id <> '' and state <> 'quarantined' returning object_id",
    )
    .bind(event)
    .fetch_optional(&mut *unit)
    .await?;
    enqueue(&mut unit, &object.ok_or_else(Problem::not_found)?).await?;
    unit.commit().await?;
    Ok(())
}
