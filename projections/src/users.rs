//! Who has an account.

use std::collections::BTreeMap;
use std::sync::Arc;

use aggregates::event::Event;
use aggregates::id::UserId;
use aggregates::user::UserEvent;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::journal::Recorded;
use crate::projector::{Projection, all_of, column};

/// Follows the log into `users`.
pub struct Users;

/// A person with an account.
#[derive(Clone, PartialEq, Eq, FromRow)]
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

/// Personal data is never printed.
impl std::fmt::Debug for UserRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserRow").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

impl Projection for Users {
    fn name(&self) -> &'static str {
        "users"
    }

    fn streams(&self) -> &'static [&'static str] {
        &["user"]
    }

    fn project<'a>(
        &'a self,
        db: &'a mut PgConnection,
        recorded: &'a [Arc<Recorded>],
    ) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            let mut users: BTreeMap<Uuid, Change> = BTreeMap::new();
            for recorded in recorded {
                if let Event::User(event) = &recorded.event {
                    users.entry(recorded.aggregate_id).or_default().follow(event);
                }
            }
            let (new, known): (Vec<_>, Vec<_>) =
                users.into_iter().partition(|(_, user)| user.registered_at.is_some());
            insert(db, &new).await?;
            update(db, &known).await
        })
    }
}

/// A person after the batch; what is none stays as it was, but for the name of a renamed one.
#[derive(Default)]
struct Change {
    registered_at: Option<DateTime<Utc>>,
    email: Option<String>,
    renamed: bool,
    name: Option<String>,
    seen_at: Option<DateTime<Utc>>,
}

impl Change {
    fn follow(&mut self, event: &UserEvent) {
        match event {
            UserEvent::Registered { email, name, at, .. } => {
                (self.registered_at, self.seen_at) = (Some(*at), Some(*at));
                self.email = email.as_clear().cloned();
                self.name = name.as_clear().cloned().flatten();
            }
            UserEvent::ProfileChanged { name, .. } => {
                self.renamed = true;
                self.name = name.as_clear().cloned().flatten();
            }
            UserEvent::SessionStarted { at, .. } => self.seen_at = Some(*at),
        }
    }
}

async fn insert(db: &mut PgConnection, rows: &[(Uuid, Change)]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into users (user_id, email, name, registered_at, last_seen_at)
         select * from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[],
             $5::timestamptz[])",
    )
    .bind(column(rows, |(id, _)| *id))
    .bind(column(rows, |(_, user)| user.email.clone()))
    .bind(column(rows, |(_, user)| user.name.clone()))
    .bind(column(rows, |(_, user)| user.registered_at))
    .bind(column(rows, |(_, user)| user.seen_at))
    .execute(db)
    .await?;
    Ok(())
}

async fn update(db: &mut PgConnection, rows: &[(Uuid, Change)]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let done = sqlx::query(
        "update users u
         set name = case when n.renamed then n.name else u.name end,
             last_seen_at = coalesce(n.seen_at, u.last_seen_at)
         from unnest($1::uuid[], $2::boolean[], $3::text[], $4::timestamptz[])
             as n (user_id, renamed, name, seen_at)
         where u.user_id = n.user_id",
    )
    .bind(column(rows, |(id, _)| *id))
    .bind(column(rows, |(_, user)| user.renamed))
    .bind(column(rows, |(_, user)| user.name.clone()))
    .bind(column(rows, |(_, user)| user.seen_at))
    .execute(db)
    .await?;
    all_of(rows.len(), done.rows_affected())
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
