//! The system as a client meets it: real processes, real sockets, real Postgres.
#![expect(clippy::disallowed_methods, reason = "what a test spawns ends with its runtime")]

mod audit;
mod books;
mod calls;
mod chat_audit;
mod chats;
mod coming_up;
mod cut;
mod dropped;
mod erased;
mod guarded;
mod history;
mod journey;
mod kill;
mod lives;
mod nodes;
mod support;
mod talks;
mod upgrade;
mod writers;
