//! Packages of other languages, installed once for each set of files by whichever test comes first.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use saldo::store::hex;
use sha2::{Digest, Sha256};

use crate::skip::skip;

/// What installs what a `package-lock.json` names.
pub const NPM: &[&str] = &["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"];

/// What installs what a `requirements.txt` names, be it for another Python: some is only read.
pub const PIP: &[&str] = &[
    "python3",
    "-m",
    "pip",
    "install",
    "--quiet",
    "--no-deps",
    "--no-compile",
    "--require-hashes",
    "--ignore-requires-python",
    "--only-binary=:all:",
    "--target=.",
    "--requirement=requirements.txt",
];

/// The oldest Node.js that the packages have been seen to run on.
const OLDEST_NODE: u32 = 20;

/// What is to be installed.
pub struct Package {
    pub name: &'static str,
    /// What is in its folder before.
    pub files: &'static [(&'static str, &'static str)],
    /// What it needs afterwards.
    pub program: &'static str,
    /// `NPM` or `PIP`.
    pub by: &'static [&'static str],
}

impl Package {
    /// The folder with all of it; none, and said aloud, where it cannot be had.
    pub fn folder(&self) -> Option<PathBuf> {
        match self.install() {
            Ok(folder) => Some(folder),
            Err(why) => {
                skip(&format!("{}: {why}", self.name));
                None
            }
        }
    }

    /// Tests run beside each other, also those of several runs: one of them installs.
    fn install(&self) -> Result<PathBuf, String> {
        let version = version(self.program)?;
        if self.program == "node" && version < OLDEST_NODE {
            return Err(format!("Node.js is of version {version}, and {OLDEST_NODE} is needed"));
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(self.own());
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let lock = File::create(folder.join("lock")).map_err(|error| error.to_string())?;
        lock.lock().map_err(|error| error.to_string())?;
        let done = folder.join("done");
        if done.exists() {
            return Ok(folder);
        }
        for (name, text) in self.files {
            fs::write(folder.join(name), text).map_err(|error| error.to_string())?;
        }
        let installed = Command::new(self.by[0])
            .args(&self.by[1..])
            .envs([("PIP_ROOT_USER_ACTION", "ignore"), ("PIP_DISABLE_PIP_VERSION_CHECK", "1")])
            .envs([("PIP_USER", "0"), ("PIP_REQUIRE_VIRTUALENV", "0"), ("PIP_NO_INPUT", "1")])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{} cannot be run: {error}", self.by[0]))?;
        if !installed.status.success() {
            return Err(format!(
                "installing fails: {}",
                String::from_utf8_lossy(&installed.stderr)
            ));
        }
        fs::write(done, "").map_err(|error| error.to_string())?;
        Ok(folder)
    }

    /// A name that other files or another way to install would not have.
    fn own(&self) -> String {
        let mut hash = Sha256::new();
        for text in self.by.iter().chain(self.files.iter().map(|(_, text)| text)) {
            hash.update(text);
        }
        format!("{}-{}", self.name, hex(&hash.finalize()[..8]))
    }
}

/// The first number of a program's version: `v20.1.2` and `Python 20.1.2` have 20.
fn version(program: &str) -> Result<u32, String> {
    let said = Command::new(program).arg("--version").stderr(Stdio::null()).output();
    let said = said.map_err(|error| format!("{program} cannot be run: {error}"))?.stdout;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let number = said.trim_start_matches(|c: char| !c.is_ascii_digit());
    let number = number.split('.').next().unwrap_or_default();
    number.parse().map_err(|_| format!("{program} says that its version is {said:?}"))
}
