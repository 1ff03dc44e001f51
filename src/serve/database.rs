//! The database of a node: found, looked at and brought up to date.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool};
use tokio::time::Instant;

use super::{StartError, roles};
use crate::config::Config;
use crate::embedded::{Cluster, Mode};
use crate::replica::{self, Replica};
use crate::store::owns_log;

/// The oldest Postgres that Saldo runs on.
pub(super) const OLDEST: i32 = 15;
/// Connections of who migrates: the queue's migrations take one beside that of their transaction.
const OWNERS: u32 = 2;
/// How long a database may take to answer at start.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a database is waited for that says it is coming up: after a crash it reads its log again, up to 1 GiB by
/// usual settings.
const COMES_UP: Duration = Duration::from_mins(2);
/// The pause between two looks at it.
const LOOKS: Duration = Duration::from_millis(250);
/// `cannot_connect_now`: it starts, or recovers.
const COMING_UP: &str = "57P03";

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

/// The configured database, or the private one under the data folder; up to date, by whoever may do that.
pub async fn database(config: &Config) -> Result<Database, StartError> {
    let (options, url, cluster) = if let Some(url) = &config.database_url {
        (parse("DATABASE_URL", url)?, url.clone(), None)
    } else {
        let folder = config.data_dir.join("postgres");
        let cluster = Cluster::start(Mode::Durable, &folder).await?;
        cluster.ensure("saldo").await?;
        (cluster.options("saldo"), cluster.url("saldo").into(), Some(cluster))
    };
    let options = settled(options);
    if let Some(owner) = &config.migrations_database_url {
        bring_up_to_date(parse("SALDO_MIGRATIONS_DATABASE_URL", owner)?, &options).await?;
    }
    check(&options).await?;
    let pool = PgPoolOptions::new()
        .max_connections(config.database_connections)
        .test_before_acquire(false)
        .connect_with(options.clone())
        .await?;
    if owns_log(&pool).await? {
        roles::migrate(&pool).await?;
    } else {
        roles::is_up_to_date(&pool).await?;
    }
    Ok(Database { pool, options, url, _cluster: cluster })
}

/// The same, by the role that owns it.
pub async fn database_of_owner(config: &Config) -> Result<Database, StartError> {
    let url = config.migrations_database_url.as_ref().or(config.database_url.as_ref()).cloned();
    let config = Config { database_url: url, migrations_database_url: None, ..config.clone() };
    let database = database(&config).await?;
    if owns_log(&database.pool).await? { Ok(database) } else { Err(StartError::NotOwner) }
}

/// As the owner, who lets the server's role in where it is another.
async fn bring_up_to_date(
    owner: PgConnectOptions,
    server: &PgConnectOptions,
) -> Result<(), StartError> {
    let owner = settled(owner);
    check(&owner).await?;
    let pool = PgPoolOptions::new().max_connections(OWNERS).connect_with(owner.clone()).await?;
    roles::migrate(&pool).await?;
    if owner.get_username() != server.get_username() {
        roles::let_serve(&pool, server.get_username()).await?;
    }
    pool.close().await;
    Ok(())
}

fn parse(setting: &'static str, url: &SecretString) -> Result<PgConnectOptions, StartError> {
    url.expose_secret().parse().map_err(|error| StartError::DatabaseUrl(setting, error))
}

fn settled(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("saldo").options([
        ("search_path", projections::SEARCH_PATH),
        // Plans are kept, also those that were made when the tables were empty: every query of a
        // request goes by index.
        ("enable_seqscan", "off"),
    ])
}

/// One connection says at once what is wrong; a pool would try again and again. What says that it is coming up is
/// waited for.
async fn check(options: &PgConnectOptions) -> Result<(), StartError> {
    let deadline = Instant::now() + COMES_UP;
    loop {
        match version(options).await {
            Err(error) if is_coming_up(&error) && Instant::now() < deadline => {
                tokio::time::sleep(LOOKS).await;
            }
            version => return new_enough(version?),
        }
    }
}

async fn version(options: &PgConnectOptions) -> Result<i32, sqlx::Error> {
    let answer = async {
        let mut db = options.connect().await?;
        let version = "select current_setting('server_version_num')::int";
        let version: i32 = sqlx::query_scalar(version).fetch_one(&mut db).await?;
        db.close().await?;
        Ok(version)
    };
    tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

fn is_coming_up(error: &sqlx::Error) -> bool {
    let said = error.as_database_error().and_then(DatabaseError::code);
    said.is_some_and(|code| code == COMING_UP)
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
    sqlx::query_scalar(replica::INSTALLATION).fetch_one(pool).await
}

/// The standby that answers queries, where one is configured; it is looked for when it is first asked.
pub(super) fn replica(
    config: &Config,
    installation: &str,
    head: i64,
) -> Result<Option<Replica>, StartError> {
    let Some(url) = &config.replica_database_url else { return Ok(None) };
    let options = settled(parse("SALDO_REPLICA_DATABASE_URL", url)?);
    Ok(Some(Replica::new(options, config.database_connections, installation, head)))
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
