//! Connections that stay open: let go when their node stops, and when their session is over.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::task::block_in_place;
use tokio::time::timeout;

use crate::house::{House, question};
use crate::killed::{Place, complete};
use crate::listening::Listener;
use crate::llm::{Reply, Wire};

/// Long enough on a slow machine, and far below the quarter of an hour for which one may listen.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_lets_listeners_go_and_ends_the_answers_that_it_has_begun() {
    let mut place = Place::open().await;
    let (person, chat) = place.somebody(0).await;
    let mut listener = Listener::to(&place.server, &person, &chat, None).await;
    let called = place.recorder.calls().len();
    let began = Instant::now();
    let answer = async {
        let answer = complete(&place.server, &person, "one").await.expect("an answer");
        (answer.status, answer.body["choices"][0]["finish_reason"].clone())
    };
    let stop = async {
        place.recorder.called(called + 1).await;
        place.server.tell_to_stop();
    };
    let ((status, reason), ()) = tokio::join!(answer, stop);
    assert_eq!((status, reason), (StatusCode::OK, json!("stop")));
    let next = timeout(SOON, listener.next()).await.expect("the stream ends");
    assert_eq!(next, None);
    block_in_place(|| place.server.ended());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let captured = "select count(*) from events where event_type = 'HoldCaptured'";
    assert_eq!(place.count(captured).await, 1);
    place.database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_client_has_hung_up_is_charged_before_the_server_ends_and_kept_under_its_key()
{
    let mut place = Place::open().await;
    let (person, _) = place.somebody(0).await;
    let called = place.recorder.calls().len();
    tokio::select! {
        _ = complete(&place.server, &person, "one") => panic!("it takes longer"),
        _ = place.recorder.called(called + 1) => {}
    }
    place.server.tell_to_stop();
    block_in_place(|| place.server.ended());
    let captured = "select count(*) from events where event_type = 'HoldCaptured'";
    assert_eq!(place.count(captured).await, 1);
    assert_eq!(place.count("select count(*) from analyses").await, 1);
    place.database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_outlasts_its_server_is_charged_for_what_had_come() {
    let mut place = Place::open().await;
    let (person, _) = place.somebody(0).await;
    // Pieces keep coming for longer than the server waits.
    let words = "word ".repeat(600);
    let reply = Reply::says(&words).tokens(5, 600).paced(Duration::from_millis(50));
    place.recorder.always(Wire::OpenAi, reply);
    let client = saldo::clients::http().build().expect("a client");
    let url = format!("{}/v1/chat/completions", place.server.url);
    let asked = client.post(url).bearer_auth(&person.token).json(&question("count", true));
    let mut stream = asked.send().await.expect("an answer");
    stream.chunk().await.expect("a piece");
    place.server.tell_to_stop();
    let reading = tokio::spawn(async move { while let Ok(Some(_)) = stream.chunk().await {} });
    block_in_place(|| place.server.ended());
    reading.await.expect("the stream ends");
    let captured = "select count(*) from events where event_type = 'HoldCaptured'";
    assert_eq!(place.count(captured).await, 1);
    place.database.remove().await;
}

/// Nobody reads it, and the provider charges on for longer than the server waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_left_and_outlasts_its_server_is_charged_for_what_had_come() {
    let mut place = Place::of(Wire::Gemini, &[]).await;
    let (person, _) = place.somebody(0).await;
    let words = "word ".repeat(600);
    let reply = Reply::says(&words).tokens(5, 600).paced(Duration::from_millis(50));
    place.recorder.always(Wire::Gemini, reply);
    let client = saldo::clients::http().build().expect("a client");
    let url = format!("{}/v1/chat/completions", place.server.url);
    let asked = client.post(url).bearer_auth(&person.token).json(&question("count", true));
    let mut stream = asked.send().await.expect("an answer");
    stream.chunk().await.expect("a piece");
    drop(stream);
    place.server.tell_to_stop();
    block_in_place(|| place.server.ended());
    let captured = "select count(*) from events where event_type = 'HoldCaptured'";
    assert_eq!(place.count(captured).await, 1);
    place.database.remove().await;
}

#[tokio::test]
async fn who_has_signed_out_hears_no_more_of_their_chats() {
    let house = House::open(100).await;
    let chat = house.post("/chats", &json!({})).await.body["id"].clone();
    let chat = chat.as_str().expect("an id");
    let mut listener = Listener::to(&house.server, &house.ada, chat, None).await;
    let bearer = format!("Bearer {}", house.ada.token);
    let headers = [("authorization", bearer.as_str())];
    let session = house.get("/me/sessions").await["items"][0]["id"].clone();
    let path = format!("/api/v1/me/sessions/{}", session.as_str().expect("an id"));
    let gone = house.server.send(Method::DELETE, &path, &headers, None).await.expect("an answer");
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let next = timeout(SOON, listener.next()).await.expect("the stream ends");
    assert_eq!(next, None);
    house.close().await;
}
