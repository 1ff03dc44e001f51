//! Messages that nobody was configured to send: for whoever develops, in `local` only.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::config::Environment;
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A message, as it would have been sent.
#[derive(Serialize, FromRow, ToSchema)]
struct Message {
    /// Its id.
    id: Uuid,
    /// `email` or `sms`.
    channel: String,
    /// Whom to.
    sent_to: String,
    /// Of a letter.
    subject: String,
    text: String,
    sent_at: DateTime<Utc>,
}

/// The newest hundred, the newest first.
#[derive(Serialize, ToSchema)]
struct Inbox {
    items: Vec<Message>,
    next_cursor: Option<String>,
}

/// Letters and text messages that were not sent, since nobody was configured to send them. Only in
/// the local environment.
#[utoipa::path(get, path = "/dev/inbox", tag = "system",
    responses((status = 200, body = Inbox), (status = 404, body = Problem)))]
async fn list(State(app): State<App>) -> Result<axum::Json<Inbox>> {
    if app.settings.environment != Environment::Local {
        return Err(Problem::not_found());
    }
    let items = sqlx::query_as(
        "select message_id as id, channel, sent_to, subject, text, sent_at from dev_inbox
         order by sent_at desc, message_id limit 100",
    )
    .fetch_all(app.db())
    .await?;
    Ok(axum::Json(Inbox { items, next_cursor: None }))
}
