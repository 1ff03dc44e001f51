//! Whenever something was paid, could not be collected, or a subscription ends, the person is written
//! to. The letter itself is a job's: who it goes to and Stripe's link are looked up then.

use std::time::Duration;

use tracing::warn;

use crate::app::App;
use crate::billing::letters;
use crate::queue::{Job, WRITE_LETTER};

/// How often the log is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// Events of one round; the rest follows in the next, at once.
const ROUND: i64 = 500;

/// Follows the log, for ever.
pub(super) async fn run(app: &App) {
    loop {
        match round(app).await {
            Ok(ROUND) => {}
            Ok(_) => tokio::time::sleep(EVERY).await,
            Err(error) => {
                warn!(error = %error, "the log could not be looked at for letters");
                tokio::time::sleep(EVERY).await;
            }
        }
    }
}

/// Enqueues the letters of some events and moves the checkpoint, in one transaction: each event is
/// told of once, whatever is killed when. How many events there were.
async fn round(app: &App) -> sqlx::Result<i64> {
    let mut tx = app.db().begin().await?;
    let position: Option<i64> = sqlx::query_scalar(
        "select position from process_checkpoints where name = 'write_letters'
         for update skip locked",
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(position) = position else { return Ok(0) };
    let events: Vec<(i64, String)> = sqlx::query_as(
        "select position, event_type from events
         where position > $1 and aggregate_type in ('purchase', 'subscription')
         order by position limit $2",
    )
    .bind(position)
    .bind(ROUND)
    .fetch_all(&mut *tx)
    .await?;
    let Some((last, _)) = events.last().cloned() else { return Ok(0) };
    for (position, _) in events.iter().filter(|(_, kind)| letters::are_written_of(kind)) {
        Job::about(WRITE_LETTER, &position.to_string()).enqueue(&mut tx).await?;
    }
    sqlx::query("update process_checkpoints set position = $1 where name = 'write_letters'")
        .bind(last)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(i64::try_from(events.len()).unwrap_or(ROUND))
}
