//! What an operator relies on: limits, and how a node says how it is. Real processes, real Postgres, real Redis.
#![expect(clippy::disallowed_methods, reason = "what a test spawns ends with its runtime")]

mod health;
mod rates;
#[path = "../support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod redis_server;
mod security;
#[path = "../shared/skip.rs"]
mod skip;
#[path = "../system/support.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod support;
