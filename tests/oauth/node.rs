//! npm's `oidc-provider` as a process: an OpenID Connect provider that is not ours.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use saldo::clients::oauth::{Issuer, ProviderSettings, Providers, Settings};

use crate::browser::BACK;
use crate::installed::{NPM, Package};

pub const CLIENT_ID: &str = "saldo";
/// With all that must not be sent as it is.
pub const CLIENT_SECRET: &str = "s3cret: 100% +/=&~";
const PACKAGE: Package = Package {
    name: "oidc-provider",
    files: &[
        ("package.json", include_str!("provider/package.json")),
        ("package-lock.json", include_str!("provider/package-lock.json")),
        ("provider.mjs", include_str!("provider/provider.mjs")),
    ],
    program: "node",
    by: NPM,
};

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
        PACKAGE.folder().map(|folder| Self::run(&folder))
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
