//! npm's `oidc-provider` as a process: an OpenID Connect provider that is not ours.

use saldo::clients::oauth::{Issuer, ProviderSettings, Providers, Settings};

use crate::browser::BACK;
use crate::installed::{NPM, Package};
use crate::neighbour::Neighbour;

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
pub struct NodeProvider(Neighbour);

impl NodeProvider {
    /// None, and said aloud, where there is no Node.js. Where `CI` is set, nothing may be missing.
    pub fn start() -> Option<Self> {
        let arguments = ["provider.mjs", CLIENT_ID, CLIENT_SECRET, BACK];
        Neighbour::start(&PACKAGE, &arguments, "issuer ").map(Self)
    }

    /// Where it is.
    pub fn issuer(&self) -> &str {
        &self.0.url
    }

    pub fn providers(&self) -> Providers {
        let google = ProviderSettings {
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.into(),
            base: Issuer::new(self.issuer()).expect("an issuer"),
        };
        Providers::new(Settings { google: Some(google), ..Settings::default() }).expect("clients")
    }
}
