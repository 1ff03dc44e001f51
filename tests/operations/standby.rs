//! A standby of a test's own, that follows its database by streaming.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::{Mutex, MutexGuard};

use crate::skip::skip;
use crate::support::Database;

/// One at a time: what a test of a database does at its end, such as to drop it, every standby of its server repeats.
static ALONE: Mutex<()> = Mutex::const_new(());

/// How often it is looked at whether it answers: every 50 ms.
const LOOKS: usize = 1200;

/// A running standby; killed when dropped.
pub struct Standby {
    command: Command,
    process: Child,
    folder: PathBuf,
    options: PgConnectOptions,
    database: String,
    _alone: MutexGuard<'static, ()>,
}

impl Standby {
    /// A copy of the database's server, taken while that runs; none, and said aloud, where nobody tells by which
    /// program it runs.
    pub async fn of(database: &Database) -> Option<Self> {
        let alone = ALONE.lock().await;
        let socket = database.socket();
        let mut primary = database.options().connect().await.expect("the database answers");
        let data: String = ask(&mut primary, "show data_directory").await;
        let pid = std::fs::read_to_string(Path::new(&data).join("postmaster.pid")).expect("a file");
        let pid = pid.lines().next().expect("a process").trim().to_owned();
        let Ok(program) = std::fs::read_link(format!("/proc/{pid}/exe")) else {
            skip("there is no /proc here, which tells by which program Postgres runs");
            return None;
        };
        // Short: the path of a socket may not be long.
        let folder = std::env::temp_dir().join(format!("saldo-standby-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let copy = folder.join("data");
        copy_running(&mut primary, &data, &copy).await;
        let host = socket.display();
        follow(&copy, &format!("host={host} port=5432 user=saldo application_name=standby"));
        let mut command = Command::new(program);
        // What the one that is followed was told on its command line, the other must be told as well.
        for setting in ["max_connections", "max_wal_senders", "max_worker_processes"] {
            let value: String = ask(&mut primary, &format!("show {setting}")).await;
            command.args(["-c", &format!("{setting}={value}")]);
        }
        primary.close().await.expect("it lets go");
        let owner = std::fs::metadata(&data).expect("a folder");
        let named = format!("{}:{}", owner.uid(), owner.gid());
        let handed_over = Command::new("chown").arg("-R").arg(named).arg(&folder).status();
        assert!(handed_over.is_ok_and(|it| it.success()), "it has an owner");
        command.arg("-D").arg(&copy).arg("-k").arg(&folder);
        command.args(["-c", "listen_addresses=", "-c", "logging_collector=off", "-p", "5432"]);
        command.uid(owner.uid()).gid(owner.gid()).current_dir(&folder);
        command.envs(environment_of(&pid)).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("a standby can be started");
        let options = database.options().socket(&folder);
        let database = database.name.clone();
        let standby = Self { command, process, folder, options, database, _alone: alone };
        standby.answers().await;
        Some(standby)
    }

    pub fn url(&self) -> String {
        format!("postgres://saldo@localhost/{}?host={}", self.database, self.folder.display())
    }

    /// Waits until it has all of the log, and all that follows from it.
    pub async fn has_all_of(&self, database: &Database) {
        let mut primary = database.options().connect().await.expect("the database answers");
        let head = ask(&mut primary, "select position::text from log_head").await;
        let all = format!("select (min(position) >= {head})::text from projections.checkpoints");
        let mut connection = self.options.connect().await.expect("the standby answers");
        for _ in 0..LOOKS {
            if ask(&mut connection, &all).await == "true" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the standby never has all up to {head}");
    }

    /// Goes on receiving, and shows nothing new.
    pub async fn stand_still(&self) {
        self.tell("select pg_wal_replay_pause()").await;
    }

    /// Shows what it has received.
    pub async fn go_on(&self) {
        self.tell("select pg_wal_replay_resume()").await;
    }

    async fn tell(&self, what: &str) {
        let mut connection = self.options.connect().await.expect("the standby answers");
        sqlx::query(sqlx::AssertSqlSafe(what)).execute(&mut connection).await.expect("it does");
    }

    pub fn kill(&mut self) {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it ends");
    }

    pub async fn restart(&mut self) {
        let _ = std::fs::remove_file(self.folder.join("data/postmaster.pid"));
        self.process = self.command.spawn().expect("a standby can be started");
        self.answers().await;
    }

    async fn answers(&self) {
        for _ in 0..LOOKS {
            if let Ok(connection) = self.options.connect().await {
                let _ = connection.close().await;
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the standby does not answer");
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn ask(connection: &mut PgConnection, question: &str) -> String {
    let answer = sqlx::query_scalar(sqlx::AssertSqlSafe(question)).fetch_one(connection).await;
    answer.expect("an answer")
}

/// "Making a base backup using the low level API", as Postgres' manual has it.
async fn copy_running(primary: &mut PgConnection, from: &str, to: &Path) {
    ask(primary, "select pg_backup_start('standby', fast => true)::text").await;
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    // What vanishes while it is copied was temporary.
    assert!(copied.code().is_some_and(|code| code <= 1), "{copied}");
    let label =
        ask(primary, "select labelfile from pg_backup_stop(wait_for_archive => false)").await;
    std::fs::write(to.join("backup_label"), label).expect("a file");
    let _ = std::fs::remove_file(to.join("postmaster.pid"));
}

fn follow(data: &Path, primary: &str) {
    std::fs::write(data.join("standby.signal"), "").expect("a file");
    let settings = format!("primary_conninfo = '{primary}'\n");
    std::fs::write(data.join("postgresql.auto.conf"), settings).expect("a file");
}

/// The libraries of a Postgres that does not know where they are.
fn environment_of(pid: &str) -> Vec<(String, String)> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let variables = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let libraries = variables.filter(|variable| variable.starts_with("LD_LIBRARY_PATH="));
    libraries
        .filter_map(|it| it.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())))
        .collect()
}
