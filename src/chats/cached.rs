//! The first page of a person's chats as somebody read it last, kept in Redis, sealed with the person's key.
//!
//! It is dropped when something of it has changed (`processes::drop_chat_lists`), after the read model has the
//! change. Whoever finds nothing gets a lease, reads the database, and may keep what they read while the
//! lease stands: a drop ends it, and so does a Redis that loses or replaces what it has. So what was read
//! before a change is not kept after its drop, however late it comes.

use std::sync::LazyLock;

use aggregates::id::UserId;
use projections::projector::checkpoint;
use sqlx::PgConnection;
use tracing::debug;
use uuid::Uuid;

use super::Listed;
use super::listing::page;
use crate::app::App;
use crate::clients::redis::{Away, Redis, Script};
use crate::error::Result;

/// Milliseconds that a lease stands, and with it all that is kept by it: ten minutes.
const LASTS: &str = "600000";

/// What is kept under this name, and the lease; a new one, where there is none.
static LOOK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('hsetnx', KEYS[1], 'lease', ARGV[2]) == 1 then
             redis.call('pexpire', KEYS[1], ARGV[3])
         end
         return redis.call('hmget', KEYS[1], 'lease', ARGV[1])",
    )
});

/// Keeps a page, where the lease still stands.
static KEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('hget', KEYS[1], 'lease') ~= ARGV[2] then
             return false
         end
         redis.call('hset', KEYS[1], ARGV[1], ARGV[3])
         return true",
    )
});

/// What somebody found.
#[derive(Clone, Debug)]
pub struct Found {
    lease: String,
    /// What was kept, where something was.
    pub kept: Option<Kept>,
}

/// A page that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where the read model stood, or before.
    pub position: i64,
    /// The page.
    pub sealed: String,
}

/// The first so many of the person's chats, as of the position `seen` or later.
pub(super) async fn first(
    app: &App,
    redis: &Redis,
    user: UserId,
    limit: i64,
    seen: i64,
) -> Result<Vec<Listed>> {
    let Ok(found) = look(redis, user, limit).await else {
        return page(app, user, None, limit).await;
    };
    if let Some(kept) = found.kept.as_ref().filter(|kept| kept.position >= seen) {
        let (place, codec) = (place(kept.position), app.store.codec());
        match codec.open_value(user, &place, &kept.sealed).await {
            Ok(Some(listed)) => return Ok(listed),
            // Whose key is gone has none.
            Ok(None) => {}
            Err(error) => debug!(error = %error, "what Redis keeps cannot be read"),
        }
    }
    // Before the page is read: it may have more than that, and not less.
    let position = checkpoint(app.db(), "chats").await?;
    let listed = page(app, user, None, limit).await?;
    if let Ok(sealed) = app.store.codec().seal_value(user, &place(position), &listed).await {
        // Whether or not it is kept, it was read.
        let _ = keep(redis, user, limit, &found, &Kept { position, sealed }).await;
    }
    Ok(listed)
}

/// What is kept of the first so many of the person's chats.
pub async fn look(redis: &Redis, user: UserId, limit: i64) -> Result<Found, Away> {
    let (limit, lease) = (limit.to_string(), Uuid::now_v7().to_string());
    let arguments = [limit.as_str(), lease.as_str(), LASTS];
    let (lease, kept): (String, Option<String>) = redis.run(&LOOK, &name(user), &arguments).await?;
    let kept = kept.and_then(|kept| {
        let (position, sealed) = kept.split_once(' ')?;
        Some(Kept { position: position.parse().ok()?, sealed: sealed.to_owned() })
    });
    Ok(Found { lease, kept })
}

/// Keeps what was read after something was looked for; whether it could be.
pub async fn keep(
    redis: &Redis,
    user: UserId,
    limit: i64,
    found: &Found,
    Kept { position, sealed }: &Kept,
) -> Result<bool, Away> {
    let (limit, page) = (limit.to_string(), format!("{position} {sealed}"));
    redis.run(&KEEP, &name(user), &[&limit, &found.lease, &page]).await
}

/// Drops what is kept of the chats of these.
pub async fn forget(redis: &Redis, users: &[UserId]) -> Result<(), Away> {
    let names: Vec<_> = users.iter().copied().map(name).collect();
    redis.forget(&names).await
}

/// Whose chats change by these events: what a list shows has an event each time, texts included, which are
/// written with one. Whoever is erased has none.
pub async fn changed(db: &mut PgConnection, after: i64, to: i64) -> sqlx::Result<Vec<UserId>> {
    let users: Vec<Uuid> = sqlx::query_scalar(
        // The owner is in a chat's first event, also when the chat is deleted.
        "select (select payload #>> '{Created,owner}' from events
                 where aggregate_type = 'chat' and aggregate_id = c.chat and sequence = 1)::uuid
         from (select distinct aggregate_id as chat from events
               where position > $1 and position <= $2 and (aggregate_type = 'chat') is true) c
         union
         select aggregate_id::uuid from events
         where position > $1 and position <= $2
             and (aggregate_type = 'user' and event_type = 'Erased') is true",
    )
    .bind(after)
    .bind(to)
    .fetch_all(db)
    .await?;
    Ok(users.into_iter().map(UserId).collect())
}

fn name(user: UserId) -> String {
    format!("chats:{user}")
}

/// What a page is bound to when it is sealed: nobody can say that it is of another position.
fn place(position: i64) -> String {
    format!("chat_list/{position}")
}
