//! The system as a client meets it: real processes, real sockets, real Postgres.

mod books;
mod journey;
mod kill;
mod nodes;
mod support;
