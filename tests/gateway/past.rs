//! What a model reads of a long chat: what was said last, and nothing older is looked at.

use aggregates::chat::{Ask, ReplyFinish};
use aggregates::credits::Credits;
use aggregates::id::{HoldId, MessageId};
use uuid::Uuid;

use crate::chats::says;
use crate::house::House;
use crate::talks::{Talk, message};

/// Tokens that are read at most.
const PAST: usize = 16_000;
/// Messages that are there, and how many of them, the oldest, nobody can read any more.
const SAID: usize = 160;
const UNREADABLE: usize = 50;

/// What is read, by the rule.
fn latest(said: &[String]) -> Vec<String> {
    let mut sum = 0;
    let fits = |text: &&String| {
        sum += 4 + bpe_openai::o200k_base().count(text);
        sum <= PAST
    };
    let mut latest: Vec<_> = said.iter().rev().take_while(fits).cloned().collect();
    latest.reverse();
    latest
}

impl House {
    /// The text as it is kept.
    async fn sealed(&self, id: MessageId, text: &str) -> String {
        let (codec, place) = (self.node.app.store.codec(), format!("chat_text/{}", id.0));
        codec.seal_value(self.ada.id.into(), &place, &text).await.expect("a key")
    }
}

/// Has so many messages said and replied to; what they say.
async fn said(house: &House, talk: &Talk) -> Vec<String> {
    let mut texts = vec![];
    while texts.len() < SAID {
        let (posted, reply) = (message(), message());
        let mut rows = vec![];
        for id in [posted, reply] {
            let number = texts.len();
            let text = format!("{number}:{}", " word".repeat(150 + number % 7 * 20));
            let sealed =
                if number < UNREADABLE { "?".to_owned() } else { house.sealed(id, &text).await };
            rows.push(talk.text(id, &sealed));
            texts.push(text);
        }
        let model = "local-1".to_owned();
        let post = Ask::Post { message: posted, reply, model: model.clone() };
        talk.ask(post, rows.drain(..1)).await.expect("it is said");
        let complete = Ask::Complete {
            reply,
            finish: ReplyFinish::Stop,
            hold: HoldId(Uuid::now_v7()),
            credits: Credits::ZERO,
            model,
            input_tokens: None,
            output_tokens: None,
        };
        talk.ask(complete, rows).await.expect("it is replied to");
    }
    texts
}

#[tokio::test]
async fn a_model_reads_what_was_said_last_and_nothing_older_is_looked_at() {
    let house = House::open(100).await;
    house.give(50_000).await;
    house.script.answer("And now?", says("Nothing."));
    let talk = Talk::begin(&house.node.app.store, house.ada.id).await;
    let mut said = said(&house, &talk).await;
    let reply = house.say(&talk.chat.to_string(), "And now?").await;
    said.push("And now?".to_owned());
    house.until(&talk.chat.to_string(), &reply, "done").await;
    let read = house.script.requests().pop().expect("it was asked");
    assert_eq!(read, latest(&said));
    assert!((60..100).contains(&read.len()), "{} are more than a page, and not all", read.len());
    house.close().await;
}
