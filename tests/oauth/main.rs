//! Signing in with an account elsewhere: against a provider that is not ours, one that lies, and
//! doubles of those that cannot be had.
#![expect(clippy::disallowed_methods, reason = "what a test spawns ends with its runtime")]

mod browser;
mod double;
mod github;
mod google;
mod keys;
mod lies;
mod limits;
mod node;
mod signing;
mod x;
