//! Who has an account.

use aggregates::event::Event;
use aggregates::id::UserId;
use aggregates::user::UserEvent;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::journal::Recorded;
use crate::projector::Projection;

/// Follows the log into `users`.
pub struct Users;

/// A person with an account.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct UserRow {
    /// The person.
    pub user_id: Uuid,
    /// Where the person is reached; none once erased.
    pub email: Option<String>,
    /// The person's name, where there is one.
    pub name: Option<String>,
    /// Since when.
    pub registered_at: DateTime<Utc>,
    /// When the person last signed in.
    pub last_seen_at: DateTime<Utc>,
}

impl Projection for Users {
    fn name(&self) -> &'static str {
        "users"
    }

    fn project<'a>(
        &'a self,
        db: &'a mut PgConnection,
        recorded: &'a [Recorded],
    ) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            // Sign-ups and sign-ins are few beside spends: one statement each.
            for recorded in recorded {
                if let Event::User(event) = &recorded.event {
                    follow(db, recorded.aggregate_id, event).await?;
                }
            }
            Ok(())
        })
    }
}

async fn follow(db: &mut PgConnection, user: Uuid, event: &UserEvent) -> sqlx::Result<()> {
    match event {
        UserEvent::Registered { email, name, at, .. } => {
            sqlx::query(
                "insert into users (user_id, email, name, registered_at, last_seen_at)
                 values ($1, $2, $3, $4, $4)",
            )
            .bind(user)
            .bind(email.as_clear())
            .bind(name.as_clear().cloned().flatten())
            .bind(at)
            .execute(db)
            .await?
        }
        UserEvent::ProfileChanged { name, .. } => {
            sqlx::query("update users set name = $2 where user_id = $1")
                .bind(user)
                .bind(name.as_clear().cloned().flatten())
                .execute(db)
                .await?
        }
        UserEvent::SessionStarted { at, .. } => {
            sqlx::query("update users set last_seen_at = $2 where user_id = $1")
                .bind(user)
                .bind(at)
                .execute(db)
                .await?
        }
    };
    Ok(())
}

/// The person with this id.
pub async fn by_id(db: &PgPool, user: UserId) -> sqlx::Result<Option<UserRow>> {
    sqlx::query_as(
        "select user_id, email, name, registered_at, last_seen_at from users where user_id = $1",
    )
    .bind(user.0)
    .fetch_optional(db)
    .await
}
