//! The metered gateway as its clients meet it.
#![expect(clippy::disallowed_methods, reason = "what a test spawns ends with its runtime")]

mod bench;
mod between;
mod cached;
mod cancelling;
mod chats;
mod completions;
mod crowded;
mod given_up;
mod hanging_up;
mod health;
mod house;
mod inventory;
mod killed;
mod listening;
#[path = "../support/llm/mod.rs"]
#[expect(dead_code, unused_imports, reason = "other tests use the rest")]
mod llm;
mod nodes;
mod past;
mod prices;
mod queue_house;
mod queued;
mod redis_away;
#[path = "../support/redis.rs"]
mod redis_server;
mod redis_tls;
mod script;
#[path = "../shared/skip.rs"]
mod skip;
mod stopped;
mod stopping;
mod stopping_jobs;
mod stream;
#[path = "../system/support.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod support;
#[path = "../system/talks.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod talks;
mod timing;
mod titles;
mod told;
mod used;
mod wires;
