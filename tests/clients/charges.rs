//! What is charged when a call of PyPI's `openai` does not go as it should.

use serde_json::json;

use crate::house::House;
use crate::llm::{End, Ending, Gate, Reply};
use crate::program::Program;

/// How often the server asks a provider that fails, for one request.
const TRIES: usize = 3;

fn overloaded() -> Reply {
    Reply::refuses(503, &json!({ "error": { "message": "Overloaded." } }))
}

#[tokio::test]
async fn a_provider_that_recovers_is_paid_once_for_the_try_that_it_answers() {
    let Some(openai) = Program::openai() else { return };
    let house = House::open().await;
    for _ in 0..TRIES {
        house.next(overloaded());
    }
    house.next(Reply::says("one two").tokens(11, 2));
    let asked = openai.does("refused", &house).await;
    assert_eq!(asked, json!({ "error": null, "requests": 2 }));
    assert_eq!(house.settled().await, 100 - 13);
    house.close().await;
}

#[tokio::test]
async fn a_provider_that_fails_costs_nothing_and_tells_when_to_come_again() {
    let Some(openai) = Program::openai() else { return };
    let house = House::open().await;
    house.next(Reply::too_many(Some(7)));
    let refused = openai.does("refused_once", &house).await;
    let error = &refused["error"];
    assert_eq!(
        (&error["kind"], &error["status"], &error["code"]),
        (&json!("InternalServerError"), &json!(502), &json!("provider_failed")),
        "{refused}"
    );
    assert_eq!(error["retry_after"], "7", "{refused}");
    assert_eq!(house.settled().await, 100);
    house.close().await;
}

#[tokio::test]
async fn a_stream_that_is_cut_raises_an_error_is_not_asked_again_and_costs_what_came() {
    let Some(openai) = Program::openai() else { return };
    let (house, mut had) = (House::open().await, 100);
    for ending in [Ending::Torn, Ending::Overloaded, Ending::Silent] {
        house.next(Reply::says("one two three").ending(ending));
        let cut = openai.does("cut", &house).await;
        assert_eq!((&cut["text"], &cut["requests"]), (&json!("one two three"), &json!(1)), "{cut}");
        assert_eq!(cut["error"]["kind"], "APIError", "{ending:?}: {cut}");
        assert_eq!(cut["error"]["code"], "provider_failed", "{ending:?}: {cut}");
        // What was asked, and three words.
        let left = house.settled().await;
        assert!((4..20).contains(&(had - left)), "{ending:?}: {had} {left}");
        had = left;
    }
    house.close().await;
}

#[tokio::test]
async fn whoever_closes_a_stream_stops_the_provider_and_pays_for_what_came() {
    let Some(openai) = Program::openai() else { return };
    let (house, gate) = (House::open().await, Gate::closed());
    house.next(Reply::says("one two three four").held_after(2, &gate));
    let left = openai.does("leave", &house).await;
    assert_eq!(left["text"], "one two ");
    let end = house.providers.ended(1).await;
    assert!(matches!(end, End::Left { .. }), "{end:?}");
    let available = house.settled().await;
    assert!((80..99).contains(&available), "{available}");
    house.close().await;
}

#[tokio::test]
async fn what_is_asked_twice_by_one_key_is_answered_twice_and_charged_once() {
    let Some(openai) = Program::openai() else { return };
    let house = House::open().await;
    house.next(Reply::says("one two").tokens(11, 2));
    let twice = openai.does("twice", &house).await;
    assert_eq!(twice["texts"], json!(["one two", "one two"]));
    assert_eq!(twice["ids"][0], twice["ids"][1]);
    assert_eq!(twice["replayed"], json!([null, "true"]));
    assert_eq!(house.providers.calls().len(), 1);
    assert_eq!(house.settled().await, 100 - 13);
    house.close().await;
}
