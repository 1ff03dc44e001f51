//! The read models against a real Postgres: given events, then rows, whatever is killed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod chat_oracle;
mod chats;
mod database;
mod following;
mod freshness;
mod halting;
mod oracle;
mod rebuilding;
mod rows;
mod talks;
mod usage;
mod world;
