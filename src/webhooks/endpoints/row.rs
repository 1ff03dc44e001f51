//! Endpoints as they are kept.

use aggregates::id::{EndpointId, UserId};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgExecutor};
use uuid::Uuid;

use super::Endpoint;
use super::sealed::{Sealed, place};
use crate::app::App;
use crate::error::{Problem, Result};

/// An endpoint as it is kept.
#[derive(FromRow)]
pub(in crate::webhooks) struct Row {
    pub(in crate::webhooks) endpoint_id: Uuid,
    pub(in crate::webhooks) user_id: Uuid,
    sealed: String,
    events: Vec<String>,
    low_balance_threshold: i64,
    pub(in crate::webhooks) enabled: bool,
    disabled_reason: Option<String>,
    pub(in crate::webhooks) failing_since: Option<DateTime<Utc>>,
    pub(super) request_hash: Option<String>,
    created_at: DateTime<Utc>,
}

/// The person's endpoint, where there is one.
pub(super) async fn find(
    db: impl PgExecutor<'_>,
    user: UserId,
    id: EndpointId,
) -> sqlx::Result<Option<Row>> {
    sqlx::query_as("select * from webhook_endpoints where endpoint_id = $1 and user_id = $2")
        .bind(id.0)
        .bind(user.0)
        .fetch_optional(db)
        .await
}

/// The person's endpoint, which nobody else changes, or writes webhooks for, until the end of the
/// transaction.
pub(in crate::webhooks) async fn locked(
    db: &mut PgConnection,
    user: UserId,
    id: EndpointId,
) -> Result<Row> {
    let row = lock(db, id).await?.filter(|row| row.user_id == user.0);
    row.ok_or_else(Problem::not_found)
}

/// The same of whoever's; none when it is gone.
pub(in crate::webhooks) async fn lock(
    db: &mut PgConnection,
    id: EndpointId,
) -> sqlx::Result<Option<Row>> {
    sqlx::query_as("select * from webhook_endpoints where endpoint_id = $1 for update")
        .bind(id.0)
        .fetch_optional(db)
        .await
}

impl Row {
    /// What is encrypted; none when the person was erased.
    pub(in crate::webhooks) async fn open(&self, app: &App) -> Result<Option<Sealed>> {
        let (user, place) = (UserId(self.user_id), place(EndpointId(self.endpoint_id)));
        let opened = app.store.codec().open_value(user, &place, &self.sealed).await;
        opened.map_err(Problem::failed)
    }

    /// As its owner sees it.
    pub(super) fn told(&self, kept: &Sealed) -> Result<Endpoint> {
        let events = serde_json::from_value(serde_json::json!(self.events));
        Ok(Endpoint {
            id: EndpointId(self.endpoint_id),
            url: kept.url.clone(),
            events: events.map_err(Problem::failed)?,
            description: kept.description.clone(),
            low_balance_threshold: self.low_balance_threshold,
            enabled: self.enabled,
            disabled_reason: self.disabled_reason.clone(),
            failing_since: self.failing_since,
            created_at: self.created_at,
        })
    }
}
