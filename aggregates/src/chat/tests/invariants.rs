//! What always holds, whatever is asked when.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

fn ask() -> impl Strategy<Value = Ask> {
    let number = || 1..=20_u128;
    prop_oneof![
        1 => Just(Ask::Create { owner: owner() }),
        1 => Just(Ask::Retitle),
        6 => number().prop_map(post),
        4 => number().prop_map(complete),
        3 => number().prop_map(fail),
        3 => number().prop_map(complete_cancelled),
        3 => number().prop_map(|number| Ask::Cancel { reply: reply(number) }),
        3 => number().prop_map(|number| Ask::CancelWaiting { reply: reply(number) }),
        4 => (number(), 21..=40_u128).prop_map(|(number, again)| retry(number, again)),
        2 => Just(Ask::Read),
    ]
}

/// The number of the reply that is asked about, made one that waits, so that much happens.
fn hit(ask: Ask, first: Option<MessageId>, last: Option<MessageId>) -> Ask {
    match (ask, first, last) {
        (Ask::Complete { finish, hold, credits, model, .. }, Some(reply), _) => {
            let (input_tokens, output_tokens) = (None, Some(1));
            Ask::Complete { reply, finish, hold, credits, model, input_tokens, output_tokens }
        }
        (Ask::Fail { code, .. }, Some(reply), _) => Ask::Fail { reply, code },
        (Ask::Cancel { .. }, Some(reply), _) => Ask::Cancel { reply },
        (Ask::CancelWaiting { .. }, _, Some(reply)) => Ask::CancelWaiting { reply },
        (ask, _, _) => ask,
    }
}

/// The reply that an ask brings into being. Ids are of one message each: whoever asks sees to it.
fn brought(ask: &Ask) -> Option<MessageId> {
    match ask {
        Ask::Post { reply, .. } | Ask::Retry { again: reply, .. } => Some(*reply),
        _ => None,
    }
}

/// What the events say, followed another way.
#[derive(Default)]
struct Told {
    queue: VecDeque<MessageId>,
    ended: BTreeSet<MessageId>,
    messages: u32,
    unread: u32,
}

impl Told {
    fn enter(&mut self, event: &ChatEvent) -> Result<(), TestCaseError> {
        match event {
            ChatEvent::Posted { reply, .. } => {
                self.queue.push_back(*reply);
                self.messages += 2;
            }
            ChatEvent::Retried { reply, again, .. } => {
                prop_assert!(self.ended.contains(reply) && !self.ended.contains(again));
                self.queue.push_back(*again);
                self.messages += 1;
            }
            ChatEvent::Replied { reply, .. } => {
                self.end(*reply, true)?;
                self.unread += 1;
            }
            ChatEvent::ReplyFailed { reply, .. } => self.end(*reply, true)?,
            ChatEvent::ReplyCancelled { reply, hold, .. } => self.end(*reply, hold.is_some())?,
            ChatEvent::CancelAsked { reply, .. } => {
                prop_assert_eq!(self.queue.front(), Some(reply));
            }
            ChatEvent::Read { messages, .. } => {
                prop_assert!(*messages > 0 && *messages == self.unread);
                self.unread = 0;
            }
            ChatEvent::Created { .. } | ChatEvent::Retitled { .. } | ChatEvent::Deleted { .. } => {}
        }
        prop_assert!(self.queue.len() <= WAITING_AT_MOST);
        Ok(())
    }

    fn end(&mut self, reply: MessageId, is_first: bool) -> Result<(), TestCaseError> {
        prop_assert!(!is_first || self.queue.front() == Some(&reply), "it is not its turn");
        let waited = self.queue.len();
        self.queue.retain(|waiting| *waiting != reply);
        prop_assert_eq!(self.queue.len() + 1, waited);
        prop_assert!(self.ended.insert(reply), "it has ended before");
        Ok(())
    }
}

proptest! {
    /// Whatever is asked when: each reply has one outcome at most, those that are made have it in the
    /// order of the queue, at most sixteen wait, and nothing is read that did not come.
    #[test]
    fn replies_come_in_order_and_once(
        asks in proptest::collection::vec((ask(), any::<bool>()), 1..120)
    ) {
        let (mut chat, mut told, mut known) = (Chat::default(), Told::default(), BTreeSet::new());
        chat.apply(created());
        for (ask, aimed) in asks {
            let (first, last) = (told.queue.front().copied(), told.queue.back().copied());
            let ask = if aimed { hit(ask, first, last) } else { ask };
            if brought(&ask).is_some_and(|reply| !known.insert(reply)) {
                continue;
            }
            for event in chat.decide(now(ask)).unwrap_or_default() {
                told.enter(&event)?;
                chat.apply(event);
            }
            prop_assert!(chat.waiting().eq(told.queue.iter().copied()));
            prop_assert!(chat.to_cancel().is_none_or(|reply| told.queue.front() == Some(&reply)));
            prop_assert_eq!((chat.messages, chat.unread), (told.messages, told.unread));
        }
    }
}
