//! What is sent to an endpoint, and what became of it.

use aggregates::id::{DeliveryId, EndpointId, UserId};
use axum::http::StatusCode;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{FromRow, PgConnection};
use utoipa::ToSchema;
use uuid::Uuid;

use super::endpoints::{self, Row};
use super::event_type::TEST;
use super::verdicts::{self, Attempt};
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::queue::{Job, SEND_WEBHOOKS};

/// A webhook, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookDelivery {
    /// Its id, which receivers get as `webhook-id`.
    #[schema(value_type = Uuid)]
    pub id: DeliveryId,
    /// What it tells of.
    #[serde(rename = "type")]
    #[schema(example = "wallet.low_balance")]
    pub event_type: String,
    /// `waiting`, `delivered` or `failed` (it is tried no more).
    #[schema(example = "delivered")]
    pub state: String,
    /// What is sent.
    #[schema(value_type = Object)]
    pub payload: Value,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it is tried next.
    pub next_at: Option<DateTime<Utc>>,
    /// The last twenty tries, the oldest first.
    pub attempts: Vec<Attempt>,
    /// What the next page begins after.
    #[serde(skip)]
    pub number: i64,
}

#[derive(FromRow)]
struct Listed {
    delivery_id: Uuid,
    number: i64,
    event_type: String,
    body: String,
    state: String,
    created_at: DateTime<Utc>,
    next_at: Option<DateTime<Utc>>,
}

/// A webhook that is to be written.
pub(super) struct New {
    pub(super) id: Uuid,
    pub(super) endpoint: EndpointId,
    pub(super) event_type: &'static str,
    pub(super) at: DateTime<Utc>,
    pub(super) data: Value,
    /// Of what it is, where that is told once.
    pub(super) grant: Option<Uuid>,
}

#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "type")]
    event_type: &'static str,
    timestamp: String,
    data: &'a Value,
}

impl New {
    /// Writes it, unless it was written before, or the endpoint is gone or turned off meanwhile.
    pub(super) async fn write(&self, db: &mut PgConnection) -> Result<bool> {
        let timestamp = self.at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let body = Payload { event_type: self.event_type, timestamp, data: &self.data };
        let written = sqlx::query(
            "insert into webhook_deliveries (delivery_id, endpoint_id, event_type, body, grant_id,
                 next_at, created_at)
             select $1, endpoint_id, $3, $4, $5, $6, $6
             from webhook_endpoints where endpoint_id = $2 and enabled for key share
             on conflict do nothing",
        )
        .bind(self.id)
        .bind(self.endpoint.0)
        .bind(self.event_type)
        .bind(serde_json::to_string(&body).map_err(Problem::failed)?)
        .bind(self.grant)
        .bind(clock::now())
        .execute(db)
        .await?;
        Ok(written.rows_affected() == 1)
    }
}

/// Has somebody send what waits for the endpoint, now or at a time.
pub(super) async fn wake(
    db: &mut PgConnection,
    endpoint: EndpointId,
    at: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    Job::unordered(SEND_WEBHOOKS, &endpoint.to_string()).enqueue_for(db, at).await
}

/// Tries what waits for the endpoint no more.
pub(super) async fn give_up_all(db: &mut PgConnection, endpoint: EndpointId) -> sqlx::Result<()> {
    sqlx::query(
        "update webhook_deliveries set state = 'failed', next_at = null
         where endpoint_id = $1 and state = 'waiting'",
    )
    .bind(endpoint.0)
    .execute(db)
    .await
    .map(drop)
}

/// What was sent to an endpoint of the person's, the newest first, from before `before`.
pub async fn list(
    app: &App,
    user: UserId,
    endpoint: EndpointId,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<WebhookDelivery>> {
    endpoints::one(app, user, endpoint).await?;
    let rows: Vec<Listed> = sqlx::query_as(
        "select delivery_id, number, event_type, body, state, created_at, next_at
         from webhook_deliveries
         where endpoint_id = $1 and number < coalesce($2, 9223372036854775807)
         order by number desc limit $3",
    )
    .bind(endpoint.0)
    .bind(before)
    .bind(limit)
    .fetch_all(app.db())
    .await?;
    let ids: Vec<_> = rows.iter().map(|row| row.delivery_id).collect();
    let mut attempts = verdicts::attempts(app, user, &ids).await?;
    let told = rows.into_iter().map(|row| {
        let attempts = attempts.remove(&row.delivery_id).unwrap_or_default();
        row.told(attempts)
    });
    told.collect()
}

async fn one(app: &App, user: UserId, id: DeliveryId) -> Result<WebhookDelivery> {
    let row: Listed = sqlx::query_as(
        "select delivery_id, number, event_type, body, state, created_at, next_at
         from webhook_deliveries where delivery_id = $1",
    )
    .bind(id.0)
    .fetch_optional(app.db())
    .await?
    .ok_or_else(Problem::not_found)?;
    let mut attempts = verdicts::attempts(app, user, &[id.0]).await?;
    row.told(attempts.remove(&id.0).unwrap_or_default())
}

impl Listed {
    fn told(self, attempts: Vec<Attempt>) -> Result<WebhookDelivery> {
        Ok(WebhookDelivery {
            id: DeliveryId(self.delivery_id),
            event_type: self.event_type,
            state: self.state,
            payload: serde_json::from_str(&self.body).map_err(Problem::failed)?,
            created_at: self.created_at,
            next_at: self.next_at,
            attempts,
            number: self.number,
        })
    }
}

/// Sends an example, once for a request; and whether that was before.
pub async fn test(
    app: &App,
    user: UserId,
    endpoint: EndpointId,
    by: Uuid,
) -> Result<(WebhookDelivery, bool)> {
    let mut tx = app.db().begin().await?;
    listening(&endpoints::locked(&mut tx, user, endpoint).await?)?;
    let data = json!({ "endpoint_id": endpoint });
    let new = New { id: by, endpoint, event_type: TEST, at: clock::now(), data, grant: None };
    let is_new = new.write(&mut tx).await?;
    if is_new {
        wake(&mut tx, endpoint, None).await?;
    }
    tx.commit().await?;
    Ok((one(app, user, DeliveryId(by)).await?, !is_new))
}

/// Sends a webhook once more, with all the tries that a new one has, once for a request; and whether
/// that was before.
pub async fn redeliver(
    app: &App,
    user: UserId,
    endpoint: EndpointId,
    delivery: DeliveryId,
    by: Uuid,
) -> Result<(WebhookDelivery, bool)> {
    let mut tx = app.db().begin().await?;
    let row = endpoints::locked(&mut tx, user, endpoint).await?;
    let replayed: Option<bool> = sqlx::query_scalar(
        "select exists (
             select from webhook_redeliveries r
             where r.delivery_id = d.delivery_id and r.request_id = $3)
         from webhook_deliveries d where delivery_id = $1 and endpoint_id = $2
         for update",
    )
    .bind(delivery.0)
    .bind(endpoint.0)
    .bind(by)
    .fetch_optional(&mut *tx)
    .await?;
    let replayed = replayed.ok_or_else(Problem::not_found)?;
    if !replayed {
        listening(&row)?;
        sqlx::query(
            "with asked as (
                 insert into webhook_redeliveries (delivery_id, request_id) values ($1, $3))
             update webhook_deliveries set state = 'waiting', tries = 0, next_at = $2, asked_by = $3
             where delivery_id = $1",
        )
        .bind(delivery.0)
        .bind(clock::now())
        .bind(by)
        .execute(&mut *tx)
        .await?;
        wake(&mut tx, endpoint, None).await?;
    }
    tx.commit().await?;
    Ok((one(app, user, delivery).await?, replayed))
}

/// 409 where nothing is sent.
fn listening(row: &Row) -> Result<()> {
    if row.enabled {
        return Ok(());
    }
    let detail = "nothing is sent to an endpoint that is turned off: enable it first";
    Err(Problem::new(StatusCode::CONFLICT, "endpoint_disabled", detail))
}
