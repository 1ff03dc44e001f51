//! A chat as the oracle follows it: each reply is asked for, comes in its turn, once, and costs what was
//! captured for it.

use std::collections::{BTreeMap, VecDeque};

use uuid::Uuid;

use super::facts::Fact;
use crate::verify::book::Book;
use crate::verify::report::{Kind, Report};

/// Replies that may wait, and messages that there may be.
const WAITING: usize = 16;
const MESSAGES: usize = 10_000;

const TURN: &str = "a reply has one outcome, in its turn";

/// Whether the text of a message is beside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// It is.
    There,
    /// It may be: what was delivered before somebody said stop.
    Maybe,
    /// Nothing is, or nothing yet.
    None,
}

/// A chat so far.
#[derive(Debug, Default)]
pub(in crate::verify) struct Trail {
    pub(super) sequence: i64,
    pub(super) owner: Option<Uuid>,
    pub(super) is_deleted: bool,
    /// Of each message, and of the title by the id of the chat.
    pub(super) texts: BTreeMap<Uuid, Text>,
    messages: usize,
    waiting: VecDeque<Uuid>,
    cancel_asked: Option<Uuid>,
    /// The reply to what was said last, and whether it came to nothing.
    last: Option<(Uuid, bool)>,
    unread: i64,
    charges: Vec<Charge>,
}

/// What a reply cost, by the hold that paid for it.
#[derive(Debug)]
struct Charge {
    reply: Uuid,
    hold: Option<Uuid>,
    credits: i64,
}

impl Trail {
    /// Enters a fact; the rule that it breaks, where it breaks one.
    pub(super) fn enter(&mut self, chat: Uuid, fact: &Fact) -> Option<&'static str> {
        if self.is_deleted {
            return Some("nothing happens to a chat that was deleted");
        }
        if self.owner.is_none() != matches!(fact, Fact::Created { .. }) {
            return Some("a chat is created once, before anything else");
        }
        match fact {
            Fact::Created { owner, .. } => {
                self.owner = Some(*owner);
                // Its title may have come with it, or with its first message.
                self.texts.insert(chat, Text::Maybe);
            }
            Fact::Retitled { .. } => drop(self.texts.insert(chat, Text::There)),
            Fact::Posted { message, reply, .. } => {
                let is_new = self.add(*message, Text::There) & self.wait(*reply);
                return self.is_within(is_new);
            }
            Fact::Retried { reply, again, .. } => {
                if self.last != Some((*reply, true)) {
                    return Some("what is tried again is the last reply, which came to nothing");
                }
                let is_new = self.wait(*again);
                return self.is_within(is_new);
            }
            Fact::Replied { reply, hold, credits, .. } => {
                self.unread += 1;
                self.charge(*reply, Some(*hold), *credits);
                return self.end(*reply, Text::There);
            }
            Fact::ReplyFailed { reply, .. } => return self.end(*reply, Text::None),
            Fact::ReplyCancelled { reply, hold, credits, .. } => {
                self.charge(*reply, *hold, *credits);
                return self.stop(*reply, hold.is_some());
            }
            Fact::CancelAsked { reply } => {
                let before = self.cancel_asked.replace(*reply);
                let is_first = self.waiting.front() == Some(reply);
                let may_be = is_first && before != Some(*reply);
                return (!may_be).then_some("what is to stop is under way, and told so once");
            }
            Fact::Read { messages } => {
                let unread = std::mem::take(&mut self.unread);
                let is_it = *messages == unread && unread > 0;
                return (!is_it).then_some("what is read came, and was not read before");
            }
            Fact::Deleted {} => self.is_deleted = true,
        }
        None
    }

    /// One message more; whether it is new.
    fn add(&mut self, message: Uuid, text: Text) -> bool {
        self.messages += 1;
        self.texts.insert(message, text).is_none()
    }

    fn wait(&mut self, reply: Uuid) -> bool {
        self.waiting.push_back(reply);
        self.last = Some((reply, false));
        self.add(reply, Text::None)
    }

    fn is_within(&self, is_new: bool) -> Option<&'static str> {
        if !is_new {
            return Some("a message's id is used once");
        }
        let is_within = self.waiting.len() <= WAITING && self.messages <= MESSAGES;
        (!is_within).then_some("no more waits in a chat, or is in it, than may be")
    }

    fn charge(&mut self, reply: Uuid, hold: Option<Uuid>, credits: i64) {
        self.charges.push(Charge { reply, hold, credits });
    }

    /// The first of those that wait comes to its end.
    fn end(&mut self, reply: Uuid, text: Text) -> Option<&'static str> {
        if self.waiting.front() != Some(&reply) {
            return Some(TURN);
        }
        self.waiting.pop_front();
        self.texts.insert(reply, text);
        if let Some((_, came_to_nothing)) = self.last.as_mut().filter(|(last, _)| *last == reply) {
            *came_to_nothing = text != Text::There;
        }
        None
    }

    /// A reply is stopped: out of its turn only where nobody had begun.
    fn stop(&mut self, reply: Uuid, has_begun: bool) -> Option<&'static str> {
        let Some(turn) = self.waiting.iter().position(|waiting| *waiting == reply) else {
            return Some(TURN);
        };
        if turn > 0 && has_begun {
            return Some(TURN);
        }
        self.waiting.remove(turn);
        self.waiting.push_front(reply);
        self.end(reply, if turn > 0 { Text::None } else { Text::Maybe })
    }

    /// The log is at its end: what replies cost was captured for them, of their owner's credits.
    pub(super) fn close(&self, chat: Uuid, wallet: Option<&Book>, report: &mut Report) {
        if wallet.is_some_and(|book| book.lost) {
            return;
        }
        for Charge { reply, hold, credits } in &self.charges {
            let hold = hold.and_then(|hold| wallet?.holds.get(&hold));
            let captured = hold.map_or(0, |hold| hold.figures.captured + hold.captured_late);
            if captured != *credits {
                let place = format_args!("chat {chat}, reply {reply}");
                let rule = "a reply costs what was captured for it";
                report.find(Kind::Domain, place, rule, captured, credits);
            }
        }
    }

    /// The holds that paid for its replies.
    pub(super) fn holds(&self) -> impl Iterator<Item = (Uuid, Uuid)> {
        self.charges.iter().filter_map(|charge| Some((charge.hold?, charge.reply)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const AT: &str = "2026-12-01T09:30:00Z";

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn created() -> Value {
        json!({ "Created": { "owner": id(1), "at": AT } })
    }

    fn posted(number: u128) -> Value {
        let (message, reply) = (id(100 + number), id(200 + number));
        json!({ "Posted": { "message": message, "reply": reply, "model": "local-1", "at": AT } })
    }

    fn replied(number: u128) -> Value {
        json!({ "Replied": {
            "reply": id(200 + number), "finish": "stop", "hold": id(300 + number), "credits": 10,
            "model": "local-1", "input_tokens": null, "output_tokens": 3, "at": AT,
        } })
    }

    fn failed(number: u128) -> Value {
        json!({ "ReplyFailed": { "reply": id(200 + number), "code": "provider_failed", "at": AT } })
    }

    fn cancelled(number: u128, hold: Option<Uuid>) -> Value {
        json!({ "ReplyCancelled": {
            "reply": id(200 + number), "hold": hold, "credits": 0, "model": null,
            "input_tokens": null, "output_tokens": null, "at": AT,
        } })
    }

    fn asked(number: u128) -> Value {
        json!({ "CancelAsked": { "reply": id(200 + number), "at": AT } })
    }

    fn retried(number: u128, again: u128) -> Value {
        let (reply, again) = (id(200 + number), id(200 + again));
        json!({ "Retried": { "reply": reply, "again": again, "model": "local-1", "at": AT } })
    }

    fn read(messages: i64) -> Value {
        json!({ "Read": { "messages": messages, "at": AT } })
    }

    fn deleted() -> Value {
        json!({ "Deleted": { "at": AT } })
    }

    /// The first rule that these break.
    fn broken(facts: impl IntoIterator<Item = Value>) -> Option<&'static str> {
        let mut trail = Trail::default();
        let facts = facts.into_iter().map(|fact| serde_json::from_value(fact).expect("a fact"));
        facts.into_iter().find_map(|fact| trail.enter(id(9), &fact))
    }

    #[test]
    fn a_history_by_the_rules_breaks_none() {
        let begun = [created(), posted(1), posted(2), posted(3), replied(1), asked(2)];
        let stopped = [cancelled(3, None), cancelled(2, Some(id(302))), retried(3, 4), failed(4)];
        let rest = [retried(4, 5), replied(5), read(2), posted(6), deleted()];
        assert_eq!(broken(begun.into_iter().chain(stopped).chain(rest)), None);
    }

    #[test]
    fn a_history_against_the_rules_is_found() {
        let out_of_turn = [
            vec![replied(2)],
            vec![failed(2)],
            vec![replied(3)],
            vec![cancelled(3, None)],
            vec![cancelled(2, Some(id(302)))],
            vec![replied(1), replied(1)],
            vec![failed(1), cancelled(1, None)],
        ];
        for facts in out_of_turn {
            let begun = [created(), posted(1), posted(2)];
            assert_eq!(broken(begun.into_iter().chain(facts.clone())), Some(TURN), "{facts:?}");
        }
        let others = [
            vec![posted(1)],
            vec![created(), created()],
            vec![created(), deleted(), deleted()],
            vec![created(), posted(1), posted(1)],
            vec![created(), posted(1), failed(1), posted(2), retried(1, 3)],
            vec![created(), posted(1), replied(1), retried(1, 3)],
            vec![created(), posted(1), failed(1), retried(1, 1)],
            vec![created(), posted(1), posted(2), asked(2)],
            vec![created(), posted(1), asked(1), asked(1)],
            vec![created(), posted(1), read(0)],
            vec![created(), posted(1), replied(1), read(1), read(1)],
        ];
        for facts in others {
            assert!(broken(facts.clone()).is_some(), "{facts:?}");
        }
        let too_many = [created()].into_iter().chain((1..=17).map(posted));
        assert!(broken(too_many).is_some());
    }
}
