//! Messages that nobody was configured to send, kept for whoever develops.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

/// A message, as it would have been sent.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
#[schema(as = SentMessage)]
pub struct Message {
    /// Its id.
    pub id: Uuid,
    /// `email` or `sms`.
    pub channel: String,
    /// Whom to.
    pub sent_to: String,
    /// Of a letter.
    pub subject: String,
    /// What it says.
    pub text: String,
    /// When it would have been sent.
    pub sent_at: DateTime<Utc>,
}

impl Message {
    /// Keeps it, once.
    pub async fn keep(&self, pool: &PgPool) -> sqlx::Result<()> {
        sqlx::query(
            "insert into dev_inbox (message_id, channel, sent_to, subject, text, sent_at)
             values ($1, $2, $3, $4, $5, $6) on conflict (message_id) do nothing",
        )
        .bind(self.id)
        .bind(&self.channel)
        .bind(&self.sent_to)
        .bind(&self.subject)
        .bind(&self.text)
        .bind(self.sent_at)
        .execute(pool)
        .await
        .map(drop)
    }
}

/// The newest hundred, the newest first.
pub async fn newest(pool: &PgPool) -> sqlx::Result<Vec<Message>> {
    sqlx::query_as(
        "select message_id as id, channel, sent_to, subject, text, sent_at from dev_inbox
         order by sent_at desc, message_id limit 100",
    )
    .fetch_all(pool)
    .await
}
