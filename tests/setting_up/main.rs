//! How an operator sets Saldo up: settings in layers, secrets that are kept elsewhere, what production refuses, and
//! roles of the database. Real processes, real Postgres.
#![expect(clippy::disallowed_methods, reason = "what a test spawns ends with its runtime")]

mod deployed;
mod layers;
mod production;
mod program;
mod roles;
mod secrets;
#[path = "../system/support.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod support;
mod vault;
#[path = "../support/vault.rs"]
mod vault_double;
