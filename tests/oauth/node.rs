//! npm's `oidc-provider` as a process: an OpenID Connect provider that is not ours.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use saldo::clients::oauth::{Issuer, ProviderSettings, Providers, Settings};
use saldo::store::hex;
use sha2::{Digest, Sha256};

use crate::browser::BACK;

pub const CLIENT_ID: &str = "saldo";
/// With all that must not be sent as it is.
pub const CLIENT_SECRET: &str = "s3cret: 100% +/=&~";
const LOCK: &str = include_str!("provider/package-lock.json");
const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("provider/package.json")),
    ("package-lock.json", LOCK),
    ("provider.mjs", include_str!("provider/provider.mjs")),
];

/// The oldest Node.js that the provider has been seen to run on.
const OLDEST: u32 = 20;

/// A running provider; ends when dropped.
pub struct NodeProvider {
    pub issuer: String,
    process: Child,
    /// Kept open: a program whose output nobody can read any more ends when it says something.
    _said: Lines<BufReader<ChildStdout>>,
}

impl NodeProvider {
    /// None, and said aloud, where there is no Node.js. Where `CI` is set, nothing may be missing.
    pub fn start() -> Option<Self> {
        match install() {
            Ok(folder) => Some(Self::run(&folder)),
            Err(why) => {
                let line = format!("skipped: {why}");
                // Not `eprintln`, which is captured.
                writeln!(std::io::stderr(), "{line}").expect("stderr is open");
                assert!(std::env::var_os("CI").is_none(), "{line}");
                None
            }
        }
    }

    fn run(folder: &Path) -> Self {
        let mut process = Command::new("node")
            .args(["provider.mjs", CLIENT_ID, CLIENT_SECRET, BACK])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node can be started");
        let mut said = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
        let issuer = said
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("issuer ").map(str::to_owned));
        Self { issuer: issuer.expect("the provider says where it listens"), process, _said: said }
    }

    pub fn providers(&self) -> Providers {
        let google = ProviderSettings {
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.into(),
            base: Issuer::new(&self.issuer).expect("an issuer"),
        };
        Providers::new(Settings { google: Some(google), ..Settings::default() }).expect("clients")
    }
}

impl Drop for NodeProvider {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder with the provider in it, installed once for each set of files. Tests run beside each
/// other, also those of several runs: one of them installs.
fn install() -> Result<PathBuf, String> {
    let node = version("node")?;
    version("npm")?;
    if node < OLDEST {
        return Err(format!("Node.js is of version {node}, and {OLDEST} is needed"));
    }
    let mut hash = Sha256::new();
    for (_, text) in FILES {
        hash.update(text);
    }
    let name = format!("oidc-provider-{}", hex(&hash.finalize()[..8]));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let lock = File::create(folder.join("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let done = folder.join("done");
    if done.exists() {
        return Ok(folder);
    }
    for (name, text) in FILES {
        fs::write(folder.join(name), text).map_err(|error| error.to_string())?;
    }
    let npm = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&folder)
        .output()
        .map_err(|error| error.to_string())?;
    if !npm.status.success() {
        return Err(format!("npm ci failed: {}", String::from_utf8_lossy(&npm.stderr)));
    }
    fs::write(done, "").map_err(|error| error.to_string())?;
    Ok(folder)
}

/// The first number of a program's version: `v20.1.2` has 20.
fn version(program: &str) -> Result<u32, String> {
    let said = Command::new(program).arg("--version").stderr(Stdio::null()).output();
    let said = said.map_err(|error| format!("{program} cannot be run: {error}"))?.stdout;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let number = said.trim_start_matches('v').split('.').next().unwrap_or_default();
    number.parse().map_err(|_| format!("{program} says that its version is {said:?}"))
}
