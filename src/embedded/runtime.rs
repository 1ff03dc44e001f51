//! Postgres that we bring along where the machine has none.
//!
//! It is unpacked once, into the user's cache: data folders come and go, and it is large.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::binaries::{Account, Binaries};

/// The major version of all that we bring along.
pub(super) const MAJOR: u32 = 18;

/// A source of server binaries, and where they are in what it unpacks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runtime {
    /// How a sentence calls the source.
    pub(super) origin: &'static str,
    /// Its folder in the cache; another version has another name.
    pub(super) name: &'static str,
    /// Where the programs are.
    pub(super) programs: &'static str,
    /// Where the libraries are, when the programs do not know it themselves.
    pub(super) libraries: Option<&'static str>,
    /// Unpacks into an empty folder, or says why it cannot.
    pub(super) fill: fn(&Path) -> Result<(), String>,
}

impl Runtime {
    /// What was unpacked before.
    pub(super) fn unpacked(&self, account: Option<Account>) -> Option<Binaries> {
        self.probe(&cache(account).ok()?.join(self.name), account).ok()
    }

    /// Unpacks it. An attempt that fails leaves nothing behind.
    pub(super) fn unpack(&self, account: Option<Account>) -> Result<Binaries, String> {
        self.unpack_below(&cache(account)?, account)
    }

    fn unpack_below(&self, cache: &Path, account: Option<Account>) -> Result<Binaries, String> {
        let open = || {
            fs::create_dir_all(cache)?;
            let mode = if account.is_some() { 0o755 } else { 0o700 };
            fs::set_permissions(cache, fs::Permissions::from_mode(mode))
        };
        open().map_err(|error| unusable(cache, &error))?;
        // One at a time; whoever had to wait finds it unpacked.
        let lock = File::create(cache.join("unpack.lock"))
            .and_then(|lock| lock.lock().map(|()| lock))
            .map_err(|error| unusable(cache, &error))?;
        let folder = cache.join(self.name);
        if let Ok(binaries) = self.probe(&folder, account) {
            return Ok(binaries);
        }
        let draft = cache.join(format!("{}.draft", self.name));
        // Left by a process that was killed.
        let _ = fs::remove_dir_all(&draft);
        let unpacked = self.unpack_into(&draft, account).and_then(|()| {
            let _ = fs::remove_dir_all(&folder);
            fs::rename(&draft, &folder).map_err(|error| unusable(&folder, &error))
        });
        if let Err(why) = unpacked {
            let _ = fs::remove_dir_all(&draft);
            return Err(why);
        }
        drop(lock);
        self.probe(&folder, account)
    }

    fn unpack_into(&self, draft: &Path, account: Option<Account>) -> Result<(), String> {
        fs::create_dir(draft).map_err(|error| unusable(draft, &error))?;
        (self.fill)(draft)?;
        if account.is_some() {
            let_others_read(draft).map_err(|error| unusable(draft, &error))?;
        }
        self.probe(draft, account).map(|_| ())
    }

    fn probe(&self, folder: &Path, account: Option<Account>) -> Result<Binaries, String> {
        let libraries = self.libraries.map(|libraries| folder.join(libraries));
        Binaries::probe(&folder.join(self.programs), libraries.as_deref(), account)
    }
}

/// Where unpacked runtimes are kept. Root's own cache is often closed to the user that runs them.
fn cache(account: Option<Account>) -> Result<PathBuf, String> {
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = named("XDG_CACHE_HOME").or_else(|| match account {
        Some(_) => Some("/var/cache".into()),
        None => Some(named("HOME")?.join(".cache")),
    });
    Ok(base.ok_or("neither HOME nor XDG_CACHE_HOME is set")?.join("saldo"))
}

fn unusable(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be used ({error})", path.display())
}

/// The umask may have kept others out, and somebody else will run it.
fn let_others_read(path: &Path) -> std::io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = metadata.permissions().mode();
    let runs = metadata.is_dir() || mode & 0o100 != 0;
    let others = if runs { 0o055 } else { 0o044 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode | others))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            let_others_read(&entry?.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills the folder with a program that says what it is told.
    fn with_program(folder: &Path, says: &str) -> Result<(), String> {
        let programs = folder.join("bin");
        fs::create_dir(&programs).map_err(|error| error.to_string())?;
        for name in ["postgres", "initdb"] {
            let program = programs.join(name);
            fs::write(&program, format!("#!/bin/sh\n{says}\n")).expect("the folder is ours");
            fs::set_permissions(program, fs::Permissions::from_mode(0o700)).expect("it is ours");
        }
        Ok(())
    }

    fn unpacked(
        name: &'static str,
        fill: fn(&Path) -> Result<(), String>,
    ) -> (String, Vec<String>) {
        let folder = std::env::temp_dir().join(format!("saldo-{name}-{}", std::process::id()));
        let runtime = Runtime { origin: "a test", name, programs: "bin", libraries: None, fill };
        let account = Account::to_run_as().expect("somebody to run as");
        let found = runtime.unpack_below(&folder, account);
        let said = found.map_or_else(|why| why, |binaries| binaries.major.to_string());
        let entries = fs::read_dir(&folder).expect("the cache is there");
        let left = entries.map(|entry| entry.expect("an entry").file_name());
        let mut left: Vec<_> = left.map(|name| name.to_string_lossy().into_owned()).collect();
        left.sort();
        fs::remove_dir_all(&folder).expect("the cache is ours");
        (said, left)
    }

    #[test]
    fn what_was_unpacked_and_runs_as_the_right_user_is_kept() {
        let (said, left) = unpacked("kept", |to| with_program(to, "echo 'postgres 18.6'"));
        assert_eq!(said, "18");
        assert_eq!(left, ["kept", "unpack.lock"]);
    }

    #[test]
    fn what_does_not_run_here_leaves_nothing() {
        let (said, left) =
            unpacked("fails", |to| with_program(to, "echo no such libc >&2; exit 1"));
        assert_eq!(said, "its binaries do not run here: no such libc");
        assert_eq!(left, ["unpack.lock"]);
    }

    #[test]
    fn a_source_that_fails_half_way_leaves_nothing() {
        let (said, left) = unpacked("half", |to| {
            with_program(to, "true").and_then(|()| Err("the network is gone".to_owned()))
        });
        assert_eq!(said, "the network is gone");
        assert_eq!(left, ["unpack.lock"]);
    }
}
