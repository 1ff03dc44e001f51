//! Where customers' own systems listen: settings of a person's, by rows that only they see.

mod row;
mod sealed;

use aggregates::id::{EndpointId, UserId};
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::EventType;
use super::deliveries::give_up_all;
use crate::app::App;
use crate::clients::webhooks::Secret;
use crate::clock;
use crate::error::{Problem, Result};
use row::find;
pub(super) use row::{Row, lock, locked};
pub(super) use sealed::Sealed;
use sealed::seal;

/// Endpoints of one person: more than any system of theirs has parts that listen.
const MOST: i64 = 10;
/// How long the secret before is good beside a new one.
const BESIDE: TimeDelta = TimeDelta::hours(24);
/// For how long the request that made a secret is told it again.
const REPEATED: TimeDelta = TimeDelta::hours(24);

/// Where somebody listens.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Endpoint {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: EndpointId,
    /// Where webhooks are sent to.
    #[schema(example = "https://example.com/webhooks")]
    pub url: String,
    /// What it listens to; `*` is all.
    pub events: Vec<EventType>,
    /// What its owner calls it.
    pub description: Option<String>,
    /// `wallet.low_balance` is sent when less than this is available.
    #[schema(example = 10)]
    pub low_balance_threshold: i64,
    /// Whether anything is sent to it.
    pub enabled: bool,
    /// Why not: `asked`, `gone` (it answered 410) or `failing` (it took nothing for five days).
    #[schema(example = "gone")]
    pub disabled_reason: Option<String>,
    /// Since when it has taken nothing; none when it took what was sent last.
    pub failing_since: Option<DateTime<Utc>>,
    /// Since when it is there.
    pub created_at: DateTime<Utc>,
}

/// An endpoint as it is to be, checked.
pub struct Wanted {
    /// Where to.
    pub url: String,
    /// What of.
    pub events: Vec<EventType>,
    /// What its owner calls it.
    pub description: Option<String>,
    /// Below which a balance is low.
    pub low_balance_threshold: i64,
}

/// What changes of an endpoint; what is none stays.
pub struct Change {
    /// Where to.
    pub url: Option<String>,
    /// What of.
    pub events: Option<Vec<EventType>>,
    /// What its owner calls it; nothing, when empty.
    pub description: Option<String>,
    /// Whether anything is sent.
    pub enabled: Option<bool>,
    /// Below which a balance is low.
    pub low_balance_threshold: Option<i64>,
}

/// Which request asks: the same one again is answered the same.
pub struct Request {
    /// Its id.
    pub id: Uuid,
    /// What it asks, where it may be repeated.
    pub hash: Option<String>,
}

/// An endpoint with a secret that was made for it.
pub struct Opened {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The secret; none where the request is repeated later than a day after.
    pub secret: Option<Secret>,
    /// Whether it was made before.
    pub replayed: bool,
}

/// Makes an endpoint, once for a request. The person's key is locked meanwhile: two who make the last
/// one come one after the other, and whoever is being erased makes none.
pub async fn create(app: &App, user: UserId, wanted: Wanted, request: Request) -> Result<Opened> {
    let (id, now) = (EndpointId(request.id), clock::now());
    let secret = Secret::random().map_err(Problem::failed)?;
    let Wanted { url, events, description, low_balance_threshold } = wanted;
    let kept = Sealed::new(url, description, secret.clone(), request.id, now);
    // Before a connection is held, since the person's key may have to be read by another.
    let sealed = seal(app, user, id, &kept).await?;
    let mut tx = app.db().begin().await?;
    let person: Option<Uuid> = sqlx::query_scalar(
        "select user_id from person_keys where user_id = $1 and destroyed_at is null
         for no key update",
    )
    .bind(user.0)
    .fetch_optional(&mut *tx)
    .await?;
    person.ok_or_else(Problem::not_found)?;
    if let Some(row) = find(&mut *tx, user, id).await? {
        return again(app, row, &request).await;
    }
    let many = sqlx::query_scalar("select count(*) from webhook_endpoints where user_id = $1");
    let many: i64 = many.bind(user.0).fetch_one(&mut *tx).await?;
    if many >= MOST {
        let detail = format!("there are {MOST} endpoints already: delete one first");
        return Err(Problem::new(StatusCode::CONFLICT, "too_many_endpoints", detail));
    }
    sqlx::query(
        "insert into webhook_endpoints (endpoint_id, user_id, sealed, events, low_balance_threshold,
             after, request_hash, created_at)
         select $1, $2, $3, $4, $5, position, $6, $7 from log_head",
    )
    .bind(id.0)
    .bind(user.0)
    .bind(sealed)
    .bind(names(&events))
    .bind(low_balance_threshold)
    .bind(&request.hash)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    let endpoint = one(app, user, id).await?;
    Ok(Opened { endpoint, secret: Some(secret), replayed: false })
}

/// The answer to a request that was answered before.
async fn again(app: &App, row: Row, request: &Request) -> Result<Opened> {
    if row.request_hash != request.hash {
        return Err(Problem::key_reused());
    }
    let kept = row.open(app).await?.ok_or_else(Problem::not_found)?;
    let secret = kept.secret_by(request.id, clock::now() - REPEATED);
    Ok(Opened { endpoint: row.told(&kept)?, secret, replayed: true })
}

/// The person's endpoints, the newest first.
pub async fn list(app: &App, user: UserId) -> Result<Vec<Endpoint>> {
    let rows: Vec<Row> = sqlx::query_as(
        "select * from webhook_endpoints where user_id = $1
         order by created_at desc, endpoint_id desc",
    )
    .bind(user.0)
    .fetch_all(app.db())
    .await?;
    let mut endpoints = Vec::with_capacity(rows.len());
    for row in rows {
        // Who is being erased has none.
        if let Some(kept) = row.open(app).await? {
            endpoints.push(row.told(&kept)?);
        }
    }
    Ok(endpoints)
}

/// An endpoint of the person's; 404 where there is none.
pub async fn one(app: &App, user: UserId, id: EndpointId) -> Result<Endpoint> {
    let row = find(app.db(), user, id).await?.ok_or_else(Problem::not_found)?;
    let kept = row.open(app).await?.ok_or_else(Problem::not_found)?;
    row.told(&kept)
}

/// Changes an endpoint. What waits for one that is turned off is given up; where it is turned on again,
/// or is elsewhere, it has not failed yet, and of what was while it was off nothing is told. `may` is asked about the
/// endpoint as it is just before.
pub async fn change(
    app: &App,
    user: UserId,
    id: EndpointId,
    change: Change,
    may: impl FnOnce(&Endpoint) -> Result<()>,
) -> Result<Endpoint> {
    // Before a connection is held, since the person's key may have to be read by another.
    one(app, user, id).await?;
    let mut tx = app.db().begin().await?;
    let row = locked(&mut tx, user, id).await?;
    let mut kept = row.open(app).await?.ok_or_else(Problem::not_found)?;
    may(&row.told(&kept)?)?;
    let is_elsewhere = change.url.as_ref().is_some_and(|url| *url != kept.url);
    kept.url = change.url.unwrap_or(kept.url);
    kept.description = match change.description {
        Some(description) => Some(description).filter(|text| !text.is_empty()),
        None => kept.description,
    };
    let enabled = change.enabled.unwrap_or(row.enabled);
    sqlx::query(
        "update webhook_endpoints
         set sealed = $2, events = coalesce($3, events), enabled = $5,
             low_balance_threshold = coalesce($4, low_balance_threshold),
             after = case when $5 and not enabled then (select position from log_head) else after end,
             disabled_reason = case when not $5 then coalesce(disabled_reason, 'asked') end,
             failing_since = case when not $6 then failing_since end
         where endpoint_id = $1",
    )
    .bind(id.0)
    .bind(seal(app, user, id, &kept).await?)
    .bind(change.events.as_deref().map(names))
    .bind(change.low_balance_threshold)
    .bind(enabled)
    .bind(is_elsewhere || enabled && !row.enabled)
    .execute(&mut *tx)
    .await?;
    if !enabled {
        give_up_all(&mut tx, id).await?;
    }
    tx.commit().await?;
    one(app, user, id).await
}

/// Removes an endpoint, with what was sent to it.
pub async fn remove(app: &App, user: UserId, id: EndpointId) -> Result<()> {
    let removed =
        sqlx::query("delete from webhook_endpoints where endpoint_id = $1 and user_id = $2")
            .bind(id.0)
            .bind(user.0)
            .execute(app.db())
            .await?;
    if removed.rows_affected() == 0 { Err(Problem::not_found()) } else { Ok(()) }
}

/// Makes another secret, once for a request. The one before is good beside it for a day.
pub async fn rotate(app: &App, user: UserId, id: EndpointId, by: Uuid) -> Result<Opened> {
    // As above.
    one(app, user, id).await?;
    let now = clock::now();
    let mut tx = app.db().begin().await?;
    let row = locked(&mut tx, user, id).await?;
    let mut kept = row.open(app).await?.ok_or_else(Problem::not_found)?;
    if kept.knows(by) {
        let secret = kept.secret_by(by, now - REPEATED);
        return Ok(Opened { endpoint: row.told(&kept)?, secret, replayed: true });
    }
    let secret = Secret::random().map_err(Problem::failed)?;
    if !kept.rotate(secret.clone(), by, now, now + BESIDE) {
        let detail = "the secret was rotated too often: wait until an old one is good no more";
        return Err(Problem::new(StatusCode::CONFLICT, "too_many_secrets", detail));
    }
    sqlx::query("update webhook_endpoints set sealed = $2 where endpoint_id = $1")
        .bind(id.0)
        .bind(seal(app, user, id, &kept).await?)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Opened { endpoint: row.told(&kept)?, secret: Some(secret), replayed: false })
}

fn names(events: &[EventType]) -> Vec<&'static str> {
    events.iter().map(|event| event.name()).collect()
}
