//! The read side of Saldo: tables that follow the log.

pub mod balances;
pub mod billing;
pub mod chats;
mod copied;
pub mod journal;
pub mod projector;
pub mod rebuild;
pub mod runner;
pub mod tail;
pub mod transactions;
pub mod usage;
pub mod users;

/// As what spans are known that are for whoever collects traces, and for nobody's log.
pub const TRACES: &str = "saldo::traces";

/// The search path under which queries find the read models.
pub const SEARCH_PATH: &str = "public,balances,billing,chats,transactions,usage,users";
