//! Rebuilding a read model while writes go on: the new tables are filled in a second schema, and
//! the schemas swap in one transaction.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::journal::{self, JournalError, Unseal};
use crate::projector::{BATCH, Projection};

/// How close the new tables must be before the cut-over locks the old ones: what is left then is
/// projected under the lock.
const CLOSE: i64 = BATCH;

/// Why a rebuild did not happen; the old read model stands untouched.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The log or the database failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Another rebuild of the same projection runs.
    #[error("the projection is being rebuilt already")]
    Running,
}

impl From<sqlx::Error> for RebuildError {
    fn from(error: sqlx::Error) -> Self {
        Self::Journal(error.into())
    }
}

/// Rebuilds a projection from the log; gives back the position it has reached. A rebuild that was
/// killed is begun anew.
pub async fn rebuild(
    db: &mut PgConnection,
    projection: &dyn Projection,
    unseal: &dyn Unseal,
) -> Result<i64, RebuildError> {
    let name = projection.name();
    // Held until the connection ends or the rebuild does.
    let alone: bool = sqlx::query_scalar("select pg_try_advisory_lock(hashtext($1))")
        .bind(format!("rebuild {name}"))
        .fetch_one(&mut *db)
        .await?;
    if !alone {
        return Err(RebuildError::Running);
    }
    let rebuilt = fill_and_swap(db, projection, unseal).await;
    sqlx::query("select pg_advisory_unlock(hashtext($1))")
        .bind(format!("rebuild {name}"))
        .execute(db)
        .await?;
    rebuilt
}

async fn fill_and_swap(
    db: &mut PgConnection,
    projection: &dyn Projection,
    unseal: &dyn Unseal,
) -> Result<i64, RebuildError> {
    let name = projection.name();
    prepare(db, name).await?;
    let mut position = 0;
    loop {
        let mut tx = db.begin().await?;
        look_at_next(&mut tx, name).await?;
        let reached = advance(&mut tx, projection, unseal, position).await?;
        tx.commit().await?;
        let moved = reached - position;
        position = reached;
        if moved < CLOSE {
            break;
        }
    }
    loop {
        match cut_over(db, projection, unseal, position).await {
            Err(RebuildError::Journal(JournalError::Database(error))) if is_in_use(&error) => {}
            done => return done,
        }
    }
}

/// Whether the old tables could not be had within the lock's patience.
fn is_in_use(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("55P03"))
}

/// Projects what is left and swaps the schemas. Gives way when readers hold the old tables, so
/// that no reader waits behind it for long or ends in a deadlock.
async fn cut_over(
    db: &mut PgConnection,
    projection: &dyn Projection,
    unseal: &dyn Unseal,
    mut position: i64,
) -> Result<i64, RebuildError> {
    let name = projection.name();
    let mut tx = db.begin().await?;
    sqlx::query("set local lock_timeout = '200ms'").execute(&mut *tx).await?;
    // The lock stops whoever follows the log for the old tables.
    sqlx::query("select position from projections.checkpoints where name = $1 for update")
        .bind(name)
        .execute(&mut *tx)
        .await?;
    look_at_next(&mut tx, name).await?;
    loop {
        let reached = advance(&mut tx, projection, unseal, position).await?;
        if reached == position {
            break;
        }
        position = reached;
    }
    // The name is a constant of this crate.
    for statement in [
        format!("drop schema {name} cascade"),
        format!("alter schema {name}_next rename to {name}"),
    ] {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await?;
    }
    sqlx::query(
        "update projections.checkpoints set position = $2, halted = null, updated_at = now()
         where name = $1",
    )
    .bind(name)
    .bind(position)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(position)
}

/// Empty tables like the live ones, in a schema beside them.
async fn prepare(db: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "select tablename::text from pg_tables where schemaname = $1 order by tablename",
    )
    .bind(name)
    .fetch_all(&mut *tx)
    .await?;
    // The names are constants of this crate and of the migrations.
    let mut statements = vec![
        format!("drop schema if exists {name}_next cascade"),
        format!("create schema {name}_next"),
    ];
    statements.extend(tables.iter().map(|table| {
        format!("create table {name}_next.{table} (like {name}.{table} including all)")
    }));
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await?;
    }
    tx.commit().await
}

/// Until the transaction ends, unqualified names mean the new tables.
async fn look_at_next(tx: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    sqlx::query("select set_config('search_path', $1 || '_next,public', true)")
        .bind(name)
        .execute(tx)
        .await?;
    Ok(())
}

async fn advance(
    tx: &mut PgConnection,
    projection: &dyn Projection,
    unseal: &dyn Unseal,
    position: i64,
) -> Result<i64, RebuildError> {
    let recorded = journal::read(tx, unseal, position, BATCH).await?;
    let Some(last) = recorded.last() else { return Ok(position) };
    let reached = last.position;
    projection.project(tx, &recorded).await?;
    Ok(reached)
}
