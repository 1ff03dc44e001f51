//! Rebuilding a read model while writes and reads go on: the new tables are filled in a second
//! schema, and the schemas swap in one transaction. Killed at any moment, the live tables are as
//! they were, and the next rebuild begins anew.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use crate::journal::{self, JournalError, Obstacle, Unseal};
use crate::projector::{Advance, BATCH, Projection, advance, mark};

/// How often the new tables try to take the old ones' place: for about a minute.
const ATTEMPTS: u32 = 240;
/// The pause after an attempt, in which readers have their turn.
const PAUSE: Duration = Duration::from_millis(100);
/// How long an attempt waits for readers: less than the second after which Postgres looks for
/// deadlocks, so that no reader is ever the victim of one.
const PATIENCE: &str = "100ms";
/// How long every tenth attempt waits: more than that second, after which an autovacuum gives way.
const LONG_PATIENCE: &str = "1200ms";

/// Why a rebuild did not happen; the old read model stands untouched.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The log or the database failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An event cannot be projected.
    #[error(transparent)]
    Halted(#[from] Obstacle),
    /// Another rebuild of the same projection runs.
    #[error("the projection is being rebuilt already")]
    Running,
    /// Somebody held on to the old tables for the whole time.
    #[error(
        "the tables were in use for a minute without a pause: end long transactions that read them, and rebuild again"
    )]
    InUse,
}

impl From<sqlx::Error> for RebuildError {
    fn from(error: sqlx::Error) -> Self {
        Self::Journal(error.into())
    }
}

/// Rebuilds a projection from the log; gives back the position it has reached.
pub async fn rebuild(
    pool: &PgPool,
    projection: &dyn Projection,
    unseal: &dyn Unseal,
) -> Result<i64, RebuildError> {
    // A connection of its own, closed when this future ends or is dropped: the lock goes with it.
    let mut db = pool.acquire().await?.detach();
    let alone: bool = sqlx::query_scalar("select pg_try_advisory_lock(hashtext($1))")
        .bind(format!("rebuild {}", projection.name()))
        .fetch_one(&mut db)
        .await?;
    if !alone {
        return Err(RebuildError::Running);
    }
    let mut new = New { projection, unseal, position: 0, tables: vec![] };
    new.prepare(&mut db).await?;
    new.settle(&mut db).await?;
    new.fill(&mut db).await?;
    for table in &new.tables {
        execute(&mut db, format!("analyze {}_next.{table}", projection.name())).await?;
    }
    for attempt in 1..=ATTEMPTS {
        new.fill(&mut db).await?;
        let patience = if attempt % 10 == 0 { LONG_PATIENCE } else { PATIENCE };
        if let Some(position) = new.cut_over(&mut db, patience).await? {
            db.close().await?;
            return Ok(position);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(RebuildError::InUse)
}

/// The new tables.
struct New<'a> {
    projection: &'a dyn Projection,
    unseal: &'a dyn Unseal,
    /// How far they have come.
    position: i64,
    /// Their names, wallets before grants, as queries lock them.
    tables: Vec<String>,
}

impl New<'_> {
    /// Until the connection ends, unqualified names mean the new tables; they are written as
    /// [`projector`](crate::projector) writes the live ones.
    async fn settle(&self, db: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query(
            "select set_config('search_path', $1 || '_next,public', false),
                 set_config('synchronous_commit', 'off', false), set_config('jit', 'off', false),
                 set_config('enable_seqscan', 'off', false),
                 set_config('enable_hashjoin', 'off', false),
                 set_config('enable_mergejoin', 'off', false)",
        )
        .bind(self.projection.name())
        .execute(db)
        .await?;
        Ok(())
    }

    /// Makes empty tables like the live ones, in a schema beside them.
    async fn prepare(&mut self, db: &mut PgConnection) -> sqlx::Result<()> {
        let name = self.projection.name();
        let mut tx = db.begin().await?;
        // Storage parameters are not among what `like` takes over.
        let tables: Vec<(String, Option<String>)> = sqlx::query_as(
            "select relname::text, array_to_string(reloptions, ', ')
             from pg_class
             where relnamespace = $1::regnamespace and relkind = 'r'
             order by relname desc",
        )
        .bind(name)
        .fetch_all(&mut *tx)
        .await?;
        execute(&mut tx, format!("drop schema if exists {name}_next cascade")).await?;
        execute(&mut tx, format!("create schema {name}_next")).await?;
        for (table, options) in &tables {
            let with = options.as_ref().map(|all| format!(" with ({all})")).unwrap_or_default();
            let like = format!("like {name}.{table} including all");
            execute(&mut tx, format!("create table {name}_next.{table} ({like}){with}")).await?;
        }
        self.tables = tables.into_iter().map(|(table, _)| table).collect();
        tx.commit().await
    }

    /// Follows the log until less than a batch is new.
    async fn fill(&mut self, db: &mut PgConnection) -> Result<(), RebuildError> {
        loop {
            let mut tx = db.begin().await?;
            let reached = self.advance(&mut tx, self.position, BATCH).await?;
            tx.commit().await?;
            let moved = reached - self.position;
            self.position = reached;
            if moved < BATCH {
                return Ok(());
            }
        }
    }

    /// Puts the new tables in the old ones' place, unless readers are in the way. The checkpoint is
    /// locked first, so that nobody follows the log with the old ones; then the new ones come at
    /// least as far, so that nobody reads backwards.
    async fn cut_over(
        &self,
        db: &mut PgConnection,
        patience: &str,
    ) -> Result<Option<i64>, RebuildError> {
        let name = self.projection.name();
        let mut tx = db.begin().await?;
        let live: i64 = sqlx::query_scalar(
            "select position from projections.checkpoints where name = $1 for update",
        )
        .bind(name)
        .fetch_one(&mut *tx)
        .await?;
        let mut position = self.position;
        while position < live {
            position = self.advance(&mut tx, position, BATCH.min(live - position)).await?;
        }
        match self.swap(&mut tx, patience).await {
            Ok(()) => {
                mark(&mut tx, name, position).await?;
                tx.commit().await?;
                Ok(Some(position))
            }
            Err(error) if is_in_use(&error) => {
                tx.rollback().await?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn swap(&self, tx: &mut PgConnection, patience: &str) -> sqlx::Result<()> {
        let name = self.projection.name();
        execute(tx, format!("set local lock_timeout = '{patience}'")).await?;
        for table in &self.tables {
            execute(tx, format!("lock table {name}.{table} in access exclusive mode")).await?;
        }
        execute(tx, format!("drop schema {name} cascade")).await?;
        execute(tx, format!("alter schema {name}_next rename to {name}")).await
    }

    async fn advance(
        &self,
        tx: &mut PgConnection,
        position: i64,
        limit: i64,
    ) -> Result<i64, RebuildError> {
        let streams = self.projection.streams();
        let page = journal::read(tx, self.unseal, streams, position, limit).await?;
        match advance(tx, self.projection, page).await? {
            Advance { obstacle: Some(obstacle), .. } => Err(obstacle.into()),
            Advance { reached, .. } => Ok(reached),
        }
    }
}

/// Executes a statement with identifiers in it, which cannot be bound: only constants of this crate
/// and names from the migrations ever are.
async fn execute(db: &mut PgConnection, statement: String) -> sqlx::Result<()> {
    sqlx::query(AssertSqlSafe(statement)).execute(db).await?;
    Ok(())
}

/// Whether the old tables could not be had within the patience.
fn is_in_use(error: &sqlx::Error) -> bool {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some(LOCK_NOT_AVAILABLE)
}
