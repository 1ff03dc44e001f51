//! Whenever something happens that a customer's endpoint listens to, a webhook is written and sent.

use std::time::Duration;

use projections::journal;
use tracing::warn;

use crate::app::App;
use crate::error::Result;
use crate::webhooks;

/// How often the log is looked at: how late a webhook may be.
const EVERY: Duration = Duration::from_millis(500);
/// Positions of one round; the rest follows in the next, at once.
const ROUND: i64 = 1_000;

/// Follows the log, for ever.
pub(super) async fn run(app: &App) {
    loop {
        match round(app).await {
            Ok(followed) if followed >= ROUND => {}
            Ok(_) => tokio::time::sleep(EVERY).await,
            Err(problem) => {
                let cause = problem.cause.unwrap_or(problem.detail);
                warn!(cause, "the log could not be looked at for webhooks");
                tokio::time::sleep(EVERY).await;
            }
        }
    }
}

/// Writes the webhooks of some events and moves the checkpoint, in one transaction: each event is told
/// of once, whatever is killed when. How many positions there were. Where nobody listens, nothing is
/// read: who comes later is not told of what was before.
async fn round(app: &App) -> Result<i64> {
    let mut tx = app.db().begin().await?;
    let from: Option<i64> = sqlx::query_scalar(
        "select position from process_checkpoints where name = 'send_webhooks'
         for update skip locked",
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(from) = from else { return Ok(0) };
    // Before it is looked who listens: an endpoint that is made between the two knows a later end.
    let head = journal::head(&mut *tx).await?;
    if head == from {
        return Ok(0);
    }
    let mut to = head;
    if webhooks::anybody_listens(&mut tx).await? {
        to = head.min(from + ROUND);
        webhooks::tell(app, &mut tx, from, to).await?;
    }
    sqlx::query("update process_checkpoints set position = $1 where name = 'send_webhooks'")
        .bind(to)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(to - from)
}
