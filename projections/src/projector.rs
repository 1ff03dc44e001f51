//! Following the log: rows and checkpoint in one transaction, so that each event counts once
//! whatever is killed when.

use futures_util::future::BoxFuture;
use sqlx::{Connection, PgConnection};

use crate::journal::{self, JournalError, Recorded, Unseal};

/// Events in one transaction: enough to amortise the commit, few enough to be visible soon.
pub(crate) const BATCH: i64 = 2000;

/// A read model, by the code that writes it.
pub trait Projection: Send + Sync {
    /// Its name: that of its schema and its checkpoint.
    fn name(&self) -> &'static str;

    /// Brings the tables up to these events. Unqualified table names; no clock, no randomness.
    fn project<'a>(
        &'a self,
        db: &'a mut PgConnection,
        recorded: &'a [Recorded],
    ) -> BoxFuture<'a, sqlx::Result<()>>;
}

/// What one step of catching up found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Events were projected; the checkpoint is here now. There may be more.
    Moved(i64),
    /// The checkpoint is at the end of the log.
    CaughtUp(i64),
    /// Somebody else follows the log for this projection.
    Led,
    /// An event could not be projected; an operator must look.
    Halted(i64),
}

/// Takes one step, in one transaction. May be called by anybody at any time.
pub async fn step(
    db: &mut PgConnection,
    projection: &dyn Projection,
    unseal: &dyn Unseal,
) -> Result<Step, JournalError> {
    let mut tx = db.begin().await?;
    let checkpoint: Option<(i64, bool)> = sqlx::query_as(
        "select position, halted is not null from projections.checkpoints
         where name = $1 for update skip locked",
    )
    .bind(projection.name())
    .fetch_optional(&mut *tx)
    .await?;
    let Some((position, halted)) = checkpoint else { return Ok(Step::Led) };
    if halted {
        return Ok(Step::Halted(position));
    }
    let recorded = match journal::read(&mut tx, unseal, position, BATCH).await {
        Ok(recorded) => recorded,
        Err(JournalError::Database(error)) => return Err(error.into()),
        Err(error) => {
            halt(&mut tx, projection, &error.to_string()).await?;
            tx.commit().await?;
            return Ok(Step::Halted(position));
        }
    };
    let Some(last) = recorded.last().map(|recorded| recorded.position) else {
        return Ok(Step::CaughtUp(position));
    };
    let reached = if let Ok(()) = apply(&mut tx, projection, &recorded).await? {
        last
    } else {
        // One by one, up to the event that cannot be projected.
        let mut reached = position;
        for one in recorded.chunks(1) {
            if let Err(error) = apply(&mut tx, projection, one).await? {
                let at = reached + 1;
                let why = format!("the event at position {at} cannot be projected: {error}");
                halt(&mut tx, projection, &why).await?;
                break;
            }
            reached += 1;
        }
        reached
    };
    sqlx::query(
        "update projections.checkpoints set position = $2, updated_at = now() where name = $1",
    )
    .bind(projection.name())
    .bind(reached)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(if reached == last { Step::Moved(reached) } else { Step::Halted(reached) })
}

/// Projects inside a savepoint; what the database says of the content is the inner error, a lost
/// connection the outer one.
async fn apply(
    tx: &mut PgConnection,
    projection: &dyn Projection,
    recorded: &[Recorded],
) -> sqlx::Result<Result<(), sqlx::Error>> {
    let mut savepoint = tx.begin().await?;
    match projection.project(&mut savepoint, recorded).await {
        Ok(()) => savepoint.commit().await.map(Ok),
        Err(error @ (sqlx::Error::Io(_) | sqlx::Error::Protocol(_))) => Err(error),
        Err(error) => savepoint.rollback().await.map(|()| Err(error)),
    }
}

async fn halt(db: &mut PgConnection, projection: &dyn Projection, why: &str) -> sqlx::Result<()> {
    tracing::error!(projection = projection.name(), why, "a projection has halted");
    sqlx::query("update projections.checkpoints set halted = $2 where name = $1")
        .bind(projection.name())
        .bind(why)
        .execute(db)
        .await?;
    Ok(())
}
