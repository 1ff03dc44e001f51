//! The wallet: everything that decides what may be spent.

mod command;
mod error;
mod event;
mod terms;

pub use command::{Ask, WalletCommand};
pub use error::WalletError;
pub use event::WalletEvent;
pub use terms::{
    Balance, Funding, GrantKind, GrantTerms, Movement, NotPriority, Origin, Price, Priority,
    SpendWindow, Usage,
};
