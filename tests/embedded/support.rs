//! Folders, processes and servers of a test.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

#[path = "../shared/skip.rs"]
mod skip;

pub use skip::skip;

const PASSWORD: &str = "correct horse battery";
static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A folder of a test, removed at its end; a test that fails leaves it to be looked at.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("saldo-embedded-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("the temp folder can be written");
        // The server's user must be able to enter, whatever the umask.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, open).expect("the folder is ours");
        Self(path.canonicalize().expect("the folder is there"))
    }

    /// Where a server with this data folder has its private Postgres.
    pub fn postgres(&self) -> PathBuf {
        self.0.join("postgres")
    }

    /// The folder of the private Postgres's data.
    pub fn data(&self) -> PathBuf {
        data(&self.postgres())
    }

    /// The `saldo` program on this data folder, without a database of the environment.
    pub fn saldo(&self, argument: &str) -> Command {
        let mut saldo = Command::new(env!("CARGO_BIN_EXE_saldo"));
        saldo
            .arg(argument)
            .env_remove("DATABASE_URL")
            .env("SALDO_DATA_DIR", &self.0)
            .env("SALDO_LISTEN", "127.0.0.1:0")
            .env("RUST_LOG", "warn")
            .env("SALDO_RATE_LIMITS", "off")
            // No `.env` of a developer counts.
            .current_dir(&self.0)
            .stdin(Stdio::null());
        saldo
    }

    pub fn server(&self) -> Server {
        Server::start(self.saldo("serve"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            wait_until("its private Postgres is gone", || naming(&self.0).is_empty());
            std::fs::remove_dir_all(&self.0).expect("the folder can be removed");
        }
    }
}

/// The data folder in the folder of a cluster.
pub fn data(cluster: &Path) -> PathBuf {
    let entries = std::fs::read_dir(cluster).expect("the folder of a cluster");
    let mut data = entries.map(|entry| entry.expect("an entry").path()).filter(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("data-"))
    });
    data.next().expect("a data folder")
}

/// The number that the server's own file names.
pub fn postmaster(data: &Path) -> u32 {
    let file = std::fs::read_to_string(data.join("postmaster.pid")).expect("postmaster.pid");
    file.lines().next().and_then(|line| line.parse().ok()).expect("a process id")
}

/// The servers on data below this folder.
pub fn running(folder: &Path) -> Vec<u32> {
    let servers = naming(folder).into_iter().filter(|line| line.contains("postgres -D "));
    servers.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

/// The command lines, each after its process id, that name something below this folder: those of
/// servers and of their watchers.
pub fn naming(folder: &Path) -> Vec<String> {
    let list = Command::new("ps").args(["-A", "-ww", "-o", "pid=,command="]).output();
    let list = String::from_utf8_lossy(&list.expect("ps runs").stdout).into_owned();
    let below = format!("{}/", folder.display());
    list.lines().filter(|line| line.contains(&below)).map(str::to_owned).collect()
}

/// Whether a process is there, and not only waits to be asked how it ended.
pub fn is_alive(process: u32) -> bool {
    let state = Command::new("ps").args(["-o", "stat=", "-p", &process.to_string()]).output();
    let state = state.expect("ps runs").stdout;
    state.iter().any(|letter| !letter.is_ascii_whitespace()) && !state.starts_with(b"Z")
}

pub fn kill_9(process: u32) {
    let killed = Command::new("kill").args(["-9", &process.to_string()]).status();
    assert!(killed.expect("kill runs").success());
}

pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "a minute passed, and not yet: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a program that must fail said on stderr, in its one sentence.
pub fn complaint(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it succeeded: {said}");
    let sentences: Vec<_> = said.lines().filter(|line| line.starts_with("saldo: ")).collect();
    assert_eq!((sentences.len(), said.lines().count()), (1, 1), "{said}");
    said
}

/// A `saldo` that serves; killed when dropped.
pub struct Server {
    pub url: String,
    process: Child,
}

impl Server {
    pub fn start(mut saldo: Command) -> Self {
        let mut process = saldo.stdout(Stdio::piped()).spawn().expect("saldo can be started");
        let stdout = process.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let address = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = address.unwrap_or_else(|| panic!("the server said: {line}")).to_owned();
        Self { url, process }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether somebody new could sign up.
    pub async fn registers(&self, email: &str) -> bool {
        let body = serde_json::json!({ "email": email, "password": PASSWORD, "name": "Ada" });
        self.post("register", &body).await == 201
    }

    /// Whether somebody who signed up could sign in.
    pub async fn knows(&self, email: &str) -> bool {
        let body = serde_json::json!({ "email": email, "password": PASSWORD });
        self.post("login", &body).await == 200
    }

    async fn post(&self, path: &str, body: &serde_json::Value) -> u16 {
        let url = format!("{}/api/v1/auth/{path}", self.url);
        let answer =
            saldo::clients::http().build().expect("a client").post(url).json(body).send().await;
        answer.expect("the server answers").status().as_u16()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
