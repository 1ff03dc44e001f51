//! Sending what waits for an endpoint: a few at once, by leases that end by themselves, since neither a
//! row nor a connection may wait for a receiver. So nobody's slowness is anybody else's.

use aggregates::id::EndpointId;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;

use super::deliveries::wake;
use super::endpoints::{Row, Sealed, lock};
use super::verdicts::{Due, record};
use crate::app::App;
use crate::clients::webhooks::Message;
use crate::clock;
use crate::error::Result;

/// Webhooks that are sent to one endpoint at once.
const AT_ONCE: i64 = 3;
/// How long a lease lasts: longer than a receiver may take, and than it takes to write that down.
const LEASED: TimeDelta = TimeDelta::seconds(30);

/// Sends what is due, and sees to it that somebody comes back for the rest.
pub async fn send(app: &App, id: EndpointId) -> Result<()> {
    let Some((endpoint, due)) = claim(app, id).await? else { return Ok(()) };
    // Whoever was erased meanwhile has none.
    let Some(kept) = endpoint.open(app).await? else { return Ok(()) };
    let tried = join_all(due.iter().map(|due| attempt(app, &endpoint, &kept, due))).await;
    come_back(app, id).await?;
    tried.into_iter().collect()
}

/// Takes some of what is due; none where nothing is sent to the endpoint any more.
async fn claim(app: &App, id: EndpointId) -> Result<Option<(Row, Vec<Due>)>> {
    let now = clock::now();
    let mut tx = app.db().begin().await?;
    let Some(endpoint) = lock(&mut tx, id).await?.filter(|row| row.enabled) else {
        return Ok(None);
    };
    let due: Vec<Due> = sqlx::query_as(
        "update webhook_deliveries set leased_until = $3
         where delivery_id in (
             select delivery_id from webhook_deliveries
             where endpoint_id = $1 and state = 'waiting' and next_at <= $2
               and (leased_until is null or leased_until <= $2)
             order by next_at, number
             limit greatest($4 - (select count(*) from webhook_deliveries
                 where endpoint_id = $1 and state = 'waiting' and leased_until > $2), 0))
         returning delivery_id, body, tries, attempts, asked_by",
    )
    .bind(id.0)
    .bind(now)
    .bind(now + LEASED)
    .bind(AT_ONCE)
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some((endpoint, due)))
}

async fn attempt(app: &App, endpoint: &Row, kept: &Sealed, due: &Due) -> Result<()> {
    let now = clock::now();
    let message = Message {
        url: &kept.url,
        id: due.delivery_id,
        timestamp: now.timestamp(),
        body: &due.body,
        secrets: &kept.good_at(now),
    };
    let sent = app.webhooks.send(message).await;
    record(app, endpoint, kept, due, &sent).await
}

/// Has somebody come back when something is due, or, where as many are being sent as may be, when one
/// that died would have ended. Who writes a webhook holds the endpoint against its lock, so that it is
/// seen here, or wakes somebody afterwards.
async fn come_back(app: &App, id: EndpointId) -> Result<()> {
    let mut tx = app.db().begin().await?;
    if lock(&mut tx, id).await?.is_none_or(|row| !row.enabled) {
        return Ok(());
    }
    let at: Option<DateTime<Utc>> = sqlx::query_scalar(
        "select case when count(*) filter (where leased_until > $2) < $3
             then min(greatest(next_at, leased_until))
             else min(leased_until) filter (where leased_until > $2) end
         from webhook_deliveries where endpoint_id = $1 and state = 'waiting'",
    )
    .bind(id.0)
    .bind(clock::now())
    .bind(AT_ONCE)
    .fetch_one(&mut *tx)
    .await?;
    if let Some(at) = at {
        wake(&mut tx, id, Some(at)).await?;
    }
    Ok(tx.commit().await?)
}
