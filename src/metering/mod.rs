//! One meter: whoever calls a provider has credits held for it. A fixed price is captured on a valid result
//! and released on failure; what is metered holds an estimate, more as it flows, and is captured as it was
//! delivered.
//!
//! Calls run in tasks of their own: a client that hangs up neither loses credits nor gets work for free.
//! A process that dies between hold and capture leaves the hold to its expiry.

mod access;
mod analyses;
mod estimate;
mod fixed;
mod payer;
mod pour;
mod talk;
mod tasks;
mod ticket;
mod timing;
mod tokens;

pub use access::{choose, tier};
pub use analyses::{Record, find, list};
pub use estimate::estimate;
pub use fixed::{Delivered, Order, call};
pub use payer::Payer;
pub use pour::{Poured, Reader, pour};
pub use talk::{Begun, Charged, Conversation, End, Talk};
pub use timing::{BUCKETS, Distribution, Histogram, Timings, Took, timings};
