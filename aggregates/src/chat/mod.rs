//! A chat: what a person says, and the replies of a model, which come one after the other.
//!
//! Nothing of what is said is here, nor in the events: the log is for ever, and who deletes a chat
//! wants it gone.

mod command;
mod error;
mod event;
mod terms;
#[cfg(test)]
mod tests;

pub use command::{Ask, ChatCommand};
pub use error::ChatError;
pub use event::ChatEvent;
pub use terms::{MESSAGES_AT_MOST, ReplyFinish, WAITING_AT_MOST};

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::credits::Credits;
use crate::id::{MessageId, UserId};

/// What the next decision about a chat needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// None before it began.
    owner: Option<UserId>,
    deleted: bool,
    /// Replies that wait: the first is under way, or the next.
    waiting: VecDeque<MessageId>,
    /// Whether the first is to stop.
    cancel_asked: bool,
    /// What was said last, and the last reply to it.
    last: Option<Last>,
    /// How many there are, replies included.
    messages: u32,
    /// Replies that came since the person has looked.
    unread: u32,
}

/// What was said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    message: MessageId,
    reply: MessageId,
    /// Which model is to reply.
    model: String,
    /// Whether the reply failed or was stopped.
    retriable: bool,
}

impl Chat {
    /// Whose it is; none before it began, and once it is deleted.
    #[must_use]
    pub fn owner(&self) -> Option<UserId> {
        self.owner.filter(|_| !self.deleted)
    }

    /// The replies that wait, in their order: the first is under way, or the next.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = MessageId> {
        self.waiting.iter().copied()
    }

    /// The reply that is to stop, and has not.
    #[must_use]
    pub fn to_cancel(&self) -> Option<MessageId> {
        self.waiting.front().copied().filter(|_| self.cancel_asked)
    }

    /// The model that was asked for the last reply.
    #[must_use]
    pub fn asked(&self) -> Option<&str> {
        self.last.as_ref().map(|last| last.model.as_str())
    }

    /// The rules, one row each. Pure: same state, same command, same answer.
    fn decide(&self, command: ChatCommand) -> Result<Vec<ChatEvent>, ChatError> {
        use ChatEvent as E;
        let ChatCommand { now: at, ask } = command;
        match ask {
            _ if self.deleted => Err(ChatError::Deleted),
            Ask::Create { owner } => self.create(owner, at),
            _ if self.owner.is_none() => Err(ChatError::NotFound),

            Ask::Post { message, .. } if self.said_last(message) => Ok(vec![]),
            Ask::Retry { again, .. } if self.replies_last(again) => Ok(vec![]),
            Ask::Read if self.unread == 0 => Ok(vec![]),
            Ask::Cancel { reply } if self.to_cancel() == Some(reply) => Ok(vec![]),

            Ask::Retitle => Ok(vec![E::Retitled { at }]),
            Ask::Post { message, reply, model } => {
                self.room_for(2)?;
                Ok(vec![E::Posted { message, reply, model, at }])
            }
            Ask::Complete { reply, .. }
            | Ask::Fail { reply, .. }
            | Ask::Cancel { reply }
            | Ask::CompleteCancelled { reply, .. }
                if self.waiting.front() != Some(&reply) =>
            {
                Err(ChatError::NotWaiting)
            }
            Ask::CancelWaiting { reply } if self.waiting.front() == Some(&reply) => {
                Err(ChatError::ItsTurn)
            }
            Ask::CancelWaiting { reply } if !self.waiting.contains(&reply) => {
                Err(ChatError::NotWaiting)
            }
            Ask::CancelWaiting { reply } => Ok(vec![dropped(reply, at)]),
            Ask::Cancel { reply } => Ok(vec![E::CancelAsked { reply, at }]),
            Ask::Retry { reply, again, model } => {
                let last = self.last.as_ref().filter(|last| last.retriable && last.reply == reply);
                last.ok_or(ChatError::NotRetriable)?;
                self.room_for(1)?;
                Ok(vec![E::Retried { reply, again, model, at }])
            }
            Ask::Read => Ok(vec![E::Read { messages: self.unread, at }]),
            Ask::Delete => Ok(vec![E::Deleted { at }]),
            outcome @ (Ask::Complete { .. } | Ask::Fail { .. } | Ask::CompleteCancelled { .. }) => {
                Ok(outcome_of(outcome, at).into_iter().collect())
            }
        }
    }

    fn create(&self, owner: UserId, at: DateTime<Utc>) -> Result<Vec<ChatEvent>, ChatError> {
        match self.owner {
            Some(known) if known == owner => Ok(vec![]),
            Some(_) => Err(ChatError::Taken),
            None => Ok(vec![ChatEvent::Created { owner, at }]),
        }
    }

    fn said_last(&self, message: MessageId) -> bool {
        self.last.as_ref().is_some_and(|last| last.message == message)
    }

    fn replies_last(&self, reply: MessageId) -> bool {
        self.last.as_ref().is_some_and(|last| last.reply == reply)
    }

    /// Whether one more reply may wait, with so many more messages.
    fn room_for(&self, messages: u32) -> Result<(), ChatError> {
        if self.waiting.len() >= WAITING_AT_MOST {
            return Err(ChatError::TooManyWaiting);
        }
        if self.messages + messages > MESSAGES_AT_MOST { Err(ChatError::Full) } else { Ok(()) }
    }

    /// A reply waits no more.
    fn ended(&mut self, reply: MessageId) {
        self.cancel_asked &= self.waiting.front() != Some(&reply);
        self.waiting.retain(|waiting| *waiting != reply);
    }

    /// The same, and it may be tried again while nothing else was said.
    fn came_to_nothing(&mut self, reply: MessageId) {
        self.ended(reply);
        if let Some(last) = self.last.as_mut().filter(|last| last.reply == reply) {
            last.retriable = true;
        }
    }
}

/// A reply of which nothing was made.
fn dropped(reply: MessageId, at: DateTime<Utc>) -> ChatEvent {
    ChatEvent::ReplyCancelled {
        reply,
        hold: None,
        credits: Credits::ZERO,
        model: None,
        input_tokens: None,
        output_tokens: None,
        at,
    }
}

/// How a reply that was asked for came to its end.
fn outcome_of(ask: Ask, at: DateTime<Utc>) -> Option<ChatEvent> {
    Some(match ask {
        Ask::Complete { reply, finish, hold, credits, model, input_tokens, output_tokens } => {
            ChatEvent::Replied {
                reply,
                finish,
                hold,
                credits,
                model,
                input_tokens,
                output_tokens,
                at,
            }
        }
        Ask::Fail { reply, code } => ChatEvent::ReplyFailed { reply, code, at },
        Ask::CompleteCancelled { reply, hold, credits, model, input_tokens, output_tokens } => {
            ChatEvent::ReplyCancelled {
                reply,
                hold,
                credits,
                model,
                input_tokens,
                output_tokens,
                at,
            }
        }
        Ask::Create { .. }
        | Ask::Retitle
        | Ask::Post { .. }
        | Ask::CancelWaiting { .. }
        | Ask::Cancel { .. }
        | Ask::Retry { .. }
        | Ask::Read
        | Ask::Delete => return None,
    })
}

impl Aggregate for Chat {
    const TYPE: &'static str = "chat";
    type Command = ChatCommand;
    type Event = ChatEvent;
    type Error = ChatError;
    type Services = ();

    async fn handle(
        &mut self,
        command: ChatCommand,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), ChatError> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: ChatEvent) {
        match event {
            ChatEvent::Created { owner, .. } => self.owner = Some(owner),
            ChatEvent::Retitled { .. } => {}
            ChatEvent::Posted { message, reply, model, .. } => {
                self.messages += 2;
                self.waiting.push_back(reply);
                self.last = Some(Last { message, reply, model, retriable: false });
            }
            ChatEvent::Replied { reply, .. } => {
                self.ended(reply);
                self.unread += 1;
            }
            ChatEvent::ReplyFailed { reply, .. } | ChatEvent::ReplyCancelled { reply, .. } => {
                self.came_to_nothing(reply);
            }
            ChatEvent::CancelAsked { .. } => self.cancel_asked = true,
            ChatEvent::Retried { again, model, .. } => {
                self.messages += 1;
                self.waiting.push_back(again);
                if let Some(last) = &mut self.last {
                    (last.reply, last.model, last.retriable) = (again, model, false);
                }
            }
            ChatEvent::Read { messages, .. } => self.unread = self.unread.saturating_sub(messages),
            ChatEvent::Deleted { .. } => {
                self.deleted = true;
                self.waiting.clear();
                (self.cancel_asked, self.last, self.unread) = (false, None, 0);
            }
        }
    }
}
