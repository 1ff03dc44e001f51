//! A server that is told to stop while a job is known to be running: it ends in time, and what the job was
//! at comes out once, by this server or by the next.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::house::question;
use crate::killed::Place;
use crate::listening::Listener;
use crate::llm::{Gate, Reply, Wire};
use crate::queue_house::{House, SUMMARY, id};
use crate::support::Person;

const WORDS: &str = "one two three four five";
/// How often it is looked for what comes soon: every tenth of a second.
const SOON: usize = 200;
const CAPTURES: &str = "select count(*) from events where event_type = 'HoldCaptured'";

/// Asks for a reply.
async fn say(place: &Place, person: &Person, chat: &str) {
    let text = json!({ "text": "count" });
    let said = place.server.post(person, &format!("/chats/{chat}/messages"), "", &text).await;
    assert_eq!(said.status, StatusCode::ACCEPTED, "{:?}", said.body);
}

/// Has a reply begun that comes no further than two words until the gate is open.
async fn asked_for_a_reply(place: &Place, gate: &Gate) -> (Person, String) {
    let (person, chat) = place.somebody(0).await;
    let reply = Reply::says(WORDS).tokens(5, 5).held_after(2, gate);
    place.recorder.script(Wire::OpenAi, reply);
    let called = place.recorder.calls().len();
    say(place, &person, &chat).await;
    place.recorder.called(called + 1).await;
    (person, chat)
}

/// The one reply of a chat, once it waits no more: soon after the server has started, though the one before has left it.
async fn reply(place: &Place, person: &Person, chat: &str) -> Value {
    for _ in 0..SOON {
        let path = format!("/chats/{chat}/messages");
        let end = place.database.end().await;
        let messages = place.server.get_at(person, &path, &end).await.body;
        let items = messages["items"].as_array().expect("messages");
        let mut replies = items.iter().filter(|message| message["role"] == "assistant");
        let reply = replies.next().expect("a reply").clone();
        assert_eq!(replies.next(), None, "{messages}");
        if reply["state"] != "queued" {
            return reply;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the reply waits for ever");
}

/// Available and held.
async fn wallet(place: &Place, person: &Person) -> (Value, Value) {
    let end = place.database.end().await;
    let wallet = place.server.get_at(person, "/wallet", &end).await.body;
    (wallet["available"].clone(), wallet["held"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_being_made_when_its_server_is_told_to_stop_is_made_to_its_end() {
    let mut place = Place::open().await;
    let gate = Gate::closed();
    let (person, chat) = asked_for_a_reply(&place, &gate).await;
    place.server.tell_to_stop();
    gate.open();
    block_in_place(|| place.server.ended());
    assert_eq!(place.count(CAPTURES).await, 1);
    place.server = place.another();
    let reply = reply(&place, &person, &chat).await;
    assert_eq!((&reply["state"], &reply["text"]), (&json!("done"), &json!(WORDS)));
    assert_eq!(wallet(&place, &person).await, (json!(99), json!(0)));
    assert_eq!((place.recorder.calls().len(), place.count(CAPTURES).await), (1, 1));
    place.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_ends_a_reply_after_its_server_was_told_to_stop_begins_no_other() {
    let mut place = Place::open().await;
    let gate = Gate::closed();
    asked_for_a_reply(&place, &gate).await;
    let (other, chat) = place.somebody(1).await;
    // The other reply waits until the server was told to stop, and then is everybody's to make.
    let statements = "
        create function later() returns trigger language plpgsql as $$ begin
            new.run_at := now() + interval '1 day'; return new; end $$;
        create trigger later before insert on graphile_worker._private_jobs
            for each row execute function later()";
    place.database.change(statements).await;
    say(&place, &other, &chat).await;
    place.server.tell_to_stop();
    // By now nobody looks for jobs any more.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let statements = "
        drop trigger later on graphile_worker._private_jobs;
        update graphile_worker._private_jobs set run_at = now() where locked_at is null";
    place.database.change(statements).await;
    gate.open();
    block_in_place(|| place.server.ended());
    assert_eq!((place.count(CAPTURES).await, place.recorder.calls().len()), (1, 1));
    let taken = "select count(*) from graphile_worker._private_jobs where attempts > 0";
    assert_eq!(place.count(taken).await, 0);
    place.server = place.another();
    let reply = reply(&place, &other, &chat).await;
    assert_eq!(reply["state"], "done", "{reply}");
    assert_eq!(place.recorder.calls().len(), 2);
    place.close().await;
}

/// Has an answer begun as it is written that comes no further than two words until the gate is open.
async fn asked_for_a_stream(place: &Place, gate: &Gate) -> (Person, reqwest::Response) {
    let (person, _) = place.somebody(1).await;
    let reply = Reply::says(WORDS).tokens(5, 5).held_after(2, gate);
    place.recorder.script(Wire::OpenAi, reply);
    let client = saldo::clients::http().build().expect("a client");
    let url = format!("{}/v1/chat/completions", place.server.url);
    let asked = client.post(url).bearer_auth(&person.token).json(&question("count", true));
    let mut stream = asked.send().await.expect("an answer");
    stream.chunk().await.expect("it goes on").expect("a piece");
    (person, stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_streams_open_and_a_reply_that_outlasts_it_a_server_ends_and_loses_nothing() {
    let mut place = Place::open().await;
    let gate = Gate::closed();
    let (person, chat) = asked_for_a_reply(&place, &gate).await;
    let (reader, mut stream) = asked_for_a_stream(&place, &gate).await;
    let mut events = Listener::to(&place.server, &person, &chat, None).await;
    place.server.tell_to_stop();
    block_in_place(|| place.server.ended());
    while let Ok(Some(_)) = stream.chunk().await {}
    while events.next().await.is_some() {}
    place.server = place.another();
    // What had come of the stream is charged; the reply can be asked for again, and is free.
    let reply = reply(&place, &person, &chat).await;
    assert_eq!(
        (&reply["state"], &reply["text"], &reply["credits"]),
        (&json!("failed"), &Value::Null, &json!(0))
    );
    assert_eq!(wallet(&place, &person).await, (json!(100), json!(0)));
    assert_eq!(wallet(&place, &reader).await, (json!(99), json!(0)));
    assert_eq!((place.recorder.calls().len(), place.count(CAPTURES).await), (2, 1));
    place.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_being_made_when_its_server_is_told_to_stop_is_made_to_its_end() {
    let mut house = House::open(&[]).await;
    let gate = Gate::closed();
    house.provider.always(Wire::OpenAi, Reply::says(SUMMARY).held_after(1, &gate));
    let call = id(&house.queue("one").await);
    house.provider.called(1).await;
    house.server.tell_to_stop();
    gate.open();
    block_in_place(|| house.server.ended());
    assert_eq!(house.captures().await, 1);
    house.serve_again();
    assert_eq!(house.ended(&call).await["result"]["summary"], "Credits move.");
    assert_eq!((house.wallet().await, house.captures().await), ((90, 0), 1));
    assert_eq!(house.provider.calls().len(), 1);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_outlasts_its_server_is_made_by_the_next_and_charged_once() {
    let mut house = House::open(&[]).await;
    let gate = Gate::closed();
    house.provider.script(Wire::OpenAi, Reply::says(SUMMARY).held_after(1, &gate));
    let call = id(&house.queue("one").await);
    house.provider.called(1).await;
    house.server.tell_to_stop();
    block_in_place(|| house.server.ended());
    assert_eq!(house.captures().await, 0);
    house.serve_again();
    assert_eq!(house.ended(&call).await["result"]["summary"], "Credits move.");
    assert_eq!((house.wallet().await, house.captures().await), ((90, 0), 1));
    assert_eq!(house.provider.calls().len(), 2);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_outlasts_its_worker_is_made_by_another_and_charged_once() {
    let mut house = House::open(&[]).await;
    let gate = Gate::closed();
    for _ in 0..2 {
        house.provider.script(Wire::OpenAi, Reply::says(SUMMARY).held_after(1, &gate));
    }
    let call = id(&house.queue("one").await);
    house.provider.called(1).await;
    // Only workers are left to take it.
    house.kill().await;
    let worker = house.worker();
    house.provider.called(2).await;
    block_in_place(|| worker.stop());
    assert_eq!(house.captures().await, 0);
    let another = house.worker();
    let captures = || async { Value::from(house.captures().await) };
    house.until("its price", captures, |captures| *captures == 1).await;
    block_in_place(|| another.stop());
    house.serve_again();
    assert_eq!(house.ended(&call).await["result"]["summary"], "Credits move.");
    assert_eq!((house.wallet().await, house.captures().await), ((90, 0), 1));
    assert_eq!(house.provider.calls().len(), 3);
    house.close().await;
}
