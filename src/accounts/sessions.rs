//! Sessions: begun with a sign-in, kept alive by refresh tokens, ended once and everywhere.

use aggregates::id::{SessionId, UserId};
use aggregates::user::{self, EndReason, SignIn, UserCommand};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Visitor;
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::store::{CodecError, PersonKey, SideRow, seal_value_with};
use crate::tokens::{REFRESH_LASTS, RefreshToken};

/// How long a session lasts, however often it is refreshed (ASVS 5.0, 7.3.2).
const SESSION_LASTS: TimeDelta = TimeDelta::days(90);
/// For so long after a refresh the token before it is answered with the same: ten tabs that refresh
/// at once, or a client that lost the answer. Later it is a reuse.
const LEEWAY: TimeDelta = TimeDelta::seconds(10);

/// A session that begins.
pub struct Session {
    /// Its id.
    pub id: SessionId,
    user: UserId,
    now: DateTime<Utc>,
}

/// Where a session was begun: what its owner knows it by.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Origin {
    /// The `User-Agent` of the client.
    pub agent: Option<String>,
    /// The client's address in the network.
    pub address: Option<String>,
}

/// A session as its owner sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionRow {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: SessionId,
    /// Since when.
    pub started_at: DateTime<Utc>,
    /// When its tokens were last refreshed.
    pub last_used_at: DateTime<Utc>,
    /// When it ends by itself, unless it is refreshed before.
    pub expires_at: DateTime<Utc>,
    /// From where.
    #[serde(flatten)]
    pub origin: Origin,
    /// Whether it is the one that asks.
    pub current: bool,
}

impl Session {
    /// A new one for this person.
    #[must_use]
    pub fn new(user: UserId, now: DateTime<Utc>) -> Self {
        Self { id: SessionId(Uuid::now_v7()), user, now }
    }

    /// What the aggregate is told; where what was proved was read before, as of that epoch.
    #[must_use]
    pub fn start(&self, by: SignIn, as_of: Option<u32>) -> UserCommand {
        let (session, expires_at) = (self.id, self.now + SESSION_LASTS);
        let ask = user::Ask::StartSession { session, by, expires_at, as_of };
        UserCommand { now: self.now, ask }
    }

    /// What is kept beside the log.
    pub fn row(&self, key: Option<&PersonKey>, visitor: &Visitor) -> Result<SideRow, CodecError> {
        let seal = |key| seal_value_with(key, &place(self.id), &visitor.origin());
        Ok(SideRow::Session {
            session_id: self.id,
            user_id: self.user,
            started_at: self.now,
            expires_at: self.now + REFRESH_LASTS,
            ends_at: self.now + SESSION_LASTS,
            sealed: key.map(seal).transpose()?,
        })
    }
}

fn place(session: SessionId) -> String {
    format!("session/{session}")
}

/// A session whose tokens were renewed.
pub struct Renewed {
    /// Whose.
    pub user: UserId,
    /// The next refresh token.
    pub token: RefreshToken,
}

/// Renews a session's tokens. A token that was followed by another before is somebody else's: the
/// session ends.
pub async fn refresh(app: &App, visitor: &Visitor, token: RefreshToken) -> Result<Renewed> {
    let RefreshToken { session, generation } = token;
    let now = clock::now();
    let renewed: Option<Uuid> = sqlx::query_scalar(
        "update sessions
         set generation = generation + 1, rotated_at = $3, last_used_at = $3,
             expires_at = least(ends_at, $4)
         where session_id = $1 and generation = $2 and ended_at is null and expires_at > $3
         returning user_id",
    )
    .bind(session.0)
    .bind(generation)
    .bind(now)
    .bind(now + REFRESH_LASTS)
    .fetch_optional(app.db())
    .await?;
    let next = |generation| RefreshToken { session, generation };
    if let Some(user) = renewed {
        return Ok(Renewed { user: UserId(user), token: next(generation + 1) });
    }
    let row = sqlx::query(
        "select user_id, generation, rotated_at from sessions
         where session_id = $1 and ended_at is null and expires_at > $2",
    )
    .bind(session.0)
    .bind(now)
    .fetch_optional(app.db())
    .await?
    .ok_or_else(over)?;
    let (user, current): (Uuid, i32) = (row.try_get("user_id")?, row.try_get("generation")?);
    let rotated_at: Option<DateTime<Utc>> = row.try_get("rotated_at")?;
    let just_now = rotated_at.is_some_and(|at| now - at < LEEWAY);
    if just_now && current == generation.saturating_add(1) {
        return Ok(Renewed { user: UserId(user), token: next(current) });
    }
    end(app, visitor, UserId(user), session, EndReason::Reused).await?;
    Err(over())
}

fn over() -> Problem {
    Problem::unauthorized("the session is over: sign in again")
}

/// Ends one of the person's sessions, on every node; the position of the event, where there is one.
pub async fn end(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    session: SessionId,
    why: EndReason,
) -> Result<i64> {
    let ended = SideRow::SessionEnded { session_id: session };
    let ask = user::Ask::EndSession { session, why };
    let position = super::tell(app, visitor, user, ask, [ended]).await?;
    app.closings.close(session);
    Ok(position)
}

/// Ends all of the person's sessions but this one.
pub async fn end_others(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    keep: SessionId,
) -> Result<i64> {
    let ended = SideRow::SessionsEnded { user_id: user, keep: Some(keep) };
    Ok(super::tell(app, visitor, user, user::Ask::EndOtherSessions { keep }, [ended]).await?)
}

/// The person's open sessions, the newest first.
pub async fn list(app: &App, user: UserId, current: SessionId) -> Result<Vec<SessionRow>> {
    let rows = sqlx::query(
        "select session_id, started_at, last_used_at, expires_at, sealed from sessions
         where user_id = $1 and ended_at is null and expires_at > $2
         order by started_at desc, session_id desc",
    )
    .bind(user.0)
    .bind(clock::now())
    .fetch_all(app.db())
    .await?;
    let mut sessions = Vec::with_capacity(rows.len());
    for row in rows {
        let id = SessionId(row.try_get("session_id")?);
        let sealed: Option<String> = row.try_get("sealed")?;
        let origin = match sealed {
            Some(sealed) => app.store.codec().open_value(user, &place(id), &sealed).await,
            None => Ok(None),
        };
        sessions.push(SessionRow {
            id,
            started_at: row.try_get("started_at")?,
            last_used_at: row.try_get("last_used_at")?,
            expires_at: row.try_get("expires_at")?,
            origin: origin.map_err(Problem::failed)?.unwrap_or_default(),
            current: id == current,
        });
    }
    Ok(sessions)
}

/// Whose session it is, while it is open.
pub async fn owner(app: &App, session: SessionId) -> Result<Option<UserId>> {
    let owner: Option<Uuid> = sqlx::query_scalar(
        "select user_id from sessions where session_id = $1 and ended_at is null",
    )
    .bind(session.0)
    .fetch_optional(app.db())
    .await?;
    Ok(owner.map(UserId))
}
