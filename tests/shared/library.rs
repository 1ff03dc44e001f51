//! Official libraries of others, each asked by a script of ours: cases in, answers out.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::installed::Package;

/// A library, and the script that uses it.
pub struct Library {
    pub package: Package,
    pub script: &'static str,
}

impl Library {
    /// Where it is installed; none, and said aloud, where it cannot be had.
    pub fn folder(&self) -> Option<PathBuf> {
        self.package.folder()
    }

    /// What the library says to each case.
    pub fn ask(&self, folder: &Path, cases: &Value) -> Vec<Value> {
        let mut process = Command::new(self.package.program)
            .arg(self.script)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be started");
        let mut stdin = process.stdin.take().expect("stdin is piped");
        stdin.write_all(cases.to_string().as_bytes()).expect("it reads");
        drop(stdin);
        let said = process.wait_with_output().expect("it ends");
        assert!(said.status.success(), "{} fails", self.package.name);
        serde_json::from_slice(&said.stdout).expect("a list")
    }
}
