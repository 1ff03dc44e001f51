//! What Sentry is told, by a program that is built for it.

#[path = "../system/support.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod support;
mod telling;
