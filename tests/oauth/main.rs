//! Signing in with an account elsewhere: against a provider that is not ours, one that lies, and
//! doubles of those that cannot be had.
#![expect(clippy::disallowed_methods, reason = "what a test spawns ends with its runtime")]

mod browser;
mod double;
mod github;
mod google;
#[path = "../shared/installed.rs"]
#[expect(dead_code, reason = "other tests install what is not for Node.js")]
mod installed;
mod keys;
mod lies;
mod limits;
#[path = "../shared/neighbour.rs"]
mod neighbour;
mod node;
mod signing;
#[path = "../shared/skip.rs"]
mod skip;
mod x;
