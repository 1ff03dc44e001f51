//! How many tokens a text has, where nobody says: an estimate, by the tokens that OpenAI's models read
//! (o200k). Other providers' differ by some per cent.

use std::collections::VecDeque;

use crate::clients::llm::Message;

/// What a message has besides its text: who speaks, where it begins and ends.
const AROUND: u64 = 4;

/// Bytes that are counted in one go: about a millisecond of work. A token more at each end of a stretch does no
/// harm to an estimate.
const STRETCH: usize = 16 * 1024;

/// Tokens of a text, about.
pub(super) fn of(text: &str) -> u64 {
    bpe_openai::o200k_base().count(text) as u64
}

/// Tokens of a conversation as a model reads it, about. A long one lets others go on meanwhile.
pub(super) async fn of_all(messages: &[Message]) -> u64 {
    let mut sum = 0;
    for message in messages {
        sum += AROUND + of_long(&message.text).await;
    }
    sum
}

async fn of_long(text: &str) -> u64 {
    let (mut sum, mut rest) = (0, text);
    while rest.len() > STRETCH {
        let (stretch, more) = rest.split_at(rest.floor_char_boundary(STRETCH));
        sum += of(stretch);
        rest = more;
        tokio::task::yield_now().await;
    }
    sum + of(rest)
}

/// Somewhat more: what is held for what is to be read, since the provider may count it otherwise.
pub(super) fn at_most(estimate: u64) -> u64 {
    estimate + estimate.div_ceil(5)
}

/// The latest of a conversation that is read from its end, as far as so many tokens go, about; the last in any case.
pub struct Latest {
    most: u64,
    sum: u64,
    kept: VecDeque<Message>,
}

impl Latest {
    /// Of at most so many tokens.
    #[must_use]
    pub fn within(most: u64) -> Self {
        Self { most, sum: 0, kept: VecDeque::new() }
    }

    /// Adds what was said before all that was added; whether anything older may fit.
    pub async fn add(&mut self, message: Message) -> bool {
        self.sum += AROUND + of_long(&message.text).await;
        let fits = self.sum <= self.most;
        if fits || self.kept.is_empty() {
            self.kept.push_front(message);
        }
        fits
    }

    /// What is kept, in the order in which it was said.
    #[must_use]
    pub fn in_order(self) -> Vec<Message> {
        self.kept.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::llm::Role;

    #[tokio::test]
    async fn of_a_long_conversation_the_latest_is_kept_and_the_last_in_any_case() {
        let said = |text: &str| Message { role: Role::User, text: text.to_owned() };
        let newest_first = [said("three three three"), said("two two"), said("one")];
        let kept = async |most| {
            let mut latest = Latest::within(most);
            for message in newest_first.clone() {
                if !latest.add(message).await {
                    break;
                }
            }
            latest.in_order().iter().map(|said| said.text.len()).collect::<Vec<_>>()
        };
        assert_eq!(kept(1000).await, [3, 7, 17]);
        assert_eq!(kept(13).await, [7, 17]);
        assert_eq!(kept(0).await, [17]);
        assert!(Latest::within(10).in_order().is_empty());
    }

    #[tokio::test]
    async fn a_long_text_lets_others_go_on_and_counts_about_as_in_one_go() {
        let text = "Über die Kredite, 25 of them. ".repeat(4000);
        let others = async {
            for step in 0.. {
                tokio::task::yield_now().await;
                if step == 5 {
                    return;
                }
            }
        };
        let counted = async { of_long(&text).await };
        let mut others = std::pin::pin!(others);
        let mut counted = std::pin::pin!(counted);
        tokio::select! {
            biased;
            () = &mut others => {}
            _ = &mut counted => panic!("it was counted in one go"),
        }
        let (counted, whole) = (counted.await, of(&text));
        assert!(counted.abs_diff(whole) <= 8, "{counted}, {whole} in one go");
    }
}
