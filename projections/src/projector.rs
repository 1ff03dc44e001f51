//! Following the log: rows and checkpoint in one transaction, so that each event counts once
//! whatever is killed when.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::{Connection, PgConnection, PgExecutor, Row};
use tracing::{Instrument, Span};

use crate::TRACES;
use crate::journal::{self, JournalError, Obstacle, Page, Recorded, Unseal, chain, is_passing};
use crate::tail::Tail;

/// Events in one transaction, at most: a backlog that touches the same wallets again and again
/// writes them once, and the transaction is over within about a quarter of a second.
pub const BATCH: i64 = 8_000;

/// A read model, by the code that writes it.
pub trait Projection: Send + Sync {
    /// Its name: that of its schema and its checkpoint.
    fn name(&self) -> &'static str;

    /// The types of the aggregates whose events it cares for.
    fn streams(&self) -> &'static [&'static str];

    /// Brings the tables up to these events, of its streams or not. Unqualified table names; no
    /// clock, no randomness; an error when a row that must be there is not.
    fn project<'a>(
        &'a self,
        db: &'a mut PgConnection,
        recorded: &'a [Arc<Recorded>],
    ) -> BoxFuture<'a, sqlx::Result<()>>;
}

/// What one step of catching up found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Events were projected; the checkpoint is here now. When the batch was `full`, there is
    /// probably more.
    Moved { position: i64, full: bool },
    /// The checkpoint is at the end of the log.
    CaughtUp(i64),
    /// Somebody else follows the log for this projection, and was here.
    Led(i64),
    /// An administrator has it stand still, here.
    Paused(i64),
    /// Everything before the obstacle is projected. The checkpoint says so to everybody.
    Halted(Obstacle),
}

/// Takes one step, in one transaction, from the tail where it reaches back far enough, else from
/// the log. May be called by anybody at any time, also when the projection has halted: then the
/// same event is tried again, since this version of Saldo may know better.
pub async fn step(
    db: &mut PgConnection,
    projection: &dyn Projection,
    unseal: &dyn Unseal,
    tail: &Tail,
) -> Result<Step, JournalError> {
    let name = projection.name();
    let mut tx = db.begin().await?;
    let position = match lead(&mut tx, name).await? {
        Some((position, false)) => position,
        Some((position, true)) => {
            tx.rollback().await?;
            return Ok(Step::Paused(position));
        }
        None => {
            let position = checkpoint(&mut *tx, name).await?;
            tx.rollback().await?;
            return Ok(Step::Led(position));
        }
    };
    let page = match tail.after(position, BATCH) {
        Some(page) => page,
        None => journal::read(&mut tx, unseal, projection.streams(), position, BATCH).await?,
    };
    let span = span_of(name, &page);
    let Advance { reached, obstacle } = advance(&mut tx, projection, page).instrument(span).await?;
    if let Some(obstacle) = obstacle {
        halt(&mut tx, name, reached, &obstacle).await?;
        tx.commit().await?;
        return Ok(Step::Halted(obstacle));
    }
    if reached == position {
        tx.rollback().await?;
        return Ok(Step::CaughtUp(position));
    }
    mark(&mut tx, name, reached).await?;
    tx.commit().await?;
    Ok(Step::Moved { position: reached, full: reached - position == BATCH })
}

/// What is told of projecting a page to whoever collects traces. It is in no request's trace, since it is for many:
/// positions say for whom.
fn span_of(name: &str, page: &Page) -> Span {
    let (Some(first), Some(last)) = (page.recorded.first(), page.recorded.last()) else {
        return Span::none();
    };
    tracing::info_span!(
        target: TRACES,
        parent: None,
        "project",
        otel.name = %format_args!("project {name}"),
        saldo.projection = name,
        saldo.events = page.recorded.len(),
        saldo.first_position = first.position,
        saldo.last_position = last.position,
    )
}

/// Has a projection stand still: when this has returned, nobody projects it, on any node, and nobody will until it is
/// resumed. Says whether there is such a projection.
pub async fn pause(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<bool> {
    // Whoever is at a step has the row, and is through with it before this is.
    let paused = sqlx::query(
        "update projections.checkpoints set paused_at = coalesce(paused_at, now()) where name = $1",
    );
    Ok(paused.bind(name).execute(db).await?.rows_affected() == 1)
}

/// Has a projection go on from where it stands. Says whether there is such a projection.
pub async fn resume(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<bool> {
    let resumed =
        sqlx::query("update projections.checkpoints set paused_at = null where name = $1");
    Ok(resumed.bind(name).execute(db).await?.rows_affected() == 1)
}

/// Locks the checkpoint and says where it stands, and whether it is to; none when somebody else has it. Also settles how
/// this transaction works: without waiting for the disk, since a crash of the database loses rows
/// and checkpoint together, and the next step repairs both; by index, since cached plans do not
/// know how large the tables have become; and not for ever, should this process freeze.
async fn lead(db: &mut PgConnection, name: &str) -> sqlx::Result<Option<(i64, bool)>> {
    let row = sqlx::query(
        "select position, paused_at is not null as paused, set_config('synchronous_commit', 'off', true),
             set_config('jit', 'off', true), set_config('enable_seqscan', 'off', true),
             set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
             set_config('idle_in_transaction_session_timeout', '30s', true)
         from projections.checkpoints
         where name = $1
         for update skip locked",
    )
    .bind(name)
    .fetch_optional(db)
    .await?;
    row.map(|row| Ok((row.try_get("position")?, row.try_get("paused")?))).transpose()
}

/// Where it stands: what is read of its tables from now on has all up to there.
pub async fn checkpoint(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<i64> {
    sqlx::query_scalar("select position from projections.checkpoints where name = $1")
        .bind(name)
        .fetch_one(db)
        .await
}

/// Moves the checkpoint, and clears a halt that is passed.
pub(crate) async fn mark(db: &mut PgConnection, name: &str, position: i64) -> sqlx::Result<()> {
    sqlx::query(
        "update projections.checkpoints
         set position = $2, updated_at = now(), halted = null, error = null, halted_at = null
         where name = $1",
    )
    .bind(name)
    .bind(position)
    .execute(db)
    .await?;
    Ok(())
}

/// Moves the checkpoint up to the obstacle, and says what it is.
async fn halt(
    db: &mut PgConnection,
    name: &str,
    position: i64,
    obstacle: &Obstacle,
) -> sqlx::Result<()> {
    sqlx::query(
        "update projections.checkpoints
         set position = $2, updated_at = now(), halted = $3, error = $4,
             halted_at = case when halted = $3 then halted_at else now() end
         where name = $1",
    )
    .bind(name)
    .bind(position)
    .bind(obstacle.position())
    .bind(obstacle.to_string())
    .execute(db)
    .await?;
    Ok(())
}

/// How far the tables have come in a transaction.
pub(crate) struct Advance {
    pub(crate) reached: i64,
    /// Why not farther.
    pub(crate) obstacle: Option<Obstacle>,
}

/// Projects a page, in the caller's transaction. What an event does not allow is undone, and named.
pub(crate) async fn advance(
    tx: &mut PgConnection,
    projection: &dyn Projection,
    page: Page,
) -> Result<Advance, JournalError> {
    let Page { recorded, last, obstacle } = page;
    let mut rest = recorded.as_slice();
    let mut size = rest.len();
    // All at once; when that fails, ever smaller parts, until one event is alone that fails.
    while !rest.is_empty() {
        let (part, later) = rest.split_at(size.min(rest.len()));
        match (apply(tx, projection, part).await?, part) {
            (Ok(()), _) => rest = later,
            (Err(error), [one]) => {
                let why = match error {
                    sqlx::Error::RowNotFound => "a row that it changes is not there".to_owned(),
                    error => chain(&error),
                };
                let position = one.position;
                let obstacle = Some(Obstacle::Unprojectable { position, why });
                return Ok(Advance { reached: position - 1, obstacle });
            }
            (Err(_), _) => size = part.len() / 2,
        }
    }
    Ok(Advance { reached: last, obstacle })
}

/// Projects inside a savepoint; what the database says of the content is the inner error, what may
/// be gone the next time the outer one.
async fn apply(
    tx: &mut PgConnection,
    projection: &dyn Projection,
    recorded: &[Arc<Recorded>],
) -> sqlx::Result<Result<(), sqlx::Error>> {
    let mut savepoint = tx.begin().await?;
    match projection.project(&mut savepoint, recorded).await {
        Ok(()) => savepoint.commit().await.map(Ok),
        Err(error) if is_passing(&error) => Err(error),
        Err(error) => savepoint.rollback().await.map(|()| Err(error)),
    }
}

/// One column of many rows, to be bound as an array.
pub(crate) fn column<'a, R, T>(rows: &'a [R], of: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

/// Every row that changed must have been there.
pub(crate) fn all_of(expected: usize, found: u64) -> sqlx::Result<()> {
    if u64::try_from(expected) == Ok(found) { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}
