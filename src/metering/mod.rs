//! One meter: whoever calls a provider has credits held for it. A fixed price is captured on a valid result
//! and released on failure; what is metered holds an estimate, more as it flows, and is captured as it was
//! delivered.
//!
//! Calls run in tasks of their own: a client that hangs up neither loses credits nor gets work for free.
//! A process that dies between hold and capture leaves the hold to its expiry. Calls that nobody waits for
//! are queued with their holds, and made by whichever process takes them.

mod access;
mod analyses;
mod broken;
mod charged;
mod entries;
mod estimate;
mod fixed;
mod past;
mod payer;
mod pour;
mod queued;
mod quota;
mod surely;
mod talk;
mod tasks;
mod ticket;
mod timing;
mod tokens;

pub use access::{allowed_model, can_pay, choose, chosen_before, tier_now};
pub use analyses::Record;
pub use broken::Broken;
pub use charged::Charged;
pub use entries::{Entry, State, entries, entry};
pub use estimate::estimate;
pub use fixed::{Delivered, Order, call};
pub use past::{Past, past};
pub use payer::Payer;
pub use pour::{Flow, Glass, Poured, Reader, pour};
pub use queued::{Failure, Queued, abandon, make, queue};
pub use quota::{PlanQuota, Quota, messages, quota};
pub use talk::{Begun, Conversation, End, Next, Talk};
pub use timing::Took;
pub use tokens::Latest;
