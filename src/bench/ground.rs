//! Where the measuring happens: databases that are made for it and dropped after it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};

use super::BenchError;
use crate::config::Config;
use crate::embedded::{Cluster, Mode};
use crate::serve::StartError;

/// What the names of our databases begin with.
const PREFIX: &str = "saldo_bench_";
/// Segments of WAL that are made ahead, of 16 MiB each: `gateway` writes some four megabytes a second.
const SEGMENTS_AHEAD: usize = 32;

/// A Postgres to measure on, and a folder for keys and scripts.
pub(super) struct Ground {
    base: PgConnectOptions,
    pub(super) folder: PathBuf,
    next: AtomicU32,
    cluster: Option<Cluster>,
}

/// A database that nobody else uses.
pub(super) struct Scratch {
    pub(super) options: PgConnectOptions,
    pub(super) url: String,
    /// Where servers on it keep their keys and heads.
    pub(super) data: PathBuf,
    name: String,
}

impl Ground {
    /// The configured database's server, or a private one beside that of the data folder; durable
    /// in any case.
    pub(super) async fn find(config: &Config) -> Result<Self, BenchError> {
        let folder = config.data_dir.join("bench");
        std::fs::create_dir_all(&folder)?;
        let (base, cluster) = if let Some(url) = &config.database_url {
            let base = url
                .expose_secret()
                .parse()
                .map_err(|error| StartError::DatabaseUrl("DATABASE_URL", error))?;
            (base, None)
        } else {
            let cluster = Cluster::start(Mode::Durable, &folder.join("postgres"))
                .await
                .map_err(StartError::Embedded)?;
            (cluster.options("postgres"), Some(cluster))
        };
        let ground = Self { base, folder, next: AtomicU32::new(0), cluster };
        if ground.cluster.is_some() {
            ground.remove_leftovers().await?;
        }
        Ok(ground)
    }

    /// What a run left that was killed; only where the server is ours.
    async fn remove_leftovers(&self) -> Result<(), BenchError> {
        let mut db = self.connect().await?;
        let left: Vec<String> =
            sqlx::query_scalar("select datname from pg_database where starts_with(datname, $1)")
                .bind(PREFIX)
                .fetch_all(&mut db)
                .await?;
        for name in left {
            drop_database(&mut db, &name).await?;
        }
        Ok(())
    }

    /// Has segments of WAL lie ready, as they do in a database that has been up for a while: a new one has none to use
    /// again, and makes each of them in the midst of an append, for which everybody waits. Only where the server is ours.
    pub(super) async fn make_wal_ahead(&self) -> Result<(), BenchError> {
        if self.cluster.is_none() {
            return Ok(());
        }
        let mut db = self.connect().await?;
        for _ in 0..SEGMENTS_AHEAD {
            // One with nothing in it is not switched.
            let fill =
                sqlx::query("select pg_logical_emit_message(false, 'saldo', ''), pg_switch_wal()");
            fill.execute(&mut db).await?;
        }
        // From here on they are used again.
        sqlx::query("checkpoint").execute(&mut db).await?;
        Ok(())
    }

    /// Segments of WAL that lie ready; not told where the server is not ours, since not every role may know.
    pub(super) async fn wal_ahead(&self) -> Result<Option<f64>, BenchError> {
        if self.cluster.is_none() {
            return Ok(None);
        }
        let ahead = sqlx::query_scalar(
            "select count(*)::float8 from pg_ls_waldir() where name > pg_walfile_name(pg_current_wal_lsn())",
        );
        Ok(Some(ahead.fetch_one(&mut self.connect().await?).await?))
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, BenchError> {
        Ok(self.base.connect().await?)
    }

    /// A new database.
    pub(super) async fn scratch(&self) -> Result<Scratch, BenchError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}_{number}", std::process::id());
        let mut db = self.connect().await?;
        let create = AssertSqlSafe(format!("create database {name}"));
        sqlx::query(create).execute(&mut db).await?;
        let options = self.base.clone().database(&name);
        let url = match &self.cluster {
            Some(cluster) => cluster.url(&name),
            None => for_libpq(options.to_url_lossy()),
        };
        let data = self.folder.join(&name);
        Ok(Scratch { options, url, data, name })
    }

    /// Removes a database, whoever is connected.
    pub(super) async fn discard(&self, scratch: Scratch) -> Result<(), BenchError> {
        drop_database(&mut self.connect().await?, &scratch.name).await?;
        match std::fs::remove_dir_all(&scratch.data) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// The address as pgbench takes it: it knows no setting of sqlx's own.
fn for_libpq(mut url: reqwest::Url) -> String {
    let settings = url.query_pairs().into_owned();
    let known = settings.filter(|(name, _)| name != "statement-cache-capacity");
    let known: Vec<_> = known.collect();
    url.query_pairs_mut().clear().extend_pairs(known);
    url.to_string()
}

async fn drop_database(db: &mut PgConnection, name: &str) -> Result<(), BenchError> {
    let drop = AssertSqlSafe(format!("drop database {name} with (force)"));
    sqlx::query(drop).execute(db).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::for_libpq;

    #[test]
    fn an_address_has_only_settings_that_pgbench_knows() {
        let url =
            "postgres://me:secret@localhost:5432/db?sslmode=prefer&statement-cache-capacity=100";
        let url = for_libpq(url.parse().expect("an address"));
        assert_eq!(url, "postgres://me:secret@localhost:5432/db?sslmode=prefer");
    }
}
