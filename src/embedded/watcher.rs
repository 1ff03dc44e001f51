//! Who stops the server when its last user goes, even by `kill -9`.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Programs that run another while they hold an exclusive lock on a file: flock(1) is of every
/// Linux, perl of macOS, which has no flock(1). A program of our own would be missing where tests
/// or others use this library, and a fork without exec is unsafe.
const LOCKERS: &[&[&str]] = &[
    &["flock", "--exclusive"],
    &["perl", "-e", r#"open(my $lock, "<", shift); flock($lock, 2) and system(@ARGV)"#],
];

/// Interrupts the server and waits for its end, since new users must not meet it half stopped: they
/// wait for the lock. The number `$1` may belong to another process by then, so that its command
/// line must name the data folder `$2`; that of a dead process that nobody waited for is empty.
const STOP: &str = r#"
serves() { { cat "/proc/$1/cmdline" || ps -o command= -p "$1"; } | grep -qF -- "$2"; }
serves "$@" && kill -INT "$1" || exit
left=600
while serves "$@" && [ "$left" -gt 0 ]; do sleep 0.1; left=$((left - 1)); done
"#;

/// Leaves somebody behind who stops the server `process` of the data folder `data` as soon as
/// nobody holds `users` any more. `NotFound` when there is no program for it.
pub(super) fn watch(users: &Path, process: u32, data: &Path) -> io::Result<Child> {
    let mut tried = Err(io::ErrorKind::NotFound.into());
    for locker in LOCKERS {
        tried = watch_by(locker, users, process, data);
        if !matches!(&tried, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            break;
        }
    }
    tried
}

fn watch_by(locker: &[&str], users: &Path, process: u32, data: &Path) -> io::Result<Child> {
    use std::os::unix::process::CommandExt;
    Command::new(locker[0])
        .args(&locker[1..])
        .arg(users)
        .args(["/bin/sh", "-c", STOP, "watcher", &process.to_string()])
        .arg(data)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A Ctrl-C that is meant for us must not reach it.
        .process_group(0)
        .spawn()
}

/// Whether this process is the server of the data folder: its command line names it.
pub(super) fn serves(process: u32, data: &Path) -> bool {
    let line = std::fs::read(format!("/proc/{process}/cmdline")).or_else(|_| {
        let ps = Command::new("ps").args(["-o", "command=", "-p", &process.to_string()]).output();
        ps.map(|output| output.stdout)
    });
    let data = data.as_os_str().as_encoded_bytes();
    line.is_ok_and(|line| line.windows(data.len()).any(|part| part == data))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, Instant};

    use super::*;

    /// Watches a process, says whether the watcher stopped it when the lock was let go.
    fn is_stopped(locker: &[&str], name: &str, named: &str) -> bool {
        let folder = std::env::temp_dir().join(format!("saldo-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let lock = File::create(folder.join("users.lock")).expect("a lock");
        lock.lock_shared().expect("the lock is free");
        let mut server = Command::new("sh");
        server.args(["-c", "while :; do sleep 0.05; done", "postgres", named]);
        let mut server = server.spawn().expect("sh runs");
        let users = folder.join("users.lock");
        let mut watcher =
            watch_by(locker, &users, server.id(), Path::new("/saldo/data-15")).expect("a watcher");
        std::thread::sleep(Duration::from_millis(200));
        let waited = matches!(server.try_wait(), Ok(None));
        drop(lock);
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut stopped = false;
        while !stopped && Instant::now() < deadline && matches!(watcher.try_wait(), Ok(None)) {
            stopped = matches!(server.try_wait(), Ok(Some(_)));
            std::thread::sleep(Duration::from_millis(10));
        }
        stopped |= matches!(server.try_wait(), Ok(Some(_)));
        let _ = server.kill();
        server.wait().expect("it was started");
        watcher.wait().expect("it was started");
        std::fs::remove_dir_all(&folder).expect("the folder can be removed");
        assert!(waited, "it was stopped before its last user went");
        stopped
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn flock_stops_the_server_when_the_last_user_goes() {
        assert!(is_stopped(LOCKERS[0], "flock", "/saldo/data-15"));
    }

    #[test]
    fn perl_stops_the_server_when_the_last_user_goes() {
        assert!(is_stopped(LOCKERS[1], "perl", "/saldo/data-15"));
    }

    #[test]
    fn another_program_that_has_the_number_of_the_server_is_left_alone() {
        assert!(!is_stopped(LOCKERS[1], "other", "/elsewhere/data-15"));
    }
}
