//! What a metered call was charged, as the log has it.

use aggregates::credits::Credits;
use aggregates::wallet::{Usage, Wallet};
use uuid::Uuid;

use super::ticket;
use super::timing::Took;
use crate::models::TokenCount;
use crate::store::Outcome;

/// What a metered call was charged.
#[derive(Clone, Debug)]
pub struct Charged {
    /// The call's id: that of its hold.
    pub id: Uuid,
    /// What was charged.
    pub credits: Credits,
    /// Which model answered.
    pub model: String,
    /// What it was charged for.
    pub counted: TokenCount,
    /// Whether any of that is our estimate.
    pub estimated: bool,
    /// What the wallet has available after it.
    pub remaining: Credits,
    /// The position of the capture.
    pub position: i64,
    /// Whether it was charged by an earlier request.
    pub replayed: bool,
    /// Where its time went; none, where that was an earlier request's.
    pub took: Option<Took>,
}

impl Charged {
    /// What the log says that a call was charged.
    pub(super) fn of(id: Uuid, outcome: &Outcome<Wallet>) -> Self {
        let usage = ticket::usage(outcome);
        let tokens = |tokens: fn(&Usage) -> Option<u64>| usage.and_then(tokens).unwrap_or_default();
        Self {
            id,
            credits: ticket::charged(outcome),
            model: usage.map(|usage| usage.model.clone()).unwrap_or_default(),
            counted: TokenCount {
                input: tokens(|usage| usage.input_tokens),
                output: tokens(|usage| usage.output_tokens),
            },
            estimated: usage.is_some_and(|usage| usage.estimated),
            remaining: ticket::remaining(outcome),
            position: outcome.position,
            replayed: outcome.replayed,
            took: None,
        }
    }
}
