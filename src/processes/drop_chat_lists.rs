//! Whenever something changes that a person's list of chats shows, what Redis keeps of the list is dropped:
//! after the read model has the change, so that whoever reads the list anew has it, too.
//!
//! While Redis is away nothing is passed over: it is told when it is back.

use std::time::Duration;

use projections::projector::checkpoint;
use tracing::warn;

use crate::app::App;
use crate::chats::cached;
use crate::clients::redis::{Away, Redis};

/// The pause between rounds, in which changes gather; one after a quiet moment is told at once.
const EVERY: Duration = Duration::from_millis(200);
/// The pause after a failure.
const AGAIN: Duration = Duration::from_secs(1);
/// Positions of one round.
const ROUND: i64 = 10_000;

/// Why a round failed; the next one does the same again.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Redis(#[from] Away),
}

/// Begins at the end of the log, where nobody did before. Before anybody is served: what is kept from now on
/// is dropped.
pub(super) async fn begin(app: &App) -> sqlx::Result<()> {
    if app.redis.is_some() {
        sqlx::query(
            "insert into process_checkpoints (name, position)
             select 'drop_chat_lists', position from log_head
             on conflict do nothing",
        )
        .execute(app.db())
        .await?;
    }
    Ok(())
}

/// Follows the read model, for ever, where there is a Redis.
pub(super) async fn run(app: &App) {
    let Some(redis) = &app.redis else { return };
    loop {
        match round(app, redis).await {
            Ok(position) => {
                tokio::time::sleep(EVERY).await;
                app.projections.moved_from("chats", position).await;
            }
            Err(Failed::Redis(Away)) => tokio::time::sleep(AGAIN).await,
            Err(Failed::Database(error)) => {
                warn!(error = %error, "the log could not be looked at for lists of chats");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Drops the lists that some events change, and moves the checkpoint behind it. Up to which position that is
/// done.
async fn round(app: &App, redis: &Redis) -> Result<i64, Failed> {
    let mut tx = app.db().begin().await?;
    let from: Option<i64> = sqlx::query_scalar(
        "select position from process_checkpoints where name = 'drop_chat_lists'
         for update skip locked",
    )
    .fetch_optional(&mut *tx)
    .await?;
    // Another node is at it; whether it succeeds, a later round sees.
    let Some(from) = from else { return Ok(-1) };
    // A read model that is built anew goes through all of it once more, and so do we.
    let to = checkpoint(&mut *tx, "chats").await?.min(from + ROUND);
    if to == from {
        return Ok(from);
    }
    let users = cached::changed(&mut tx, from, to).await?;
    cached::forget(redis, &users).await?;
    sqlx::query("update process_checkpoints set position = $1 where name = 'drop_chat_lists'")
        .bind(to)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(to)
}
