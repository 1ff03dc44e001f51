//! Saldo: the event-sourced backend for selling AI by the credit.

pub mod clock;
pub mod store;
