//! Saldo: the event-sourced backend for selling AI by the credit.

pub mod accounts;
pub mod app;
pub mod bench;
pub mod billing;
pub mod cli;
pub mod clients;
pub mod clock;
pub mod closings;
pub mod config;
pub mod embedded;
pub mod error;
mod explain;
pub mod http;
pub mod inbox;
pub mod jobs;
pub mod keys;
pub mod metering;
pub mod models;
pub mod passwords;
pub mod processes;
pub mod queue;
pub mod serve;
pub mod store;
pub mod tokens;
mod unseal;
pub mod verify;
