//! Chats that live a random life. The domain decides what happens; only what is asked is random.

use std::collections::VecDeque;

use aggregates::chat::{Ask, Chat, ChatCommand, ReplyFinish};
use aggregates::credits::Credits;
use aggregates::id::{HoldId, MessageId, UserId};
use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use saldo::clock;
use uuid::Uuid;

use crate::world::{Line, Random};

/// Chats of a few people.
pub(crate) struct Talks {
    random: Random,
    pub(crate) people: Vec<Uuid>,
    chats: Vec<Talk>,
    now: DateTime<Utc>,
}

#[derive(Default)]
struct Talk {
    id: Uuid,
    chat: Chat,
    sequence: i64,
    /// Replies that there were, the last at the end.
    replies: VecDeque<MessageId>,
}

impl Talks {
    pub(crate) fn new(seed: u64, chats: usize) -> Self {
        let chat = || Talk { id: Uuid::now_v7(), ..Talk::default() };
        let chats = std::iter::repeat_with(chat).take(chats).collect();
        let people = (0..3).map(|_| Uuid::now_v7()).collect();
        let now = DateTime::from_timestamp(clock::now().timestamp() - 900, 0).unwrap();
        Self { random: Random(seed), people, chats, now }
    }

    /// At least so many events.
    pub(crate) async fn live(&mut self, events: usize) -> Vec<Line> {
        let mut lines = vec![];
        while lines.len() < events {
            let index = self.below(self.chats.len());
            // Several at the same time, so that pages must be cut by the ids of chats, too.
            self.now += TimeDelta::milliseconds(i64::try_from(self.random.below(2)).unwrap());
            let owner = self.people[index % self.people.len()];
            let ask = self.chats[index].ask(&mut self.random, UserId(owner));
            lines.extend(self.chats[index].happen(ChatCommand { now: self.now, ask }).await);
        }
        lines
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(u64::try_from(bound).unwrap())).unwrap()
    }
}

impl Talk {
    async fn happen(&mut self, command: ChatCommand) -> Vec<Line> {
        if let Ask::Post { reply, .. } | Ask::Retry { again: reply, .. } = &command.ask {
            self.replies.push_back(*reply);
        }
        let sink = EventSink::default();
        if self.chat.handle(command, &(), &sink).await.is_err() {
            return vec![];
        }
        let mut lines = vec![];
        for event in sink.collect().await {
            self.sequence += 1;
            lines.push(Line::of::<Chat>(self.id, self.sequence, &event));
        }
        lines
    }

    fn ask(&self, random: &mut Random, owner: UserId) -> Ask {
        if self.sequence == 0 {
            return Ask::Create { owner };
        }
        let new = || MessageId(Uuid::now_v7());
        let waiting: Vec<_> = self.chat.waiting().collect();
        let first = waiting.first().copied().unwrap_or_default();
        let any = waiting.get(usize::try_from(random.below(3)).unwrap()).copied();
        let last = self.replies.back().copied().unwrap_or_default();
        let model = "local-1".to_owned();
        match random.below(60) {
            0..16 => Ask::Post { message: new(), reply: new(), model },
            16..32 => Ask::Complete {
                reply: first,
                finish: [ReplyFinish::Stop, ReplyFinish::Length][usize::from(random.below(2) == 0)],
                hold: HoldId(Uuid::now_v7()),
                credits: Credits::new(7),
                model: "local-2".to_owned(),
                input_tokens: Some(random.below(99)),
                output_tokens: (random.below(2) == 0).then_some(5),
            },
            32..38 => Ask::Fail { reply: first, code: "provider_failed".to_owned() },
            38..41 => Ask::Cancel { reply: first },
            41..44 => Ask::CancelWaiting { reply: any.unwrap_or_default() },
            44..48 => Ask::CompleteCancelled {
                reply: first,
                hold: Some(HoldId(Uuid::now_v7())),
                credits: Credits::new(3),
                model: (random.below(2) == 0).then_some(model),
                input_tokens: None,
                output_tokens: Some(2),
            },
            48..54 => Ask::Retry { reply: last, again: new(), model },
            54..57 => Ask::Read,
            57..59 => Ask::Retitle,
            _ if random.below(4) == 0 => Ask::Delete,
            _ => Ask::Read,
        }
    }
}
