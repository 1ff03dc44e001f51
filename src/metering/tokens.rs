//! How many tokens a text has, where nobody says: an estimate, by the tokens that OpenAI's models read
//! (o200k). Other providers' differ by some per cent.

use crate::clients::llm::Message;

/// What a message has besides its text: who speaks, where it begins and ends.
const AROUND: u64 = 4;

/// Tokens of a text, about.
pub(super) fn of(text: &str) -> u64 {
    bpe_openai::o200k_base().count(text) as u64
}

/// Tokens of a conversation as a model reads it, about.
pub(super) fn of_all(messages: &[Message]) -> u64 {
    messages.iter().map(|message| AROUND + of(&message.text)).sum()
}

/// Somewhat more: what is held for what is to be read, since the provider may count it otherwise.
pub(super) fn at_most(estimate: u64) -> u64 {
    estimate + estimate.div_ceil(5)
}
