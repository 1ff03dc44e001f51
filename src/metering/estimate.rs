//! What a conversation is going to cost, before anybody is asked.

use aggregates::credits::Credits;

use super::tokens;
use crate::clients::llm::Message;
use crate::models::{Model, TokenCount};

/// What a conversation is going to cost, about.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// Tokens that are read.
    pub input_tokens: u64,
    /// What they cost with an empty answer.
    pub least: Credits,
    /// What they cost with the longest answer.
    pub most: Credits,
}

/// Estimates what `messages` cost with an answer of at most so many tokens.
pub async fn estimate(model: &Model, messages: &[Message], max_output_tokens: u32) -> Estimate {
    let input = tokens::of_all(messages).await;
    let cost = |output| model.rates.cost(TokenCount { input, output });
    Estimate { input_tokens: input, least: cost(0), most: cost(max_output_tokens.into()) }
}
