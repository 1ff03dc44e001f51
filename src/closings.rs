//! Which sessions are over, and who was erased: what every node must know within a second, though
//! access tokens are good for a quarter of an hour.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};

use aggregates::id::{SessionId, UserId};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgPool, Row};
use uuid::Uuid;

use crate::clock;
use crate::tokens::ACCESS_LASTS;

/// For how long a node that cannot look goes on with what it knows.
const TRUSTED: TimeDelta = TimeDelta::seconds(5);

/// Sessions that are over while their access tokens may still be about.
#[derive(Debug, Default)]
pub struct Closings {
    over: RwLock<HashMap<SessionId, DateTime<Utc>>>,
    /// When the database was last asked, by this node's clock, and how far it was read, by its own.
    looked: Mutex<Option<(DateTime<Utc>, DateTime<Utc>)>>,
}

impl Closings {
    /// Knows that a session is over, before the database is asked.
    pub fn close(&self, session: SessionId) {
        self.note([(session, clock::now())]);
    }

    /// Whether the session is over.
    #[must_use]
    pub fn has(&self, session: SessionId) -> bool {
        let over = self.over.read().unwrap_or_else(PoisonError::into_inner);
        !over.is_empty() && over.contains_key(&session)
    }

    /// Whether what is known is new enough to be relied on.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.is_some_and(|(at, _)| clock::now() - at < TRUSTED)
    }

    /// Asks the database what is over since the last look; says who was erased.
    pub async fn look(&self, db: &PgPool) -> sqlx::Result<Vec<UserId>> {
        let now = clock::now();
        let known = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let since = known.map(|(_, read)| read);
        // A unit commits after the time that it wrote, on a slow disk long after.
        let rows = sqlx::query(
            "with since as (
                 select coalesce($1, clock_timestamp() - $2) - interval '1 minute' as at)
             select clock_timestamp() as now, session_id, null::uuid as user_id
             from sessions where ended_at > (select at from since)
             union all
             select clock_timestamp(), null, user_id
             from person_keys where destroyed_at > (select at from since)
             union all
             select clock_timestamp(), null, null",
        )
        .bind(since)
        .bind(ACCESS_LASTS)
        .fetch_all(db)
        .await?;
        let (mut erased, mut read) = (vec![], since.unwrap_or(DateTime::UNIX_EPOCH));
        let mut over = vec![];
        for row in rows {
            read = read.max(row.try_get("now")?);
            let (session, user): (Option<Uuid>, Option<Uuid>) =
                (row.try_get("session_id")?, row.try_get("user_id")?);
            over.extend(session.map(|session| (SessionId(session), now)));
            erased.extend(user.map(UserId));
        }
        self.note(over);
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, read));
        Ok(erased)
    }

    fn note(&self, closed: impl IntoIterator<Item = (SessionId, DateTime<Utc>)>) {
        let mut over = self.over.write().unwrap_or_else(PoisonError::into_inner);
        over.extend(closed);
        // No access token of theirs is good any more.
        let gone = clock::now() - ACCESS_LASTS - ACCESS_LASTS;
        over.retain(|_, at| *at > gone);
    }
}
