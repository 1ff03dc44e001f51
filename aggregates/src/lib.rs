//! The domain of Saldo: what may happen. No I/O, no clock, no randomness.

pub mod catalogue;
pub mod chat;
pub mod credits;
pub mod event;
pub mod id;
pub mod money;
pub mod pii;
pub mod purchase;
pub mod recharge;
pub mod subscription;
mod time;
pub mod user;
pub mod wallet;
