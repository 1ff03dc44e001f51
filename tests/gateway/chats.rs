//! Chats: replies one after the other, heard as they are written, charged as they came.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use saldo::clients::llm::{Finish, ProviderError};
use serde_json::{Value, json};

use crate::house::House;
use crate::listening::{Listener, kinds, text};
use crate::script::Step;

pub fn says(text: &str) -> Vec<Step> {
    vec![Step::Says(text.to_owned()), Step::Used(Some(10), Some(5)), Step::Ends(Finish::Stop)]
}

/// Waits before it says it.
pub fn waits(text: &str) -> Vec<Step> {
    [vec![Step::Waits], says(text)].concat()
}

impl House {
    pub async fn chat(&self) -> String {
        let begun = self.post("/chats", &json!({})).await;
        assert_eq!(begun.status, StatusCode::CREATED, "{:?}", begun.body);
        begun.body["id"].as_str().expect("an id").to_owned()
    }

    /// Says something; the reply's id.
    pub async fn say(&self, chat: &str, text: &str) -> String {
        let path = format!("/chats/{chat}/messages");
        let accepted = self.post(&path, &json!({ "text": text })).await;
        assert_eq!(accepted.status, StatusCode::ACCEPTED, "{:?}", accepted.body);
        assert_eq!(accepted.body["reply"]["state"], "queued");
        accepted.body["reply"]["id"].as_str().expect("an id").to_owned()
    }

    /// The message, once it has come to this state.
    pub async fn until(&self, chat: &str, message: &str, state: &str) -> Value {
        let path = format!("/chats/{chat}/messages/{message}");
        for _ in 0..200 {
            let message = self.get(&path).await;
            if message["state"] == state {
                return message;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it is not {state}: {}", self.get(&path).await);
    }

    /// Waits until the provider was asked so often.
    pub async fn until_asked(&self, times: usize) {
        for _ in 0..200 {
            if self.script.asked() >= times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it was asked {} times", self.script.asked());
    }
}

#[tokio::test]
async fn a_message_is_replied_to_heard_listed_and_paid() {
    let house = House::open(100).await;
    house.give(1000).await;
    let hello = vec![
        Step::Says("Good ".to_owned()),
        Step::Rests(Duration::from_millis(300)),
        Step::Says("day.".to_owned()),
        Step::Used(Some(12), Some(8)),
        Step::Ends(Finish::Stop),
    ];
    house.script.answer("Hello, you!", hello);
    house.script.answer("And?", says("Nothing."));
    let chat = house.chat().await;
    let mut listener = Listener::to(&house.server, &house.ada, &chat, None).await;
    let reply = house.say(&chat, "Hello, you!").await;
    let told = listener.until("message.completed").await;
    assert_eq!(kinds(&told), ["message.posted", "reply.started", "message.completed"]);
    assert_eq!(text(&told), "Good day.");
    assert!(told.len() >= 5, "it came in slices: {told:?}");
    let last = told.last().expect("the end");
    assert_eq!((&last.data["credits"], &last.data["finish"]), (&json!(20), &json!("stop")));

    let message = house.until(&chat, &reply, "done").await;
    assert_eq!((&message["text"], &message["credits"]), (&json!("Good day."), &json!(20)));
    assert_eq!(house.settled().await, 1080);
    let listed = house.get("/chats").await;
    let item = &listed["items"][0];
    assert_eq!(
        (&item["title"], &item["messages"], &item["unread"]),
        (&json!("Hello, you!"), &json!(2), &json!(1))
    );
    assert_eq!(item["last_message"], json!({ "role": "assistant", "text": "Good day." }));
    let read = house.post(&format!("/chats/{chat}/read"), &json!({})).await;
    assert_eq!(read.status, StatusCode::NO_CONTENT);
    assert_eq!(house.get(&format!("/chats/{chat}")).await["unread"], 0);

    // The model reads what was said before.
    let reply = house.say(&chat, "And?").await;
    house.until(&chat, &reply, "done").await;
    assert_eq!(house.script.requests()[1], ["Hello, you!", "Good day.", "And?"]);
    let messages = house.get(&format!("/chats/{chat}/messages?limit=3")).await;
    let texts: Vec<_> = messages["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|message| &message["text"])
        .collect();
    assert_eq!(texts, ["Nothing.", "And?", "Good day."]);
    let cursor = messages["next_cursor"].as_str().expect("another page");
    let messages = house.get(&format!("/chats/{chat}/messages?cursor={cursor}")).await;
    assert_eq!(messages["items"][0]["text"], "Hello, you!");
    house.close().await;
}

#[tokio::test]
async fn replies_of_a_chat_come_one_at_a_time_in_order_and_chats_wait_for_no_other() {
    let house = House::open(100).await;
    house.give(5000).await;
    for text in ["one", "two"] {
        house.script.answer(text, waits(&format!("reply to {text}")));
    }
    house.script.answer("other", says("at once"));
    let (chat, other) = (house.chat().await, house.chat().await);
    let first = house.say(&chat, "one").await;
    let second = house.say(&chat, "two").await;
    let elsewhere = house.say(&other, "other").await;
    house.until(&other, &elsewhere, "done").await;
    assert_eq!(house.script.asked(), 2, "the second waits for the first");
    house.script.go_on();
    house.until(&chat, &first, "done").await;
    house.until_asked(3).await;
    house.script.go_on();
    let second = house.until(&chat, &second, "done").await;
    assert_eq!(second["text"], "reply to two");
    assert_eq!(house.script.requests()[2], ["one", "reply to one", "two"]);
    house.close().await;
}

#[tokio::test]
async fn whoever_comes_back_on_any_node_misses_nothing_and_hears_nothing_twice() {
    let house = House::open(100).await;
    house.give(5000).await;
    let mut steps = Vec::new();
    for word in 0..20 {
        steps.push(Step::Says(format!("{word} ")));
        steps.push(Step::Rests(Duration::from_millis(60)));
    }
    steps.extend([Step::Used(Some(10), Some(40)), Step::Ends(Finish::Stop)]);
    house.script.answer("count", steps);
    let chat = house.chat().await;
    let (node, server) = house.another_node().await;
    let mut listener = Listener::to(&house.server, &house.ada, &chat, None).await;
    house.say(&chat, "count").await;
    // Nothing was told of it before.
    let (mut all, mut last) = (Vec::new(), 0);
    for turn in 0.. {
        // A few events each time, on the one node and then on the other.
        let at = if turn % 2 == 0 { &server } else { &house.server };
        let mut listener = Listener::to(at, &house.ada, &chat, Some(last)).await;
        for _ in 0..3 {
            let told = listener.next().await.expect("more");
            last = told.id;
            all.push(told);
            if all.last().is_some_and(|told| told.kind == "message.completed") {
                break;
            }
        }
        if all.last().is_some_and(|told| told.kind == "message.completed") {
            break;
        }
    }
    let whole = listener.until("message.completed").await;
    assert_eq!(all, whole);
    let counted = (0..20).map(|word| word.to_string()).collect::<Vec<_>>().join(" ") + " ";
    assert_eq!(text(&all), counted);
    assert!(all.windows(2).all(|pair| pair[0].id < pair[1].id), "{all:?}");
    node.stop().await;
    house.close().await;
}

#[tokio::test]
async fn a_reply_that_fails_is_free_visible_and_can_be_tried_again() {
    let house = House::open(100).await;
    house.give(1000).await;
    let cut = vec![
        Step::Used(Some(10), None),
        Step::Says("half".to_owned()),
        Step::Fails(ProviderError::CutShort),
    ];
    house.script.answer("hello", cut);
    let chat = house.chat().await;
    let reply = house.say(&chat, "hello").await;
    let failed = house.until(&chat, &reply, "failed").await;
    assert_eq!(
        (&failed["code"], &failed["credits"], &failed["text"]),
        (&json!("provider_failed"), &json!(0), &Value::Null)
    );
    assert_eq!(house.settled().await, 1100);
    assert_eq!(house.count("select used::bigint from chat_days").await, 0);

    house.script.answer("hello", says("Good day."));
    let path = format!("/chats/{chat}/messages/{reply}/retry");
    let again = house.post(&path, &json!({})).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{:?}", again.body);
    let again = again.body["reply"]["id"].as_str().expect("an id");
    assert_eq!(house.until(&chat, again, "done").await["text"], "Good day.");
    assert_eq!(house.until(&chat, &reply, "failed").await["retried_by"], again);
    assert_eq!(house.script.requests()[1], ["hello"]);
    let twice = house.post(&path, &json!({})).await;
    assert_eq!(
        (twice.status, &twice.body["code"]),
        (StatusCode::CONFLICT, &json!("not_retriable"))
    );
    house.close().await;
}

#[tokio::test]
async fn a_reply_is_tried_again_by_the_model_that_was_asked() {
    let house = House::open(100).await;
    house.give(1000).await;
    let cut = vec![Step::Says("half".to_owned()), Step::Fails(ProviderError::CutShort)];
    house.script.answer("hello", cut.clone());
    let chat = house.chat().await;
    let asked = json!({ "text": "hello", "model": "dear" });
    let asked = house.post(&format!("/chats/{chat}/messages"), &asked).await;
    let mut reply = asked.body["reply"]["id"].as_str().expect("an id").to_owned();
    // However often.
    for answer in [cut, says("Good day.")] {
        house.until(&chat, &reply, "failed").await;
        house.script.answer("hello", answer);
        let path = format!("/chats/{chat}/messages/{reply}/retry");
        let again = house.post(&path, &json!({})).await;
        reply = again.body["reply"]["id"].as_str().expect("an id").to_owned();
    }
    let reply = house.until(&chat, &reply, "done").await;
    assert_eq!(house.script.models(), ["dear"; 3]);
    assert_eq!((&reply["model"], &reply["credits"]), (&json!("dear"), &json!(30)));
    house.close().await;
}

#[tokio::test]
async fn who_has_no_plan_has_five_messages_a_day_however_many_are_posted_at_once() {
    let house = House::open(100).await;
    house.give(5000).await;
    house.script.answer("hello", says("Good day."));
    let chats = [house.chat().await, house.chat().await];
    let paths: Vec<_> =
        (0..12).map(|number| format!("/chats/{}/messages", chats[number % 2])).collect();
    let hello = json!({ "text": "hello" });
    let answers = join_all(paths.iter().map(|path| house.post(path, &hello))).await;
    let accepted = answers.iter().filter(|answer| answer.status == StatusCode::ACCEPTED).count();
    assert_eq!(accepted, 5);
    for refused in answers.iter().filter(|answer| answer.status != StatusCode::ACCEPTED) {
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (StatusCode::TOO_MANY_REQUESTS, &json!("allowance_spent"))
        );
    }
    house.close().await;
}

#[tokio::test]
async fn a_chat_that_is_deleted_is_gone_with_every_word_and_stops_what_is_under_way() {
    let house = House::open(100).await;
    house.give(5000).await;
    let half = vec![Step::Says("half a".to_owned()), Step::Waits, Step::Ends(Finish::Stop)];
    house.script.answer("one", half);
    let chat = house.chat().await;
    let mut listener = Listener::to(&house.server, &house.ada, &chat, None).await;
    house.say(&chat, "one").await;
    listener.until("message.delta").await;
    assert_eq!(house.delete(&format!("/chats/{chat}")).await, StatusCode::NO_CONTENT);
    let told = listener.until("chat.deleted").await;
    assert!(!told.is_empty());
    house.settled().await;
    assert_eq!(house.script.left(), 1, "the provider was left");
    assert_eq!(house.count("select count(*) from chat_texts").await, 0);
    assert_eq!(house.count("select count(*) from chat_stream").await, 0);
    assert_eq!(house.get("/chats").await["items"], json!([]));
    let gone = house.server.get(&house.ada, &format!("/chats/{chat}/messages")).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert_eq!(house.delete(&format!("/chats/{chat}")).await, StatusCode::NOT_FOUND);
    house.close().await;
}

#[tokio::test]
async fn a_chat_is_its_owners_alone() {
    let house = House::open(100).await;
    let chat = house.chat().await;
    let eve = house.server.register("eve@example.com").await;
    let message = json!({ "text": "hello" });
    for path in ["", "/messages"] {
        let path = format!("/chats/{chat}{path}");
        assert_eq!(house.server.get(&eve, &path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for (path, body) in [("messages", &message), ("read", &json!({}))] {
        let path = format!("/chats/{chat}/{path}");
        let answer = house.server.post(&eve, &path, "", body).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    house.close().await;
}

#[tokio::test]
async fn who_has_nothing_is_told_at_once_and_who_has_too_little_when_it_is_their_turn() {
    let house = House::open(0).await;
    let chat = house.chat().await;
    let path = format!("/chats/{chat}/messages");
    let refused = house.post(&path, &json!({ "text": "hello" })).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::PAYMENT_REQUIRED, &json!("insufficient_credits"))
    );
    house.give(3).await;
    let reply = house.say(&chat, "hello").await;
    let failed = house.until(&chat, &reply, "failed").await;
    assert_eq!(failed["code"], "insufficient_credits");
    assert_eq!(house.script.asked(), 0);
    assert_eq!(house.settled().await, 3);
    house.close().await;
}

/// As the retry of the debit that emptied a wallet.
#[tokio::test]
async fn the_same_key_is_answered_as_the_first_time_when_there_is_nothing_left() {
    let house = House::open(100).await;
    house.give(1000).await;
    house.script.answer("hello", says("Good day."));
    let chat = house.chat().await;
    let (path, hello) = (format!("/chats/{chat}/messages"), json!({ "text": "hello" }));
    let first = house.server.post(&house.ada, &path, "a key", &hello).await;
    let reply = first.body["reply"]["id"].as_str().expect("an id").to_owned();
    house.until(&chat, &reply, "done").await;
    let left = house.settled().await;
    house.server.debit(&house.ada, left, "").await;
    let again = house.server.post(&house.ada, &path, "a key", &hello).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{:?}", again.body);
    assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &first.body));
    let other = house.server.post(&house.ada, &path, "another", &hello).await;
    assert_eq!(other.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(house.script.asked(), 1);
    house.close().await;
}

/// Whoever is gone gets no reply, and nothing is held for it.
#[tokio::test]
async fn a_reply_whose_owner_is_erased_is_made_no_more() {
    let house = House::open(100).await;
    house.give(1000).await;
    house.script.answer("one", waits("too late"));
    let chat = house.chat().await;
    house.say(&chat, "one").await;
    house.say(&chat, "two").await;
    house.until_asked(1).await;
    house.erase().await;
    house.script.go_on();
    house
        .until_none(
            "select count(*) from chats.messages where role = 'assistant' and state = 'queued'",
        )
        .await;
    house.until_none("select count(*) from balances.wallets where held > 0").await;
    assert_eq!(house.count("select count(*) from chat_texts").await, 0);
    house.close().await;
}
