//! Chats and messages as their tables show them.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::facts::Fact;
use crate::verify::VerifyError;
use crate::verify::report::Report;
use crate::verify::rows::Fields;
use crate::verify::shop::{self, Row};

/// What the tables must have.
#[derive(Debug, Default)]
pub(super) struct Tables {
    chats: HashMap<Uuid, Chat>,
    messages: HashMap<Uuid, Message>,
    talks: HashMap<Uuid, Talk>,
}

/// Which messages are of a chat, and which of them wait, in their order.
#[derive(Debug, Default)]
struct Talk {
    messages: Vec<Uuid>,
    waiting: VecDeque<Uuid>,
}

#[derive(Debug, PartialEq, Eq)]
struct Chat {
    user: Uuid,
    created_at: i64,
    updated_at: i64,
    messages: i64,
    unread: i64,
    last: Option<Uuid>,
    last_role: Option<String>,
    waiting: Option<Uuid>,
    cancel_asked: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Message {
    chat: Uuid,
    position: i64,
    number: i64,
    role: String,
    state: String,
    answers: Option<Uuid>,
    retried_by: Option<Uuid>,
    model: Option<String>,
    finish: Option<String>,
    hold: Option<Uuid>,
    credits: i64,
    tokens: [Option<i64>; 2],
    code: Option<String>,
    created_at: i64,
    completed_at: Option<i64>,
}

impl Row for Chat {
    type Key = Uuid;
    const TABLE: &str = "chats";
    const QUERY: &str = "select chat_id, user_id, created_at, updated_at, messages::int8, \
         unread::int8, last_message, last_role, waiting, cancel_asked from chats.chats";

    fn key(fields: &mut Fields<'_>) -> Option<Uuid> {
        fields.uuid()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            user: fields.uuid()?,
            created_at: fields.micros()?,
            updated_at: fields.micros()?,
            messages: fields.i64()?,
            unread: fields.i64()?,
            last: fields.opt_uuid()?,
            last_role: fields.opt_string()?,
            waiting: fields.opt_uuid()?,
            cancel_asked: fields.bool()?,
        })
    }
}

impl Row for Message {
    type Key = Uuid;
    const TABLE: &str = "messages";
    const QUERY: &str = "select message_id, chat_id, position, number::int8, role, state, answers, \
         retried_by, model, finish, hold_id, credits, input_tokens, output_tokens, code, \
         created_at, completed_at from chats.messages";

    fn key(fields: &mut Fields<'_>) -> Option<Uuid> {
        fields.uuid()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            chat: fields.uuid()?,
            position: fields.i64()?,
            number: fields.i64()?,
            role: fields.string()?,
            state: fields.string()?,
            answers: fields.opt_uuid()?,
            retried_by: fields.opt_uuid()?,
            model: fields.opt_string()?,
            finish: fields.opt_string()?,
            hold: fields.opt_uuid()?,
            credits: fields.i64()?,
            tokens: [fields.opt_i64()?, fields.opt_i64()?],
            code: fields.opt_string()?,
            created_at: fields.micros()?,
            completed_at: fields.opt_micros()?,
        })
    }
}

impl Tables {
    pub(super) fn join(&mut self, other: Self) {
        self.chats.extend(other.chats);
        self.messages.extend(other.messages);
        self.talks.extend(other.talks);
    }

    pub(super) async fn compare(
        &self,
        db: &mut PgConnection,
        report: &mut Report,
    ) -> Result<(), VerifyError> {
        shop::compare(db, &self.chats, report).await?;
        shop::compare(db, &self.messages, report).await
    }

    /// What a fact changes in them. One that does not follow changes nothing: it is found elsewhere.
    pub(super) fn follow(&mut self, chat: Uuid, position: i64, fact: &Fact) {
        match fact {
            Fact::Created { owner, at } => self.create(chat, *owner, *at),
            Fact::Retitled { at } => self.touch(chat, *at),
            Fact::Posted { message, reply, model, at } => {
                self.add(chat, position, *message, None, *at);
                self.add(chat, position, *reply, Some((*message, model)), *at);
                self.touch(chat, *at);
            }
            Fact::Retried { reply, again, model, at } => {
                let answers = self.messages.get_mut(reply).and_then(|message| {
                    message.retried_by = Some(*again);
                    message.answers
                });
                if let Some(answers) = answers {
                    self.add(chat, position, *again, Some((answers, model)), *at);
                }
                self.touch(chat, *at);
            }
            Fact::Replied { .. } | Fact::ReplyFailed { .. } | Fact::ReplyCancelled { .. } => {
                self.end(chat, fact);
            }
            Fact::CancelAsked { .. } => self.change(chat, |chat| chat.cancel_asked = true),
            Fact::Read { messages } => self.change(chat, |chat| chat.unread -= messages),
            Fact::Deleted {} => {
                self.chats.remove(&chat);
                for message in self.talks.remove(&chat).unwrap_or_default().messages {
                    self.messages.remove(&message);
                }
            }
        }
    }

    fn create(&mut self, chat: Uuid, user: Uuid, at: DateTime<Utc>) {
        let created_at = at.timestamp_micros();
        let new = Chat {
            user,
            created_at,
            updated_at: created_at,
            messages: 0,
            unread: 0,
            last: None,
            last_role: None,
            waiting: None,
            cancel_asked: false,
        };
        self.chats.insert(chat, new);
    }

    fn change(&mut self, chat: Uuid, how: impl FnOnce(&mut Chat)) {
        if let Some(chat) = self.chats.get_mut(&chat) {
            how(chat);
        }
    }

    fn touch(&mut self, chat: Uuid, at: DateTime<Utc>) {
        self.change(chat, |chat| chat.updated_at = at.timestamp_micros());
    }

    /// A person's message, or a reply to one that waits.
    fn add(
        &mut self,
        chat: Uuid,
        position: i64,
        id: Uuid,
        to: Option<(Uuid, &String)>,
        at: DateTime<Utc>,
    ) {
        let Some(row) = self.chats.get_mut(&chat) else { return };
        row.messages += 1;
        let talk = self.talks.entry(chat).or_default();
        talk.messages.push(id);
        let (role, state) = if to.is_some() { ("assistant", "queued") } else { ("user", "done") };
        if to.is_some() {
            talk.waiting.push_back(id);
            row.waiting.get_or_insert(id);
        } else {
            (row.last, row.last_role) = (Some(id), Some(role.to_owned()));
        }
        let created_at = at.timestamp_micros();
        let new = Message {
            chat,
            position,
            number: row.messages,
            role: role.to_owned(),
            state: state.to_owned(),
            answers: to.map(|(answers, _)| answers),
            retried_by: None,
            model: to.map(|(_, model)| model.clone()),
            finish: None,
            hold: None,
            credits: 0,
            tokens: [None, None],
            code: None,
            created_at,
            completed_at: to.is_none().then_some(created_at),
        };
        self.messages.insert(id, new);
    }

    fn end(&mut self, chat: Uuid, fact: &Fact) {
        let (Fact::Replied { reply, at, .. }
        | Fact::ReplyFailed { reply, at, .. }
        | Fact::ReplyCancelled { reply, at, .. }) = fact
        else {
            return;
        };
        let Some(message) = self.messages.get_mut(reply) else { return };
        message.completed_at = Some(at.timestamp_micros());
        message.end(fact);
        let (number, is_done) = (message.number, message.state == "done");
        let talk = self.talks.entry(chat).or_default();
        talk.waiting.retain(|waiting| waiting != reply);
        let waiting = talk.waiting.front().copied();
        let last = self.chats.get(&chat).and_then(|chat| self.messages.get(&chat.last?));
        let is_last = is_done && last.is_none_or(|last| last.number < number);
        self.change(chat, |chat| {
            chat.unread += i64::from(is_done);
            if is_last {
                (chat.last, chat.last_role) = (Some(*reply), Some("assistant".to_owned()));
            }
            chat.cancel_asked &= chat.waiting == waiting;
            chat.waiting = waiting;
        });
        self.touch(chat, *at);
    }
}

impl Message {
    fn end(&mut self, fact: &Fact) {
        match fact {
            Fact::Replied { finish, hold, credits, model, input_tokens, output_tokens, .. } => {
                "done".clone_into(&mut self.state);
                (self.finish, self.model) = (Some(finish.clone()), Some(model.clone()));
                (self.hold, self.credits) = (Some(*hold), *credits);
                self.tokens = [*input_tokens, *output_tokens];
            }
            Fact::ReplyFailed { code, .. } => {
                "failed".clone_into(&mut self.state);
                self.code = Some(code.clone());
            }
            Fact::ReplyCancelled { hold, credits, model, input_tokens, output_tokens, .. } => {
                "cancelled".clone_into(&mut self.state);
                self.model = model.clone().or(self.model.take());
                (self.hold, self.credits) = (*hold, *credits);
                self.tokens = [*input_tokens, *output_tokens];
            }
            _ => {}
        }
    }
}
