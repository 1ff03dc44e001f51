//! Webhooks to customers' own systems, by Standard Webhooks (standardwebhooks.com): `signing` signs,
//! `reach` says which addresses may be spoken to, `sending` speaks.

mod reach;
mod sending;
mod signing;

pub use reach::{Reach, UrlError};
pub use sending::{Answer, Message, SendError, Sent, TIMEOUT, Webhooks};
pub use signing::Secret;
