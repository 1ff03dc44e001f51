//! Where the server's binaries are, and as whom they run.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::EmbeddedError;

/// The oldest Postgres that Saldo runs on.
const OLDEST: u32 = 15;

/// Who runs the server when we are root, since Postgres refuses to be root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// Nobody else, unless we are root.
    pub(super) fn to_run_as() -> Result<Option<Self>, EmbeddedError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(Self::named)
            .map(Some)
            .ok_or(EmbeddedError::NobodyToRunAs)
    }

    fn named(name: &str) -> Option<Self> {
        let number = |flag| {
            let output = Command::new("id").args([flag, name]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        Some(Self { uid: number("-u")?, gid: number("-g")? })
    }
}

/// A folder with the server's programs.
#[derive(Clone, Debug)]
pub(super) struct Binaries {
    folder: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    /// The newest on this machine, or those of `wanted` when data of that version is there.
    pub(super) fn find(
        account: Option<Account>,
        wanted: Option<u32>,
    ) -> Result<Self, EmbeddedError> {
        candidates()
            .iter()
            .filter_map(|folder| Self::probe(folder, account.as_ref()))
            .filter(|binaries| wanted.is_none_or(|major| binaries.major == major))
            .max_by_key(|binaries| binaries.major)
            .ok_or(EmbeddedError::NoBinaries { wanted })
    }

    /// The binaries in a folder, when they run as the user that will run them.
    fn probe(folder: &Path, account: Option<&Account>) -> Option<Self> {
        if !folder.join("initdb").is_file() {
            return None;
        }
        let mut binaries = Self { folder: folder.to_owned(), major: 0 };
        let output = binaries.command("postgres", account).arg("--version").output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?;
        let number = version
            .split_whitespace()
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        binaries.major = number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        (output.status.success() && binaries.major >= OLDEST).then_some(binaries)
    }

    /// One of the programs, in a clean environment, as the right user.
    pub(super) fn command(&self, program: &str, account: Option<&Account>) -> Command {
        let mut command = Command::new(self.folder.join(program));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::null());
        if let Some(Account { uid, gid }) = account {
            command.uid(*uid).gid(*gid);
        }
        command
    }
}

/// Where distributions put Postgres.
fn candidates() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    folders.extend(below("/usr/lib/postgresql", "", "bin"));
    folders.extend(below("/usr", "pgsql-", "bin"));
    folders.extend(below("/usr/libexec", "postgresql", ""));
    folders.extend(below("/opt/homebrew/opt", "postgresql", "bin"));
    folders.extend(below("/usr/local/opt", "postgresql", "bin"));
    folders.extend(below("/Applications/Postgres.app/Contents/Versions", "", "bin"));
    folders.push("/usr/local/pgsql/bin".into());
    folders
}

fn below(parent: &str, prefix: &str, tail: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return vec![] };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(tail))
        .collect()
}
