//! What is kept of a chat, and what is told of it: sealed, in slices, and for three days.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use saldo::clients::llm::Finish;
use serde_json::{Value, json};

use crate::chats::says;
use crate::house::House;
use crate::listening::{Listener, kinds, text};
use crate::script::Step;
use crate::support::Answer;

impl House {
    /// All that is kept of chats, in the log and beside it, as one reads it in the database.
    async fn kept(&self) -> String {
        let pool = self.pool().await;
        let kept = sqlx::query_scalar(
            "select string_agg(line, ' ') from (
                 select t::text as line from chat_texts t
                 union all select t::text from chat_stream t
                 union all select t::text from chat_streams t
                 union all select t::text from chats.chats t
                 union all select t::text from chats.messages t
                 union all select t::text from events t
                 union all select t::text from snapshots t
                 union all select t::text from graphile_worker._private_jobs t) lines",
        );
        let kept = kept.fetch_one(&pool).await.expect("rows");
        pool.close().await;
        kept
    }

    /// What happened in chats, as the log has it.
    async fn logged(&self) -> Vec<String> {
        let pool = self.pool().await;
        let logged =
            "select event_type from events where aggregate_type = 'chat' order by position";
        let logged = sqlx::query_scalar(logged).fetch_all(&pool).await.expect("events");
        pool.close().await;
        logged
    }

    async fn retitle(&self, chat: &str, title: &str) -> Answer {
        let bearer = format!("Bearer {}", self.ada.token);
        let headers = [("authorization", bearer.as_str())];
        let (path, body) = (format!("/api/v1/chats/{chat}"), json!({ "title": title }));
        let answer = self.server.send(Method::PATCH, &path, &headers, Some(&body)).await;
        answer.expect("an answer")
    }

    async fn listener(&self, chat: &str, after: Option<i64>) -> Listener {
        Listener::to(&self.server, &self.ada, chat, after).await
    }
}

#[tokio::test]
async fn nothing_that_is_kept_of_a_chat_says_a_word_of_it() {
    let house = House::open(100).await;
    house.give(1000).await;
    house.script.answer("Tell me of Rumpelstiltskin.", says("Ask Quetzalcoatl."));
    let chat = house.chat().await;
    let mut listener = house.listener(&chat, None).await;
    let reply = house.say(&chat, "Tell me of Rumpelstiltskin.").await;
    assert_eq!(text(&listener.until("message.completed").await), "Ask Quetzalcoatl.");
    assert_eq!(house.retitle(&chat, "Of Zanzibar").await.status, StatusCode::OK);
    house.until(&chat, &reply, "done").await;

    let said = house.get(&format!("/chats/{chat}/messages")).await.to_string();
    let listed = house.get("/chats").await.to_string();
    let kept = house.kept().await;
    assert_eq!(house.count("select count(*) from chat_texts").await, 3);
    // The last as in what an event says.
    for known in [chat.as_str(), reply.as_str(), "message.delta", "Replied", r#"""model"""#] {
        assert!(kept.contains(known), "{known} is not among {kept}");
    }
    for word in ["Rumpelstiltskin", "Quetzalcoatl", "Zanzibar"] {
        assert!(said.contains(word) || listed.contains(word), "{word}");
        assert!(!kept.to_lowercase().contains(&word.to_lowercase()), "{word} is among {kept}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_reply_comes_in_slices_of_a_tenth_of_a_second_and_is_one_event_of_the_log() {
    let house = House::open(100).await;
    house.give(1000).await;
    let words: Vec<_> = (0..200).map(|word| format!("{word} ")).collect();
    let mut steps = Vec::new();
    for word in &words {
        steps.push(Step::Says(word.clone()));
        steps.push(Step::Rests(Duration::from_millis(5)));
    }
    steps.extend([Step::Used(Some(10), Some(400)), Step::Ends(Finish::Stop)]);
    house.script.answer("count", steps);
    let chat = house.chat().await;
    let mut listener = house.listener(&chat, None).await;
    let begun = Instant::now();
    let reply = house.say(&chat, "count").await;
    let told = listener.until("message.completed").await;
    let tenths = usize::try_from(begun.elapsed().as_millis() / 100).expect("it is soon over");
    assert_eq!(text(&told), words.concat());
    let slices = told.iter().filter(|told| told.kind == "message.delta").count();
    // One for each tenth of a second, and what was left at the end.
    assert!((5..=tenths + 1).contains(&slices), "{slices} slices in {tenths} tenths of a second");
    house.until(&chat, &reply, "done").await;
    assert_eq!(house.logged().await, ["Created", "Posted", "Replied"]);
    house.close().await;
}

#[tokio::test]
async fn what_was_told_more_than_three_days_ago_is_not_told_again_but_is_there() {
    let house = House::open(100).await;
    house.give(1000).await;
    house.script.answer("hello", says("Good day."));
    house.script.answer("again", says("Good night."));
    let chat = house.chat().await;
    let mut listener = house.listener(&chat, None).await;
    house.say(&chat, "hello").await;
    let told = listener.until("message.completed").await;
    let (first, last) = (told[0].id, told.last().expect("the end").id);

    house.execute("update chat_stream set created_at = created_at - interval '71 hours'").await;
    house.sweep().await;
    let again = house.listener(&chat, Some(first)).await.until("message.completed").await;
    assert_eq!(again, told[1..]);
    house.execute("update chat_stream set created_at = created_at - interval '61 minutes'").await;
    house.sweep().await;
    assert_eq!(house.count("select count(*) from chat_stream").await, 0);
    // So it is with what was never told.
    let mut listeners = Vec::new();
    for lost in [first, last + 1000] {
        let mut listener = house.listener(&chat, Some(lost)).await;
        let reset = listener.next().await.expect("an event");
        assert_eq!((reset.kind.as_str(), reset.id, &reset.data), ("reset", last, &json!({})));
        listeners.push(listener);
    }
    let messages = house.get(&format!("/chats/{chat}/messages")).await;
    assert_eq!(messages["items"][0]["text"], "Good day.");
    assert_eq!(messages["items"][1]["text"], "hello");
    // Whoever has heard all of it misses nothing, and all go on from there.
    listeners.push(house.listener(&chat, Some(last)).await);
    house.say(&chat, "again").await;
    for mut listener in listeners {
        let told = listener.until("message.completed").await;
        assert_eq!(kinds(&told), ["message.posted", "reply.started", "message.completed"]);
        assert_eq!(text(&told), "Good night.");
        assert!(told[0].id > last, "{told:?}");
    }
    house.close().await;
}

#[tokio::test]
async fn only_the_number_of_an_event_says_from_where_on_to_tell() {
    let house = House::open(100).await;
    let chat = house.chat().await;
    let bearer = format!("Bearer {}", house.ada.token);
    let path = format!("/api/v1/chats/{chat}/events");
    for id in ["", "first", "1.5", "9223372036854775808"] {
        let headers = [("authorization", bearer.as_str()), ("last-event-id", id)];
        let refused = house.server.send(Method::GET, &path, &headers, None).await;
        let refused = refused.expect("an answer");
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{id:?}: {:?}", refused.body);
        assert!(refused.body["errors"]["Last-Event-ID"].is_string(), "{:?}", refused.body);
    }
    house.close().await;
}

#[tokio::test]
async fn a_chat_that_is_called_something_else_tells_whoever_listens() {
    let house = House::open(100).await;
    house.give(1000).await;
    house.script.answer("hello", says("Good day."));
    let chat = house.chat().await;
    let mut listener = house.listener(&chat, None).await;
    let retitled = house.retitle(&chat, " Of greetings ").await;
    assert_eq!(
        (retitled.status, &retitled.body["title"]),
        (StatusCode::OK, &json!("Of greetings"))
    );
    let told = listener.next().await.expect("an event");
    assert_eq!(
        (told.kind.as_str(), &told.data["title"]),
        ("chat.retitled", &json!("Of greetings"))
    );
    // What is said later does not change it.
    let reply = house.say(&chat, "hello").await;
    house.until(&chat, &reply, "done").await;
    assert_eq!(house.get("/chats").await["items"][0]["title"], "Of greetings");
    for wrong in ["", " ", "a\nb", &"x".repeat(201)] {
        let refused = house.retitle(&chat, wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong:?}");
    }
    assert_eq!(house.get(&format!("/chats/{chat}")).await["title"], "Of greetings");
    house.close().await;
}

#[tokio::test]
async fn a_reply_ends_where_the_credits_end_and_says_so() {
    let house = House::open(100).await;
    house.give(300).await;
    let mut steps: Vec<_> = (0..200).map(|_| Step::Says(" one".repeat(10))).collect();
    steps.extend([Step::Used(Some(5), Some(2000)), Step::Ends(Finish::Stop)]);
    house.script.answer("endless", steps);
    let chat = house.chat().await;
    let mut listener = house.listener(&chat, None).await;
    let reply = house.say(&chat, "endless").await;
    let told = listener.until("message.completed").await;
    let last = &told.last().expect("the end").data;
    assert_eq!((&last["finish"], &last["credits"]), (&json!("credits"), &json!(400)));
    let reply = house.until(&chat, &reply, "done").await;
    assert_eq!((&reply["finish"], &reply["credits"]), (&json!("credits"), &json!(400)));
    // All that was paid for is there, and hardly more.
    assert_eq!(reply["text"], Value::from(text(&told)));
    let words = text(&told).split_whitespace().count();
    assert!((385..=410).contains(&words), "{words} words");
    assert_eq!(house.wallet().await, (0, 0));
    assert_eq!(house.script.left(), 1, "the provider was left");
    house.close().await;
}
