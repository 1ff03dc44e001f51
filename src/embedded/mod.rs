//! The embedded default: a private `PostgreSQL`, supervised by us, reached by a unix socket in a
//! folder that only its user may enter.
//!
//! Several processes may share it. It is stopped when its last user goes, even by `kill -9`: each
//! user holds a shared lock on a file, and a watcher waits for that lock.

mod binaries;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use binaries::{Account, Binaries};

const USER: &str = "saldo";
/// How long a server may take to be ready: a recovery after `kill -9` reads up to 1 GiB of log.
const READY: Duration = Duration::from_mins(2);
/// A unix socket's path may have 107 bytes; this leaves room for its name.
const LONGEST_SOCKET: usize = 80;

/// How a cluster treats its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What is committed stays, whatever is killed.
    Durable,
    /// For tests that kill nothing: fast, and lost with the machine.
    Disposable,
}

/// Why there is no embedded database: one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No server binaries.
    #[error(
        "no PostgreSQL {} was found on this machine: install it (Debian, Ubuntu: apt-get install \
         postgresql; macOS: brew install postgresql@17), or set DATABASE_URL",
        wanted.map_or("15 or newer".to_owned(), |major| format!("{major}, whose data is in the data folder,"))
    )]
    NoBinaries { wanted: Option<u32> },
    /// Root may not run Postgres, and there is nobody to run it as.
    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody: start Saldo as another user, or set DATABASE_URL"
    )]
    NobodyToRunAs,
    /// The data folder cannot be used.
    #[error("the data folder {} cannot be used ({source}): check its permissions and the free space, or set SALDO_DATA_DIR", path.display())]
    Folder { path: PathBuf, source: io::Error },
    /// The disk is full.
    #[error("there is no space left for the data folder {}: free some, or set SALDO_DATA_DIR to another disk", path.display())]
    DiskFull { path: PathBuf },
    /// The server did not start.
    #[error("the private PostgreSQL did not start; its log {} ends with: {tail}", log.display())]
    Start { log: PathBuf, tail: String },
    /// The server started and does not answer.
    #[error("the private PostgreSQL does not answer: {0}")]
    Answer(#[from] sqlx::Error),
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
        let account = Account::to_run_as()?;
        let home = Home::at(folder, account)?;
        // One starter at a time; it also waits for a watcher that is stopping the server.
        let (starting, user) = home.locks().await?;
        let existing = home.existing();
        let socket = home.socket()?;
        if let Some(major) = existing {
            let data = home.data(major);
            let cluster = Self { socket: socket.clone(), data, user: home.reopen(&user)? };
            if cluster.is_running().await {
                return Ok(cluster);
            }
        }
        let binaries = Binaries::find(account, existing)?;
        let data = home.data(binaries.major);
        if !data.join("PG_VERSION").exists() {
            home.initialise(&binaries, mode, &data)?;
        }
        let mut server = home.spawn(&binaries, mode, &data, &socket)?;
        let cluster = Self { socket, data, user };
        cluster.wait_until_ready(&home, &mut server).await?;
        home.watch(server.id())?;
        // Whoever started the server reaps it.
        std::thread::spawn(move || server.wait());
        drop(starting);
        Ok(cluster)
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
        let there: bool =
            sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
                .bind(database)
                .fetch_one(&mut db)
                .await?;
        if !there {
            let create = AssertSqlSafe(format!("create database {database}"));
            let created = sqlx::query(create).execute(&mut db).await;
            let code = |error: &sqlx::Error| Some(error.as_database_error()?.code()?.into_owned());
            match created {
                // Another process was faster.
                Err(error) if code(&error).as_deref() == Some("42P04") => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
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
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Some(postmaster) = self.postmaster().filter(|_| Instant::now() < deadline) {
            if self.answers().await {
                return true;
            }
            if !is_postgres(postmaster) {
                // Left by a server that was killed; Postgres itself would mistake a process
                // that has its number now for it.
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

    async fn wait_until_ready(&self, home: &Home, server: &mut Child) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + READY;
        while !self.answers().await {
            if !matches!(server.try_wait(), Ok(None)) || Instant::now() > deadline {
                return Err(home.why_not_started());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// Whether this process is a Postgres server.
fn is_postgres(process: u32) -> bool {
    match fs::read_to_string(format!("/proc/{process}/comm")) {
        Ok(name) => name.trim().starts_with("postgres"),
        // No such process; or no /proc here, where the name cannot be told.
        Err(_) => !Path::new("/proc/self").exists(),
    }
}

/// The folder of a cluster.
struct Home {
    path: PathBuf,
    account: Option<Account>,
}

impl Home {
    fn at(folder: &Path, account: Option<Account>) -> Result<Self, EmbeddedError> {
        let failed = |source| EmbeddedError::Folder { path: folder.to_owned(), source };
        let wanted = std::path::absolute(folder).map_err(failed)?;
        fs::create_dir_all(&wanted).map_err(failed)?;
        let path = match account {
            Some(_) if !is_reachable(&wanted) => {
                // Postgres runs as another user, who cannot enter, say, /root.
                let tag =
                    wanted.to_string_lossy().bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                    });
                PathBuf::from(format!("/var/lib/saldo-data-{tag:016x}"))
            }
            _ => wanted,
        };
        fs::create_dir_all(&path).map_err(failed)?;
        if account.is_some() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o711)).map_err(failed)?;
        }
        Ok(Self { path, account })
    }

    fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    fn failed(&self, source: io::Error) -> EmbeddedError {
        match source.kind() {
            io::ErrorKind::StorageFull => EmbeddedError::DiskFull { path: self.path.clone() },
            _ => EmbeddedError::Folder { path: self.path.clone(), source },
        }
    }

    fn data(&self, major: u32) -> PathBuf {
        self.path.join(format!("data-{major}"))
    }

    /// The major version of the data that is there.
    fn existing(&self) -> Option<u32> {
        let entries = fs::read_dir(&self.path).ok()?;
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("data-")?.parse().ok())
            .max()
    }

    async fn locks(&self) -> Result<(File, File), EmbeddedError> {
        let open = |name| {
            let path = self.path.join(name);
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
        };
        let starting = open("start.lock").map_err(|error| self.failed(error))?;
        let user = open("users.lock").map_err(|error| self.failed(error))?;
        let locked = tokio::task::spawn_blocking(move || {
            user.lock_shared()?;
            starting.lock()?;
            Ok((starting, user))
        });
        locked
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| self.failed(error))
    }

    fn reopen(&self, user: &File) -> Result<File, EmbeddedError> {
        user.try_clone().map_err(|error| self.failed(error))
    }

    /// The socket's folder: beside the data, or in the temp folder when that path is too long.
    fn socket(&self) -> Result<PathBuf, EmbeddedError> {
        use std::os::unix::fs::MetadataExt;
        let mut socket = self.path.join("socket");
        if socket.as_os_str().len() > LONGEST_SOCKET {
            let inode = fs::metadata(&self.path).map_err(|error| self.failed(error))?.ino();
            socket = std::env::temp_dir().join(format!("saldo-socket-{inode:x}"));
        }
        self.private(&socket)?;
        Ok(socket)
    }

    /// A folder that only the server's user, and root, may enter.
    fn private(&self, path: &Path) -> Result<(), EmbeddedError> {
        let made = fs::create_dir_all(path)
            .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)))
            .and_then(|()| match self.account() {
                Some(account) => chown(path, Some(account.uid), Some(account.gid)),
                None => Ok(()),
            });
        made.map_err(|error| self.failed(error))
    }

    /// Makes the data folder under another name first, so that a killed attempt leaves nothing
    /// half made.
    fn initialise(
        &self,
        binaries: &Binaries,
        mode: Mode,
        data: &Path,
    ) -> Result<(), EmbeddedError> {
        let draft = self.path.join("initdb-draft");
        let locales: &[&[&str]] = if binaries.major >= 17 {
            &[&["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]]
        } else {
            &[&["--locale=C.UTF-8"], &["--locale=C"]]
        };
        let mut said = String::new();
        for locale in locales {
            let _ = fs::remove_dir_all(&draft);
            self.private(&draft)?;
            let mut initdb = binaries.command("initdb", self.account());
            initdb
                .arg("-D")
                .arg(&draft)
                .args(["-U", USER, "-E", "UTF8", "--auth-local=trust", "--auth-host=reject"])
                .args(["--no-instructions", "--data-checksums"])
                .args(*locale);
            if mode == Mode::Disposable {
                initdb.arg("--no-sync");
            }
            let output = initdb.output().map_err(|error| self.failed(error))?;
            if output.status.success() {
                return fs::rename(&draft, data).map_err(|error| self.failed(error));
            }
            said = String::from_utf8_lossy(&output.stderr).into_owned();
        }
        if said.contains("No space left on device") {
            return Err(EmbeddedError::DiskFull { path: self.path.clone() });
        }
        Err(EmbeddedError::Start { log: self.log(), tail: said })
    }

    fn spawn(
        &self,
        binaries: &Binaries,
        mode: Mode,
        data: &Path,
        socket: &Path,
    ) -> Result<Child, EmbeddedError> {
        let log = OpenOptions::new().create(true).append(true).open(self.log());
        let log = log.map_err(|error| self.failed(error))?;
        let errors = log.try_clone().map_err(|error| self.failed(error))?;
        let mut server = binaries.command("postgres", self.account());
        server.arg("-D").arg(data).arg("-k").arg(socket);
        for setting in settings(mode) {
            server.args(["-c", setting]);
        }
        // A Ctrl-C that is meant for us must not reach it.
        server.stdout(log).stderr(errors).process_group(0);
        server.spawn().map_err(|error| self.failed(error))
    }

    /// Leaves somebody behind who stops the server when nobody holds `users.lock` any more.
    fn watch(&self, postmaster: u32) -> Result<(), EmbeddedError> {
        let watcher = Command::new("flock")
            .arg("--exclusive")
            .arg(self.path.join("users.lock"))
            .args(["kill", "-INT", &postmaster.to_string()])
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        let mut watcher = watcher.map_err(|error| self.failed(error))?;
        std::thread::spawn(move || watcher.wait());
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    fn why_not_started(&self) -> EmbeddedError {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        if text.lines().rev().take(30).any(|line| line.contains("No space left on device")) {
            return EmbeddedError::DiskFull { path: self.path.clone() };
        }
        let tail = text.lines().rev().take(5).collect::<Vec<_>>();
        let tail = tail.into_iter().rev().collect::<Vec<_>>().join(" / ");
        EmbeddedError::Start { log: self.log(), tail }
    }
}

/// Whether another user can get there: every parent lets others through.
fn is_reachable(path: &Path) -> bool {
    path.ancestors().skip(1).all(|parent| {
        fs::metadata(parent).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    })
}

fn settings(mode: Mode) -> impl Iterator<Item = &'static str> {
    let both = [
        "listen_addresses=",
        "unix_socket_permissions=0700",
        "max_connections=300",
        "shared_buffers=256MB",
        "timezone=UTC",
        "log_timezone=UTC",
        "jit=off",
        "max_parallel_workers_per_gather=0",
        "log_min_messages=warning",
        "log_checkpoints=off",
        "logging_collector=off",
        "lc_messages=C",
        "max_wal_size=1GB",
    ];
    let own: &[_] = match mode {
        Mode::Durable => &["fsync=on", "synchronous_commit=on", "full_page_writes=on"],
        Mode::Disposable => &[
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "wal_level=minimal",
            "max_wal_senders=0",
            "autovacuum=off",
            "checkpoint_timeout=1h",
        ],
    };
    both.into_iter().chain(own.iter().copied())
}
