//! A server process, from its spawn until it answers.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Child;

use super::Mode;
use super::binaries::Binaries;
use super::error::EmbeddedError;
use super::home::{Home, NO_SPACE, one_line};
use super::watcher;

/// A server that needs more than this to start (a segment of its log) has met a full disk.
const LITTLE_SPACE: u64 = 16 << 20;

/// A server that was just spawned, with its watcher.
pub(super) struct Server {
    process: Child,
    watcher: Child,
    folder: PathBuf,
    log: PathBuf,
    /// Where its own lines begin in the log.
    from: usize,
}

impl Server {
    pub(super) fn spawn(
        home: &Home,
        binaries: &Binaries,
        mode: Mode,
        socket: &Path,
    ) -> Result<Self, EmbeddedError> {
        let data = home.data(binaries.major);
        let from = fs::metadata(home.log()).map_or(0, |log| log.len());
        let log = OpenOptions::new().create(true).append(true).open(home.log());
        let log = log.map_err(|error| home.failed(error))?;
        let errors = log.try_clone().map_err(|error| home.failed(error))?;
        let mut server = binaries.command("postgres", home.account());
        server.arg("-D").arg(&data).arg("-k").arg(socket);
        for setting in settings(mode) {
            server.args(["-c", setting]);
        }
        // glibc would give memory back to the system after every statement, and fetch it again.
        server.envs([("MALLOC_TRIM_THRESHOLD_", "8388608"), ("MALLOC_TOP_PAD_", "1048576")]);
        // A Ctrl-C that is meant for us must not reach it.
        server.stdout(log).stderr(errors).process_group(0);
        let mut process = server.spawn().map_err(|error| home.failed(error))?;
        match watcher::watch(&home.users(), process.id(), &data) {
            Ok(watcher) => Ok(Self {
                process,
                watcher,
                folder: home.path().to_owned(),
                log: home.log(),
                from: usize::try_from(from).unwrap_or(usize::MAX),
            }),
            Err(error) => {
                // It has done nothing yet, and nobody would stop it.
                let _ = process.kill();
                let _ = process.wait();
                Err(match error.kind() {
                    io::ErrorKind::NotFound => EmbeddedError::NoWatcher,
                    _ => home.failed(error),
                })
            }
        }
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Whether processes of a server that was killed keep the data for a moment more.
    pub(super) fn met_the_last_one(&self) -> bool {
        self.said().contains("pre-existing shared memory block")
    }

    /// Why it ended. A server without space can often not even say so.
    pub(super) fn why(&self) -> EmbeddedError {
        let said = self.said();
        let space = rustix::fs::statvfs(&self.folder);
        let little = space.is_ok_and(|space| space.f_bavail * space.f_frsize < LITTLE_SPACE);
        if little || said.contains(NO_SPACE) {
            return EmbeddedError::DiskFull { path: self.folder.clone() };
        }
        EmbeddedError::Start { log: self.log.clone(), tail: one_line(&said, 5) }
    }

    fn said(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(log.get(self.from..).unwrap_or_default()).into_owned()
    }

    /// Whoever started the server reaps it; a watcher without a server has nothing to wait for.
    pub(super) fn reap(mut self) {
        std::thread::spawn(move || {
            let _ = self.process.wait();
            let _ = self.watcher.kill();
            let _ = self.watcher.wait();
        });
    }
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
        Mode::Durable => &[
            "fsync=on",
            "synchronous_commit=on",
            "full_page_writes=on",
            // Segments that were made once are used again: everybody waits while an append makes one.
            "min_wal_size=512MB",
        ],
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
