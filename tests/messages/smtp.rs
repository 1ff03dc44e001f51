//! A mail server that is not ours: aiosmtpd, by pip, pinned by its hash.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::Duration;

use rcgen::CertifiedKey;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::skip::skip;

const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/messages/requirements.txt");
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/messages/smtp.py");

/// Where its packages are, or why they are not.
static PACKAGES: LazyLock<Result<PathBuf, String>> = LazyLock::new(install);

/// How long a server may take to start, and a mail to be told of.
const PATIENCE: Duration = Duration::from_secs(30);

/// A mail server of its own process; killed when dropped.
pub struct Smtp {
    pub port: u16,
    lines: Lines<BufReader<ChildStdout>>,
    // It ends when its standard input does, which is when this process does.
    _process: Child,
}

/// A mail as the server read it.
#[derive(Debug, Deserialize)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    pub tls: bool,
    pub user: Option<String>,
    headers: Vec<(String, String)>,
    parts: Vec<(String, String)>,
    pub defects: Vec<String>,
}

impl Mail {
    /// The one header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> &str {
        let found: Vec<_> = self.headers.iter().filter(|(its, _)| its == name).collect();
        assert_eq!(found.len(), 1, "{name} of {:?}", self.headers);
        &found[0].1
    }

    pub fn header_names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// The types of its parts, in their order.
    pub fn types(&self) -> Vec<&str> {
        self.parts.iter().map(|(kind, _)| kind.as_str()).collect()
    }

    /// The part of this type, with the line ends of a mail taken out.
    pub fn part(&self, kind: &str) -> String {
        let part = self.parts.iter().find(|(its, _)| its == kind);
        part.unwrap_or_else(|| panic!("{kind} in {:?}", self.types())).1.replace("\r\n", "\n")
    }
}

impl Smtp {
    /// A server with these options of `smtp.py`; none, and a word on why, where Python is missing.
    pub async fn start(options: &[&str]) -> Option<Self> {
        let packages = match &*PACKAGES {
            Ok(packages) => packages,
            Err(why) => {
                skip(why);
                return None;
            }
        };
        let mut process = Command::new("python3")
            .arg(SERVER)
            .args(options)
            .envs([("PYTHONPATH", packages.as_os_str()), ("PYTHONWARNINGS", "ignore".as_ref())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("python3 runs");
        let stdout = process.stdout.take().expect("stdout is piped");
        let mut smtp = Self { port: 0, lines: BufReader::new(stdout).lines(), _process: process };
        smtp.port = smtp.line().await.parse().expect("a port");
        Some(smtp)
    }

    /// The next mail that was sent.
    pub async fn mail(&mut self) -> Mail {
        let line = self.line().await;
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.expect("the mail server says something in time");
        line.expect("stdout can be read").expect("the mail server runs")
    }
}

/// A certificate for 127.0.0.1, which nobody knows, and the file that has it and its key.
pub struct Certificate {
    pub pem: String,
    pub file: String,
}

impl Certificate {
    pub fn new(name: &str) -> Self {
        let names = vec!["127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(names).expect("a certificate");
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pem"));
        let pem = cert.pem();
        fs::write(&file, format!("{pem}{}", signing_key.serialize_pem())).expect("a file");
        Self { pem, file: file.to_string_lossy().into_owned() }
    }
}

/// Installs the packages, once for all test programs that may run beside each other.
fn install() -> Result<PathBuf, String> {
    let requirements = fs::read_to_string(REQUIREMENTS).expect("requirements.txt");
    let version = requirements.split_whitespace().find(|word| word.contains("=="));
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let packages = base.join(version.expect("a pinned package"));
    let lock = File::create(base.join("aiosmtpd.lock")).expect("the target folder can be written");
    lock.lock().expect("the lock is free some day");
    if packages.is_dir() {
        return Ok(packages);
    }
    let draft = base.join("aiosmtpd.draft");
    // Of a run that was killed.
    let _ = fs::remove_dir_all(&draft);
    let pip = std::process::Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"])
        .args(["--require-hashes", "--retries", "1", "--timeout", "15", "--requirement"])
        .arg(REQUIREMENTS)
        .arg("--target")
        .arg(&draft)
        .envs([("PIP_ROOT_USER_ACTION", "ignore"), ("PIP_DISABLE_PIP_VERSION_CHECK", "1")])
        .envs([("PIP_USER", "0"), ("PIP_REQUIRE_VIRTUALENV", "0"), ("PIP_NO_INPUT", "1")])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("python3 does not run ({error})"))?;
    if !pip.status.success() {
        let said = String::from_utf8_lossy(&pip.stderr).into_owned();
        return Err(format!("aiosmtpd cannot be installed: {said}"));
    }
    fs::rename(&draft, &packages).expect("the packages can be moved");
    Ok(packages)
}
