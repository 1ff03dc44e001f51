//! A Redis of one's own, on a port of this machine that was free, and what can become of it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;

use crate::skip::skip;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// How often a server is looked for that has just been started: every 20 ms.
const LOOKS: usize = 500;

/// A server; killed when dropped.
pub struct RedisServer {
    port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    process: Child,
}

impl RedisServer {
    /// A new one that writes nothing to a disk by itself; none, and said aloud, where there is no program.
    pub async fn start() -> Option<Self> {
        Self::with(vec![]).await
    }

    /// The same, with settings of its own, as on the command line.
    pub async fn with(arguments: Vec<String>) -> Option<Self> {
        if let Err(error) = Command::new("redis-server").arg("--version").output() {
            skip(&format!("redis-server cannot be run: {error}; install it"));
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let own = format!("saldo-redis-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(own);
        std::fs::create_dir_all(&folder).expect("a folder");
        // Somebody else may take the port before the server does.
        for _ in 0..5 {
            let port = free_port();
            let process = run(port, &folder, &arguments);
            let (folder, arguments) = (folder.clone(), arguments.clone());
            let mut server = Self { port, folder, arguments, process };
            if server.answers().await {
                return Some(server);
            }
        }
        panic!("redis-server does not start in {}", folder.display());
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Asks it something by itself.
    pub async fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let mut connection = self.connection().await.expect("Redis answers");
        let mut asked = redis::cmd(command[0]);
        asked.arg(&command[1..]);
        asked.query_async(&mut connection).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// All that is kept there, by its key and field.
    pub async fn kept(&self) -> Vec<(String, String, String)> {
        let mut all = Vec::new();
        for key in self.ask::<Vec<String>>(&["KEYS", "*"]).await {
            let fields: Vec<(String, String)> = self.ask(&["HGETALL", &key]).await;
            all.extend(fields.into_iter().map(|(field, value)| (key.clone(), field, value)));
        }
        all
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it ends");
    }

    /// Writes all to the disk, where it is found after a restart.
    pub async fn save(&self) {
        self.ask::<()>(&["SAVE"]).await;
    }

    /// Starts it again where it was, with what it had on its disk.
    pub async fn restart(&mut self) {
        self.process = run(self.port, &self.folder, &self.arguments);
        assert!(self.answers().await, "redis-server does not start again");
    }

    /// Has it stand still: it takes connections, and answers nothing.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Has it go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits until it answers; no, when it has ended.
    async fn answers(&mut self) -> bool {
        for _ in 0..LOOKS {
            if self.process.try_wait().expect("it is ours").is_some() {
                return false;
            }
            if self.connection().await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    async fn connection(&self) -> redis::RedisResult<MultiplexedConnection> {
        let mut connection =
            redis::Client::open(self.url())?.get_multiplexed_async_connection().await?;
        redis::cmd("PING").exec_async(&mut connection).await?;
        Ok(connection)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("a port").port()
}

fn run(port: u16, folder: &Path, arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .args(["--appendonly", "no", "--dir"])
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server can be run")
}
