//! The system as a client meets it: real processes, real sockets, real Postgres.

mod audit;
mod books;
mod journey;
mod kill;
mod lives;
mod nodes;
mod support;
