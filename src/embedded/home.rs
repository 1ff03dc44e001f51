//! The folder of a cluster: its data, locks, log and socket.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::binaries::{Account, Binaries};
use super::error::EmbeddedError;
use super::{Mode, USER};

/// A unix socket's path may have 107 bytes; this leaves room for its name.
const LONGEST_SOCKET: usize = 80;
const DRAFT: &str = "initdb-draft-";
/// How programs of Postgres say that the disk is full.
pub(super) const NO_SPACE: &str = "No space left on device";

/// The folder of a cluster.
#[derive(Clone)]
pub(super) struct Home {
    path: PathBuf,
    account: Option<Account>,
}

impl Home {
    pub(super) fn at(folder: &Path, account: Option<Account>) -> Result<Self, EmbeddedError> {
        let failed = |source| EmbeddedError::of_file(folder.to_owned(), source);
        fs::create_dir_all(folder).map_err(failed)?;
        // One name for one folder: a server is known by the folder in its command line.
        let wanted = folder.canonicalize().map_err(failed)?;
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

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn account(&self) -> Option<Account> {
        self.account
    }

    pub(super) fn failed(&self, source: io::Error) -> EmbeddedError {
        EmbeddedError::of_file(self.path.clone(), source)
    }

    pub(super) fn data(&self, major: u32) -> PathBuf {
        self.path.join(format!("data-{major}"))
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    pub(super) fn users(&self) -> PathBuf {
        self.path.join("users.lock")
    }

    /// The major version of the data that is there.
    pub(super) fn existing(&self) -> Option<u32> {
        let entries = fs::read_dir(&self.path).ok()?.flatten();
        let data = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("data-"));
        let version = |data: fs::DirEntry| fs::read_to_string(data.path().join("PG_VERSION")).ok();
        data.filter_map(|data| version(data)?.trim().parse().ok()).max()
    }

    /// Waits until nobody else starts or stops the server. The first lock is for the start, the
    /// second says that we use it.
    pub(super) async fn locks(&self) -> Result<(File, File), EmbeddedError> {
        let open = |path| {
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
        };
        let starting = open(self.path.join("start.lock")).map_err(|error| self.failed(error))?;
        let user = open(self.users()).map_err(|error| self.failed(error))?;
        let locked = tokio::task::spawn_blocking(move || {
            user.lock_shared()?;
            starting.lock()?;
            Ok((starting, user))
        });
        let locked = locked.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        locked.map_err(|error| self.failed(error))
    }

    pub(super) fn reopen(&self, user: &File) -> Result<File, EmbeddedError> {
        user.try_clone().map_err(|error| self.failed(error))
    }

    /// Finds binaries, and makes the data folder when it is not there.
    pub(super) fn prepare(&self, mode: Mode) -> Result<Binaries, EmbeddedError> {
        let existing = self.existing();
        let binaries = Binaries::find(self.account, existing).map_err(|tried| match existing {
            Some(data) => EmbeddedError::OtherMajor { path: self.path.clone(), data, tried },
            None => EmbeddedError::NoBinaries { tried },
        })?;
        if existing.is_none() {
            self.initialise(&binaries, mode)?;
        }
        Ok(binaries)
    }

    /// The socket's folder: beside the data, or in the temp folder when that path is too long.
    pub(super) fn socket(&self) -> Result<PathBuf, EmbeddedError> {
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
            .and_then(|()| match self.account {
                Some(account) => chown(path, Some(account.uid), Some(account.gid)),
                None => Ok(()),
            });
        made.map_err(|error| self.failed(error))
    }

    /// Makes the data folder under another name first, so that a killed attempt leaves nothing
    /// half made. The name is ours, since an orphaned initdb may still be at work in its own.
    fn initialise(&self, binaries: &Binaries, mode: Mode) -> Result<(), EmbeddedError> {
        self.remove_drafts();
        let draft = self.path.join(format!("{DRAFT}{}", std::process::id()));
        let locales: &[&[&str]] = if binaries.major >= 17 {
            &[&["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]]
        } else {
            // Not every machine has the first.
            &[&["--locale=C.UTF-8"], &["--locale=C"]]
        };
        let mut said = String::new();
        for locale in locales {
            self.private(&draft)?;
            let mut initdb = binaries.command("initdb", self.account);
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
                let data = self.data(binaries.major);
                return fs::rename(&draft, data).map_err(|error| self.failed(error));
            }
            said = String::from_utf8_lossy(&output.stderr).into_owned();
            self.remove_drafts();
        }
        if said.contains(NO_SPACE) {
            return Err(EmbeddedError::DiskFull { path: self.path.clone() });
        }
        Err(EmbeddedError::Initialise { path: self.path.clone(), said: one_line(&said, 5) })
    }

    fn remove_drafts(&self) {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(DRAFT) {
                // What cannot be removed is in nobody's way.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// The last lines of what a program said.
pub(super) fn one_line(said: &str, lines: usize) -> String {
    let lines: Vec<_> = said.lines().rev().take(lines).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
}

/// Whether another user can get there: every parent lets others through.
fn is_reachable(path: &Path) -> bool {
    path.ancestors().skip(1).all(|parent| {
        fs::metadata(parent).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    })
}
