//! npm's `aimock` as a process: providers that are not ours.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::installed::{NPM, Package};

const PACKAGE: Package = Package {
    name: "aimock",
    files: &[
        ("package.json", include_str!("aimock/package.json")),
        ("package-lock.json", include_str!("aimock/package-lock.json")),
        ("aimock.mjs", include_str!("aimock/aimock.mjs")),
    ],
    program: "node",
    by: NPM,
};

/// A running aimock; ends when dropped.
pub struct Aimock {
    pub url: String,
    process: Child,
    /// Kept open: a program whose output nobody can read any more ends when it says something.
    _said: Lines<BufReader<ChildStdout>>,
}

impl Aimock {
    /// None, and said aloud, where there is no Node.js. Where `CI` is set, nothing may be missing.
    pub fn start() -> Option<Self> {
        let folder = PACKAGE.folder()?;
        let mut process = Command::new("node")
            .arg("aimock.mjs")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node can be started");
        let mut said = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
        let url = said
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("url ").map(str::to_owned));
        Some(Self { url: url.expect("aimock says where it listens"), process, _said: said })
    }
}

impl Drop for Aimock {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
