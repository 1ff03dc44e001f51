//! Who has an account.

use std::collections::BTreeMap;
use std::sync::Arc;

use aggregates::event::Event;
use aggregates::id::UserId;
use aggregates::user::{Role, UserEvent};
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
    /// Where the person is reached; none where only a telephone is known, and once erased.
    pub email: Option<String>,
    /// Whether the person has proved to be reached there.
    pub email_verified: bool,
    /// The person's telephone, proven; none where there is none, and once erased.
    pub phone: Option<String>,
    /// The person's name, where there is one.
    pub name: Option<String>,
    /// `user` or `admin`.
    pub role: String,
    /// `active`, `deactivated` or `erased`.
    pub status: String,
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

/// A person after the batch; what is none stays as it was.
#[derive(Default)]
struct Change {
    registered_at: Option<DateTime<Utc>>,
    email: Text,
    email_verified: Option<bool>,
    phone: Text,
    name: Text,
    role: Option<Role>,
    status: Option<&'static str>,
    seen_at: Option<DateTime<Utc>>,
}

/// What a text is after the batch.
#[derive(Clone, Default)]
enum Text {
    /// As it was.
    #[default]
    Unchanged,
    /// This, or none.
    Now(Option<String>),
}

impl Text {
    fn has_changed(&self) -> bool {
        matches!(self, Self::Now(_))
    }

    fn now(&self) -> Option<String> {
        match self {
            Self::Now(text) => text.clone(),
            Self::Unchanged => None,
        }
    }
}

impl Change {
    fn follow(&mut self, event: &UserEvent) {
        match event {
            UserEvent::Registered { email, name, at, .. } => {
                (self.registered_at, self.seen_at) = (Some(*at), Some(*at));
                self.email = Text::Now(email.as_clear().cloned().flatten());
                self.name = Text::Now(name.as_clear().cloned().flatten());
                self.status = Some(ACTIVE);
            }
            UserEvent::ProfileChanged { name, .. } => {
                self.name = Text::Now(name.as_clear().cloned().flatten());
            }
            UserEvent::EmailVerified { email, .. } => {
                self.email = Text::Now(email.as_clear().cloned());
                self.email_verified = Some(true);
            }
            UserEvent::PhoneVerified { phone, .. } => {
                self.phone = Text::Now(phone.as_clear().cloned());
            }
            UserEvent::SessionStarted { at, .. } => self.seen_at = Some(*at),
            UserEvent::RoleChanged { role, .. } => self.role = Some(*role),
            UserEvent::Deactivated { .. } => self.status = Some("deactivated"),
            UserEvent::Reactivated { .. } => self.status = Some(ACTIVE),
            UserEvent::Erased { .. } => {
                (self.email, self.phone, self.name) =
                    (Text::Now(None), Text::Now(None), Text::Now(None));
                (self.email_verified, self.role) = (Some(false), Some(Role::User));
                self.status = Some("erased");
            }
            UserEvent::TakenOver { .. } => {
                (self.phone, self.role) = (Text::Now(None), Some(Role::User));
            }
            UserEvent::PasswordSet { .. }
            | UserEvent::IdentityLinked { .. }
            | UserEvent::IdentityUnlinked { .. }
            | UserEvent::SessionsEnded { .. }
            | UserEvent::ApiKeyCreated { .. }
            | UserEvent::ApiKeyRevoked { .. } => {}
        }
    }
}

const ACTIVE: &str = "active";

async fn insert(db: &mut PgConnection, rows: &[(Uuid, Change)]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into users (user_id, email, email_verified, phone, name, role, status,
             registered_at, last_seen_at)
         select * from unnest($1::uuid[], $2::text[], $3::boolean[], $4::text[], $5::text[],
             $6::text[], $7::text[], $8::timestamptz[], $9::timestamptz[])",
    )
    .bind(column(rows, |(id, _)| *id))
    .bind(column(rows, |(_, user)| user.email.now()))
    .bind(column(rows, |(_, user)| user.email_verified.unwrap_or_default()))
    .bind(column(rows, |(_, user)| user.phone.now()))
    .bind(column(rows, |(_, user)| user.name.now()))
    .bind(column(rows, |(_, user)| user.role.unwrap_or_default().name()))
    .bind(column(rows, |(_, user)| user.status))
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
         set email = case when n.readdressed then n.email else u.email end,
             email_verified = coalesce(n.email_verified, u.email_verified),
             phone = case when n.rephoned then n.phone else u.phone end,
             name = case when n.renamed then n.name else u.name end,
             role = coalesce(n.role, u.role),
             status = coalesce(n.status, u.status),
             last_seen_at = coalesce(n.seen_at, u.last_seen_at)
         from unnest($1::uuid[], $2::boolean[], $3::text[], $4::boolean[], $5::boolean[],
                 $6::text[], $7::boolean[], $8::text[], $9::text[], $10::text[],
                 $11::timestamptz[])
             as n (user_id, readdressed, email, email_verified, rephoned, phone, renamed, name,
                 role, status, seen_at)
         where u.user_id = n.user_id",
    )
    .bind(column(rows, |(id, _)| *id))
    .bind(column(rows, |(_, user)| user.email.has_changed()))
    .bind(column(rows, |(_, user)| user.email.now()))
    .bind(column(rows, |(_, user)| user.email_verified))
    .bind(column(rows, |(_, user)| user.phone.has_changed()))
    .bind(column(rows, |(_, user)| user.phone.now()))
    .bind(column(rows, |(_, user)| user.name.has_changed()))
    .bind(column(rows, |(_, user)| user.name.now()))
    .bind(column(rows, |(_, user)| user.role.map(Role::name)))
    .bind(column(rows, |(_, user)| user.status))
    .bind(column(rows, |(_, user)| user.seen_at))
    .execute(db)
    .await?;
    all_of(rows.len(), done.rows_affected())
}

/// The person with this id.
pub async fn by_id(db: &PgPool, user: UserId) -> sqlx::Result<Option<UserRow>> {
    sqlx::query_as(
        "select user_id, email, email_verified, phone, name, role, status, registered_at,
             last_seen_at
         from users where user_id = $1",
    )
    .bind(user.0)
    .fetch_optional(db)
    .await
}

/// Which people; all of them, where nothing is named.
#[derive(Clone, Copy, Debug, Default)]
pub struct Which {
    /// `user` or `admin`.
    pub role: Option<&'static str>,
    /// `active`, `deactivated` or `erased`.
    pub status: Option<&'static str>,
}

/// People with an account, who registered last first, from before `before`: ids tell the time.
pub async fn newest(
    db: &PgPool,
    which: Which,
    before: Option<UserId>,
    limit: i64,
) -> sqlx::Result<Vec<UserRow>> {
    sqlx::query_as(
        "select user_id, email, email_verified, phone, name, role, status, registered_at,
             last_seen_at
         from users
         where ($1::text is null or role = $1) and ($2::text is null or status = $2)
             and ($3::uuid is null or user_id < $3)
         order by user_id desc limit $4",
    )
    .bind(which.role)
    .bind(which.status)
    .bind(before.map(|user| user.0))
    .bind(limit)
    .fetch_all(db)
    .await
}
