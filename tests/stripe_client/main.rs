//! The client of Stripe: against a server that says what a test tells it to, and webhooks against
//! Stripe's own libraries.
#![expect(clippy::disallowed_methods, reason = "what a test spawns ends with its runtime")]

mod answers;
mod errors;
#[path = "../shared/installed.rs"]
mod installed;
#[path = "../shared/library.rs"]
mod library;
mod lists;
mod objects;
mod requests;
mod retries;
mod sdk;
mod server;
mod shapes;
mod signing;
#[path = "../shared/skip.rs"]
mod skip;
mod webhook;
