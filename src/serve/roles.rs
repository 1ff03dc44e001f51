//! Roles of the database: one owns everything and migrates; the one that serves may be another, which may only append
//! to the log.

use std::collections::BTreeMap;

use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migrator};

use super::StartError;
use crate::jobs;

/// A node that is older than the schema goes on with it, and may start again, while newer ones take its place:
/// `docs/operations/migrations.md`.
fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!("./migrations");
    migrations.set_ignore_missing(true);
    migrations
}

/// What Postgres says to who has not the right.
const NOT_ALLOWED: &str = "42501";

/// Brings the database up to date, as its owner.
pub(super) async fn migrate(owner: &PgPool) -> Result<(), StartError> {
    migrations().run(owner).await?;
    Ok(jobs::migrate(owner).await?)
}

/// Gives a role what a server needs.
pub(super) async fn let_serve(owner: &PgPool, server: &str) -> Result<(), StartError> {
    let granted = sqlx::query("select let_serve($1::text::name)").bind(server).execute(owner).await;
    granted.map(drop).map_err(|error| {
        let hint = error.as_database_error().and_then(|error| {
            error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?.hint().map(str::to_owned)
        });
        StartError::Role(error, hint.map(|hint| format!(": {hint}")).unwrap_or_default())
    })
}

/// Whether the database is as this version needs it, for a role that may not change that.
pub(super) async fn is_up_to_date(pool: &PgPool) -> Result<(), StartError> {
    let applied = sqlx::query_as("select version, checksum from _sqlx_migrations where success");
    let applied: Result<Vec<(i64, Vec<u8>)>, sqlx::Error> = applied.fetch_all(pool).await;
    let applied: BTreeMap<_, _> = match applied {
        Ok(applied) => applied.into_iter().collect(),
        Err(error) if is_not_allowed(&error) => return Err(StartError::Behind),
        Err(error) => return Err(error.into()),
    };
    for migration in migrations().iter() {
        match applied.get(&migration.version) {
            Some(checksum) if *checksum == *migration.checksum => {}
            Some(_) => return Err(MigrateError::VersionMismatch(migration.version).into()),
            None => return Err(StartError::Behind),
        }
    }
    // The queue finds its tables as it needs them, or wants to make them.
    jobs::migrate(pool).await.map_err(|_| StartError::Behind)
}

fn is_not_allowed(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some(NOT_ALLOWED)
}
