//! Telling of grants before their time is over, while something can be done about it.

use std::collections::BTreeSet;

use aggregates::id::EndpointId;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::FromRow;
use uuid::Uuid;

use super::EventType;
use super::deliveries::{New, wake};
use crate::app::App;
use crate::clock;
use crate::error::Result;

/// How long before.
const BEFORE: TimeDelta = TimeDelta::days(3);
/// Webhooks of one round; the rest follows in the next, at once.
const ROUND: i64 = 200;

/// A grant that an endpoint is to be told of.
#[derive(FromRow)]
struct Expiring {
    endpoint_id: Uuid,
    wallet_id: Uuid,
    grant_id: Uuid,
    kind: String,
    granted: i64,
    remaining: i64,
    expires_at: DateTime<Utc>,
}

/// Writes webhooks of grants that will soon expire with something left, each once for an endpoint;
/// whether there may be more.
pub async fn tell_expiries(app: &App) -> Result<bool> {
    let now = clock::now();
    let expiring: Vec<Expiring> = sqlx::query_as(
        "select e.endpoint_id, g.wallet_id, g.grant_id, g.kind, g.granted, g.remaining, g.expires_at
         from webhook_endpoints e
         join grants g on g.wallet_id = e.user_id
         where e.enabled and e.events && array['*', $1] and g.live
           and g.expires_at > $2 and g.expires_at <= $3
           and not exists (select from webhook_deliveries d
               where d.endpoint_id = e.endpoint_id and d.grant_id = g.grant_id)
         order by g.expires_at limit $4",
    )
    .bind(EventType::GrantExpiring.name())
    .bind(now)
    .bind(now + BEFORE)
    .bind(ROUND)
    .fetch_all(app.db())
    .await?;
    let mut tx = app.db().begin().await?;
    let mut woken = BTreeSet::new();
    for grant in &expiring {
        if grant.written(now).write(&mut tx).await? {
            woken.insert(EndpointId(grant.endpoint_id));
        }
    }
    // In order, so that two who write at once do not wait for each other.
    for endpoint in woken {
        wake(&mut tx, endpoint, None).await?;
    }
    tx.commit().await?;
    Ok(i64::try_from(expiring.len()).is_ok_and(|count| count == ROUND))
}

impl Expiring {
    fn written(&self, at: DateTime<Utc>) -> New {
        let event_type = EventType::GrantExpiring.name();
        let name = format!("{}/{event_type}", self.grant_id);
        let data = json!({
            "wallet_id": self.wallet_id, "grant_id": self.grant_id, "kind": self.kind,
            "granted": self.granted, "remaining": self.remaining, "expires_at": self.expires_at,
        });
        New {
            id: Uuid::new_v5(&self.endpoint_id, name.as_bytes()),
            endpoint: EndpointId(self.endpoint_id),
            event_type,
            at,
            data,
            grant: Some(self.grant_id),
        }
    }
}
