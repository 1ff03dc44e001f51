//! The database of a node: found, looked at and brought up to date.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool};

use super::StartError;
use crate::config::Config;
use crate::embedded::{Cluster, Mode};
use crate::jobs;

/// The oldest Postgres that Saldo runs on.
pub(super) const OLDEST: i32 = 15;
/// How long a database may take to answer at start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A database that is there, new enough and migrated.
pub struct Database {
    /// Connections.
    pub pool: PgPool,
    /// How to make another.
    pub options: PgConnectOptions,
    /// The same as an address, for clients that are not ours.
    pub url: SecretString,
    /// Keeps the private Postgres running, where it is ours.
    _cluster: Option<Cluster>,
}

/// The configured database, or the private one under the data folder.
pub async fn database(config: &Config) -> Result<Database, StartError> {
    let (options, url, cluster) = if let Some(url) = &config.database_url {
        let options = url.expose_secret().parse().map_err(StartError::DatabaseUrl)?;
        (options, url.clone(), None)
    } else {
        let folder = config.data_dir.join("postgres");
        let cluster = Cluster::start(Mode::Durable, &folder).await?;
        cluster.ensure("saldo").await?;
        (cluster.options("saldo"), cluster.url("saldo").into(), Some(cluster))
    };
    let options: PgConnectOptions = options.application_name("saldo").options([
        ("search_path", projections::SEARCH_PATH),
        // Plans are kept, also those that were made when the tables were empty: every query of a
        // request goes by index.
        ("enable_seqscan", "off"),
    ]);
    check(&options).await?;
    let pool = PgPoolOptions::new()
        .max_connections(config.database_connections)
        .test_before_acquire(false)
        .connect_with(options.clone())
        .await?;
    // A node that is older than the schema goes on with it, and may start again, while newer ones take
    // its place: `docs/operations/migrations.md`.
    sqlx::migrate!("./migrations").set_ignore_missing(true).run(&pool).await?;
    jobs::migrate(&pool).await?;
    Ok(Database { pool, options, url, _cluster: cluster })
}

/// One connection says at once what is wrong; a pool would try again and again.
async fn check(options: &PgConnectOptions) -> Result<(), StartError> {
    let answer = async {
        let mut db = options.connect().await?;
        let version = "select current_setting('server_version_num')::int";
        let version: i32 = sqlx::query_scalar(version).fetch_one(&mut db).await?;
        db.close().await?;
        Ok(version)
    };
    let answer: Result<i32, sqlx::Error> = tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
    new_enough(answer?)
}

/// `version` is the setting `server_version_num`: 150018 is 15.18.
fn new_enough(version: i32) -> Result<(), StartError> {
    match version / 10_000 {
        major if major < OLDEST => Err(StartError::TooOld(major)),
        _ => Ok(()),
    }
}

/// A name that no other database has: several may share a Redis.
pub(super) async fn installation(pool: &PgPool) -> sqlx::Result<String> {
    sqlx::query_scalar(
        "select system_identifier::text || '-' || oid::text
         from pg_control_system(), pg_database where datname = current_database()",
    )
    .fetch_one(pool)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_older_than_15_is_refused_by_a_sentence_that_names_both() {
        assert!(new_enough(150_000).is_ok());
        assert!(new_enough(180_006).is_ok());
        let said = new_enough(140_012).expect_err("14.12 is too old").to_string();
        assert!(said.contains("PostgreSQL 14") && said.contains("15 or newer"), "{said}");
    }
}
