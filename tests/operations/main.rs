//! What an operator relies on: limits, how a node says how it is, what it counts, and what it logs. Real processes,
//! real Postgres, real Redis, a real Prometheus.

mod backup;
mod collector;
mod document;
mod flood;
mod health;
mod jobs;
mod logs;
mod metrics;
mod moving;
mod prometheus;
mod rates;
#[path = "../support/redis.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod redis_server;
mod replica;
mod scrape;
mod security;
#[path = "../shared/skip.rs"]
mod skip;
mod sliding;
mod standby;
#[path = "../system/support.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod support;
mod traces;
