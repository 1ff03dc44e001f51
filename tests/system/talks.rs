//! A chat past the API, as whoever makes its replies writes it.

use aggregates::chat::{Ask, Chat, ChatCommand, ChatError, ReplyFinish};
use aggregates::credits::Credits;
use aggregates::id::{ChatId, CommandId, HoldId, MessageId, UserId};
use chrono::NaiveDate;
use saldo::store::{Envelope, ExecuteError, Metadata, SideRow, Store};
use uuid::Uuid;

/// A chat, and who talks in it.
#[derive(Clone)]
pub struct Talk {
    store: Store,
    pub user: UserId,
    pub chat: ChatId,
}

pub type Said = Result<(), ExecuteError<ChatError>>;

/// The day on which everything happens.
pub fn day() -> NaiveDate {
    saldo::clock::now().date_naive()
}

pub fn message() -> MessageId {
    MessageId(Uuid::now_v7())
}

impl Talk {
    pub async fn begin(store: &Store, user: Uuid) -> Self {
        let (store, user) = (store.clone(), UserId(user));
        let talk = Self { store, user, chat: ChatId(Uuid::now_v7()) };
        let opened = SideRow::ChatOpened { chat_id: talk.chat, user_id: user };
        talk.ask(Ask::Create { owner: user }, [opened]).await.expect("a chat");
        talk
    }

    /// The same chat on another node.
    pub fn on(&self, store: &Store) -> Self {
        Self { store: store.clone(), ..self.clone() }
    }

    pub async fn ask(&self, ask: Ask, side: impl IntoIterator<Item = SideRow>) -> Said {
        self.ask_as(CommandId(Uuid::now_v7()), ask, side).await
    }

    pub async fn ask_as(
        &self,
        id: CommandId,
        ask: Ask,
        side: impl IntoIterator<Item = SideRow>,
    ) -> Said {
        let mut envelope = Envelope::new(id, Metadata::default());
        envelope.side.extend(side);
        let command = ChatCommand { now: saldo::clock::now(), ask };
        self.store.execute::<Chat>(self.chat, envelope, command).await.map(drop)
    }

    /// A text that is kept by this id.
    pub fn text(&self, id: impl Into<Uuid>, sealed: &str) -> SideRow {
        let (text_id, chat_id, user_id) = (id.into(), self.chat, self.user);
        SideRow::ChatText { text_id, chat_id, user_id, sealed: sealed.to_owned() }
    }

    /// A title that the first message gives.
    pub fn first_title(&self, sealed: &str) -> SideRow {
        let (chat_id, user_id) = (self.chat, self.user);
        SideRow::ChatFirstTitle { chat_id, user_id, sealed: sealed.to_owned() }
    }

    pub fn told(&self, what: &str) -> SideRow {
        let (chat_id, what) = (self.chat, what.to_owned());
        SideRow::ChatStream { chat_id, what, message_id: None, sealed: None }
    }

    pub fn allowance(&self, most: u32) -> SideRow {
        SideRow::ChatAllowance { user_id: self.user, day: day(), most }
    }

    /// Says something; the reply to it.
    pub async fn post(&self) -> MessageId {
        let (message, reply) = (message(), message());
        let text = self.text(message, "said");
        self.ask(Ask::Post { message, reply, model: "local-1".to_owned() }, [text])
            .await
            .expect("it is said");
        reply
    }

    pub async fn complete(&self, reply: MessageId, hold: HoldId, credits: Credits) -> Said {
        let ask = Ask::Complete {
            reply,
            finish: ReplyFinish::Stop,
            hold,
            credits,
            model: "local-1".to_owned(),
            input_tokens: Some(1),
            output_tokens: Some(2),
        };
        self.ask(ask, [self.text(reply, "replied"), self.told("done")]).await
    }
}
