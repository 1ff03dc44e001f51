//! The embedded default: a private Postgres that nobody sees, whoever dies and whatever is missing.

mod bench;
mod failures;
mod lifecycle;
mod readme;
mod sources;
mod support;
