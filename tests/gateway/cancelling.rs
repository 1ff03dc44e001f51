//! Replies that are cancelled: told, charged as far as they came, and not counted where nothing was charged.

use std::time::Duration;

use reqwest::StatusCode;
use saldo::clients::llm::Finish;
use serde_json::{Value, json};

use crate::chats::waits;
use crate::house::House;
use crate::listening::{Listener, Told, kinds};
use crate::script::Step;
use crate::support::Answer;

impl House {
    async fn cancel(&self, chat: &str, reply: &str) -> Answer {
        self.post(&format!("/chats/{chat}/messages/{reply}/cancel"), &json!({})).await
    }

    /// How many of the day's messages count.
    async fn counted(&self) -> i64 {
        self.count("select sum(used) from chat_days").await
    }
}

/// Of which reply it is told, and what it cost.
fn cancelled(told: &[Told]) -> (&Value, &Value) {
    let last = told.last().expect("something");
    assert_eq!(last.kind, "message.cancelled");
    (&last.data["message_id"], &last.data["credits"])
}

#[tokio::test]
async fn a_reply_that_waits_is_cancelled_at_once_and_one_under_way_keeps_what_came() {
    let house = House::open(100).await;
    house.give(5000).await;
    let half = vec![
        Step::Used(Some(10), None),
        Step::Says("half a".to_owned()),
        Step::Waits,
        Step::Says(" reply".to_owned()),
        Step::Ends(Finish::Stop),
    ];
    house.script.answer("one", half);
    let chat = house.chat().await;
    let mut listener = Listener::to(&house.server, &house.ada, &chat, None).await;
    let (first, second) = (house.say(&chat, "one").await, house.say(&chat, "two").await);
    listener.until("message.delta").await;
    assert_eq!(house.counted().await, 2);
    let stopped = house.cancel(&chat, &second).await;
    assert_eq!(
        (stopped.status, &stopped.body["state"]),
        (StatusCode::ACCEPTED, &json!("cancelled"))
    );
    assert_eq!(house.until(&chat, &second, "cancelled").await["text"], Value::Null);
    let told = listener.until("message.cancelled").await;
    assert_eq!(kinds(&told), ["message.cancelled"], "nobody is to stop it");
    assert_eq!(cancelled(&told), (&json!(second), &json!(0)));
    assert_eq!(house.counted().await, 1);

    let stopped = house.cancel(&chat, &first).await;
    assert_eq!(stopped.body["state"], "cancelling", "{:?}", stopped.body);
    let first = house.until(&chat, &first, "cancelled").await;
    assert_eq!(first["text"], "half a");
    let charged = first["credits"].as_i64().expect("credits");
    assert!((11..=14).contains(&charged), "{charged}");
    let told = listener.until("message.cancelled").await;
    assert_eq!(kinds(&told), ["message.cancelling", "message.cancelled"]);
    assert_eq!(cancelled(&told), (&first["id"], &json!(charged)));
    assert_eq!(house.counted().await, 1, "what was charged counts");
    assert_eq!(house.settled().await, 5100 - charged);
    assert_eq!(house.script.left(), 1, "the provider was left");
    let late = house.cancel(&chat, first["id"].as_str().expect("an id")).await;
    assert_eq!((late.status, &late.body["code"]), (StatusCode::CONFLICT, &json!("not_waiting")));
    house.close().await;
}

#[tokio::test]
async fn a_reply_that_is_cancelled_just_before_it_begins_is_not_made() {
    let house = House::open(100).await;
    let slow = Step::Rests(Duration::from_millis(300));
    let steps = vec![slow, Step::Says("too late".to_owned()), Step::Ends(Finish::Stop)];
    house.script.answer("one", steps);
    let chat = house.chat().await;
    // Whoever makes it has seen that nobody cancelled it, and waits for the read model before it asks.
    house
        .execute("update projections.checkpoints set paused_at = now() where name = 'chats'")
        .await;
    let reply = house.say(&chat, "one").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let stopped = house.cancel(&chat, &reply).await;
    assert_eq!(stopped.body["state"], "cancelling", "{:?}", stopped.body);
    house.execute("update projections.checkpoints set paused_at = null where name = 'chats'").await;
    house.until(&chat, &reply, "cancelled").await;
    assert_eq!(house.settled().await, 100, "it is free");
    house.close().await;
}

#[tokio::test]
async fn a_reply_that_nobody_comes_to_make_is_cancelled_all_the_same() {
    let house = House::open(100).await;
    let chat = house.chat().await;
    house
        .execute(
            "create function tomorrow() returns trigger language plpgsql as $$ begin
                 new.run_at := now() + interval '1 day'; return new; end $$",
        )
        .await;
    house
        .execute(
            "create trigger tomorrow before insert on graphile_worker._private_jobs
                 for each row execute function tomorrow()",
        )
        .await;
    let reply = house.say(&chat, "one").await;
    house.execute("drop trigger tomorrow on graphile_worker._private_jobs").await;
    let stopped = house.cancel(&chat, &reply).await;
    assert_eq!(stopped.body["state"], "cancelling", "{:?}", stopped.body);
    house.until(&chat, &reply, "cancelled").await;
    assert_eq!(house.counted().await, 0);
    house.close().await;
}

#[tokio::test]
async fn replies_that_wait_in_a_chat_that_is_deleted_do_not_count() {
    let house = House::open(100).await;
    house.give(5000).await;
    house.script.answer("one", waits("too late"));
    let chat = house.chat().await;
    for text in ["one", "two", "three"] {
        house.say(&chat, text).await;
    }
    house.until_asked(1).await;
    assert_eq!(house.counted().await, 3);
    assert_eq!(house.delete(&format!("/chats/{chat}")).await, StatusCode::NO_CONTENT);
    assert_eq!(house.counted().await, 1, "the provider was asked for the first");
    assert_eq!(house.settled().await, 5100, "nothing was said");
    house.close().await;
}

#[tokio::test]
async fn a_reply_that_is_cancelled_before_its_first_word_is_free_and_does_not_count() {
    let house = House::open(100).await;
    house.give(5000).await;
    house.script.answer("one", waits("too late"));
    let chat = house.chat().await;
    let mut listener = Listener::to(&house.server, &house.ada, &chat, None).await;
    let reply = house.say(&chat, "one").await;
    house.until_asked(1).await;
    let stopped = house.cancel(&chat, &reply).await;
    assert_eq!(stopped.body["state"], "cancelling", "{:?}", stopped.body);
    let told = listener.until("message.cancelled").await;
    let heard = ["message.posted", "reply.started", "message.cancelling", "message.cancelled"];
    assert_eq!(kinds(&told), heard);
    assert_eq!(cancelled(&told), (&json!(reply), &json!(0)));
    let reply = house.until(&chat, &reply, "cancelled").await;
    assert_eq!((&reply["text"], &reply["credits"]), (&Value::Null, &json!(0)));
    assert_eq!(house.settled().await, 5100);
    assert_eq!(house.counted().await, 0);
    assert_eq!(house.script.left(), 1, "the provider was left");
    house.close().await;
}
