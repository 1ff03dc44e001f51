//! npm's `aimock` as a process: providers that are not ours.

use crate::installed::{NPM, Package};
use crate::neighbour::Neighbour;

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

/// None, and said aloud, where there is no Node.js. Where `CI` is set, nothing may be missing.
pub fn aimock() -> Option<Neighbour> {
    Neighbour::start(&PACKAGE, &["aimock.mjs"], "url ")
}
