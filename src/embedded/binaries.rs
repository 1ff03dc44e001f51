//! Where the server's binaries are, and as whom they run: installed ones first, then those that we
//! bring along.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::EmbeddedError;
use super::{payload, runtime, wheel};

/// The oldest Postgres that Saldo runs on.
pub(super) const OLDEST: u32 = 15;

/// Set to anything but 0, it hides what is installed on the machine.
const NO_SYSTEM: &str = "SALDO_PG_NO_SYSTEM";

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
    /// Where their libraries are, when they do not know it themselves.
    libraries: Option<PathBuf>,
    pub(super) major: u32,
}

impl Binaries {
    /// The newest on this machine, or those of `wanted` when data of that version is there; else
    /// those that we bring along. The error says of each source what it gave.
    pub(super) fn find(account: Option<Account>, wanted: Option<u32>) -> Result<Self, Vec<String>> {
        let fits = |major| wanted.is_none_or(|wanted| wanted == major);
        let local = Self::local(account);
        let fitting = local.iter().flatten().filter(|local| fits(local.major));
        if let Some(newest) = fitting.max_by_key(|local| local.major) {
            return Ok(newest.clone());
        }
        let mut tried = vec![installed(local.as_deref())];
        if !fits(runtime::MAJOR) {
            tried.push(format!("brought along: PostgreSQL {}", runtime::MAJOR));
            return Err(tried);
        }
        let runtimes = [payload::RUNTIME, wheel::RUNTIME];
        if let Some(binaries) = runtimes.iter().find_map(|runtime| runtime.unpacked(account)) {
            return Ok(binaries);
        }
        for runtime in runtimes {
            match runtime.unpack(account) {
                Ok(binaries) => return Ok(binaries),
                Err(why) => tried.push(format!("{}: {why}", runtime.origin)),
            }
        }
        Err(tried)
    }

    /// What is installed on the machine; nothing when that is hidden.
    fn local(account: Option<Account>) -> Option<Vec<Self>> {
        if std::env::var(NO_SYSTEM).is_ok_and(|value| !["", "0"].contains(&&*value)) {
            return None;
        }
        let folders = candidates();
        Some(folders.iter().filter_map(|folder| Self::probe(folder, None, account).ok()).collect())
    }

    /// The binaries in a folder, when they run as the user that will run them; else why not.
    pub(super) fn probe(
        folder: &Path,
        libraries: Option<&Path>,
        account: Option<Account>,
    ) -> Result<Self, String> {
        if !folder.join("initdb").is_file() {
            return Err(format!("there is no initdb in {}", folder.display()));
        }
        let libraries = libraries.map(Path::to_owned);
        let mut binaries = Self { folder: folder.to_owned(), libraries, major: 0 };
        let output = binaries.command("postgres", account).arg("--version").output();
        let output = output.map_err(|error| format!("its binaries do not run here: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said.lines().next().unwrap_or("they say nothing");
            return Err(format!("its binaries do not run here: {line}"));
        }
        let version = String::from_utf8_lossy(&output.stdout);
        match major(&version) {
            Some(major) if major >= OLDEST => binaries.major = major,
            _ => return Err(format!("it is too old: {}", version.trim())),
        }
        Ok(binaries)
    }

    /// One of the programs, in a clean environment, as the right user.
    pub(super) fn command(&self, program: &str, account: Option<Account>) -> Command {
        let mut command = Command::new(self.folder.join(program));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::null());
        if let Some(libraries) = &self.libraries {
            let linux = cfg!(target_os = "linux");
            command.env(if linux { "LD_LIBRARY_PATH" } else { "DYLD_LIBRARY_PATH" }, libraries);
            // The binaries of the payload would look for data of ICU, which Saldo does not use.
            command.env("OLIPHAUNT_INTERNAL_SKIP_ICU_DISCOVERY", "1");
        }
        if let Some(Account { uid, gid }) = account {
            command.uid(uid).gid(gid);
        }
        command
    }
}

/// The major version in, say, `postgres (PostgreSQL) 18.6 (Debian)`.
fn major(version: &str) -> Option<u32> {
    let number =
        version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// What the machine has, as a sentence tells it.
fn installed(local: Option<&[Binaries]>) -> String {
    let Some(local) = local else { return format!("installed: hidden by {NO_SYSTEM}") };
    let majors: BTreeSet<u32> = local.iter().map(|local| local.major).collect();
    if majors.is_empty() {
        return "installed: none".to_owned();
    }
    let majors: Vec<_> = majors.iter().map(u32::to_string).collect();
    format!("installed: PostgreSQL {}", majors.join(" and "))
}

/// A program of an installed Postgres, such as `pgbench`.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    candidates().into_iter().map(|folder| folder.join(name)).find(|program| program.is_file())
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
