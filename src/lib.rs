//! Saldo: the event-sourced backend for selling AI by the credit.

pub mod clock;
pub mod config;
pub mod error;
pub mod keys;
pub mod passwords;
pub mod store;
pub mod tokens;
