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

/// The latest of a conversation, as far as so many tokens go, about; the last in any case.
pub fn latest(mut messages: Vec<Message>, most: u64) -> Vec<Message> {
    let mut sum = 0;
    let kept = messages.iter().rev().take_while(|message| {
        sum += AROUND + of(&message.text);
        sum <= most
    });
    let kept = kept.count().max(1);
    messages.split_off(messages.len().saturating_sub(kept))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::llm::Role;

    #[test]
    fn of_a_long_conversation_the_latest_is_kept_and_the_last_in_any_case() {
        let said = |text: &str| Message { role: Role::User, text: text.to_owned() };
        let all = || vec![said("one"), said("two two"), said("three three three")];
        let kept =
            |most| latest(all(), most).iter().map(|said| said.text.len()).collect::<Vec<_>>();
        assert_eq!(kept(1000), [3, 7, 17]);
        assert_eq!(kept(13), [7, 17]);
        assert_eq!(kept(0), [17]);
        assert!(latest(vec![], 10).is_empty());
    }
}
