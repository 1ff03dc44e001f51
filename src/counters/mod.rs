//! What this process has counted since it started. Counting is cheap, asks nobody, and knows of people only how
//! many they are.

mod calls;
mod histogram;
mod requests;
mod tally;

pub use calls::CallTimes;
pub use histogram::{Distribution, Histogram, TIMES};
pub use requests::{Requests, Route};
pub use tally::Tally;

/// What handlers and metered calls count.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests that were answered.
    pub requests: Requests,
    /// Requests that were one too many, by whom they were counted: `person`, `key`, `refused_key`, `address`.
    pub limited: Tally<1>,
    /// Queries that looked at the replica, by how they found it: `ready`, `behind`, `away`.
    pub replica: Tally<1>,
    /// How long AI calls took that were charged.
    pub calls: CallTimes,
    /// Credits that AI calls were charged, by the provider's name of the model and by feature.
    pub ai_credits: Tally<2>,
    /// Tokens that they were charged for, by model, and whether they were read or written.
    pub ai_tokens: Tally<2>,
}
