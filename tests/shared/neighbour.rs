//! Servers that are not ours, run beside a test by Node.js.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::installed::Package;

/// A running server; ends when dropped.
pub struct Neighbour {
    /// Where it listens.
    pub url: String,
    process: Child,
    /// Kept open: a program whose output nobody can read any more ends when it says something.
    _said: Lines<BufReader<ChildStdout>>,
}

impl Neighbour {
    /// Runs a script of the package, which says where it listens in a line that begins with `says`. None, and
    /// said aloud, where there is no Node.js. Where `CI` is set, nothing may be missing.
    pub fn start(package: &Package, arguments: &[&str], says: &str) -> Option<Self> {
        let folder = package.folder()?;
        let mut process = Command::new("node")
            .args(arguments)
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
            .find_map(|line| line.strip_prefix(says).map(|url| url.trim().to_owned()));
        Some(Self { url: url.expect("it says where it listens"), process, _said: said })
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
