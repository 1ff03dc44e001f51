//! How an operator sets Saldo up: settings in layers, secrets that are kept elsewhere, what production refuses, and
//! roles of the database. Real processes, real Postgres.
#![expect(clippy::disallowed_methods, reason = "what a test spawns ends with its runtime")]

mod vault;
#[path = "../support/vault.rs"]
mod vault_double;
