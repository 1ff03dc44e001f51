//! The embedded default: a private `PostgreSQL`, supervised by us, reached by a unix socket in a
//! folder that only its user may enter.
//!
//! Several processes may share it. It is stopped when its last user goes, even by `kill -9`: each
//! user holds a shared lock on a file, and a watcher waits for that lock.

mod binaries;
mod error;
mod home;
mod payload;
mod runtime;
mod server;
mod watcher;
mod wheel;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use binaries::Account;
pub use binaries::program;
pub use error::EmbeddedError;
use home::Home;
use server::Server;

const USER: &str = "saldo";
/// How long a server may take to be ready: a recovery after `kill -9` reads up to 1 GiB of log.
const READY: Duration = Duration::from_mins(2);

/// How a cluster treats its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What is committed stays, whatever is killed.
    Durable,
    /// For tests that kill nothing: fast, and lost with the machine.
    Disposable,
}

/// A running private cluster; in use until dropped.
pub struct Cluster {
    socket: PathBuf,
    data: PathBuf,
    user: File,
}

impl Cluster {
    /// Starts the cluster in `folder`, or joins it where it runs.
    pub async fn start(mode: Mode, folder: &Path) -> Result<Self, EmbeddedError> {
        let home = Home::at(folder, Account::to_run_as()?)?;
        // One starter at a time; it also waits for a watcher that is stopping the server.
        let (_starting, user) = home.locks().await?;
        let socket = home.socket()?;
        if let Some(major) = home.existing() {
            let (socket, data) = (socket.clone(), home.data(major));
            let cluster = Self { socket, data, user: home.reopen(&user)? };
            if cluster.is_running().await {
                return Ok(cluster);
            }
        }
        let preparing = home.clone();
        let prepared = tokio::task::spawn_blocking(move || preparing.prepare(mode)).await;
        let binaries = prepared.map_err(|error| home.failed(io::Error::other(error)))??;
        let data = home.data(binaries.major);
        let cluster = Self { socket, data, user };
        let deadline = Instant::now() + READY;
        loop {
            let mut server = Server::spawn(&home, &binaries, mode, &cluster.socket)?;
            let ready = cluster.wait_until_ready(&mut server, deadline).await;
            let again = ready.is_err() && server.met_the_last_one() && Instant::now() < deadline;
            server.reap();
            if !again {
                return ready.map(|()| cluster);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The same cluster once more: it runs until both are dropped.
    pub fn join(&self) -> io::Result<Self> {
        let (socket, data) = (self.socket.clone(), self.data.clone());
        Ok(Self { socket, data, user: self.user.try_clone()? })
    }

    /// How to connect to one of its databases. Nothing of the environment or of `.pgpass` counts.
    #[must_use]
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket)
            .port(5432)
            .username(USER)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
    }

    /// The same as an address.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@localhost/{database}?host={}", self.socket.display())
    }

    /// Makes the database when it is not there. The name is a constant of ours.
    pub async fn ensure(&self, database: &'static str) -> Result<(), EmbeddedError> {
        let mut db = self.options("postgres").connect().await?;
        // One maker at a time, until this connection ends: two meet in the catalogue's index.
        sqlx::query("select pg_advisory_lock(hashtext($1))")
            .bind(database)
            .execute(&mut db)
            .await?;
        let there: bool =
            sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
                .bind(database)
                .fetch_one(&mut db)
                .await?;
        if !there {
            let create = AssertSqlSafe(format!("create database {database}"));
            sqlx::query(create).execute(&mut db).await?;
        }
        Ok(db.close().await?)
    }

    /// The process id of the server.
    #[must_use]
    pub fn postmaster(&self) -> Option<u32> {
        let text = fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// Whether the server that `postmaster.pid` names answers. After `kill -9` the file is there
    /// and the server is not.
    async fn is_running(&self) -> bool {
        let deadline = Instant::now() + READY;
        while let Some(postmaster) = self.postmaster().filter(|_| Instant::now() < deadline) {
            if self.answers().await {
                return true;
            }
            if !watcher::serves(postmaster, &self.data) {
                // Left by a server that was killed. Another process may have its number now, and
                // Postgres would mistake that for it.
                let _ = fs::remove_file(self.data.join("postmaster.pid"));
                return false;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    async fn answers(&self) -> bool {
        let options = self.options("postgres");
        let answer = tokio::time::timeout(Duration::from_secs(2), options.connect()).await;
        answer.is_ok_and(|connected| connected.is_ok())
    }

    async fn wait_until_ready(
        &self,
        server: &mut Server,
        deadline: Instant,
    ) -> Result<(), EmbeddedError> {
        while !self.answers().await {
            if server.has_ended() || Instant::now() > deadline {
                return Err(server.why());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
