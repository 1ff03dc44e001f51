//! A provider that fails again and again is left alone.

use std::time::Duration;

use saldo::clients::llm::{
    BreakerSettings, BreakerState, Finish, Ladder, Llm, Patience, ProviderHealth,
};
use serde_json::json;

use crate::asking::{climb, milliseconds, patient, unavailable};
use crate::llm::{Gate, Recorder, Reply, Wire};

const WIRE: Wire = Wire::OpenAi;

/// Asked once a call; left alone after two failures.
fn llm(recorder: &Recorder, rest: Duration) -> Llm {
    let breaker = BreakerSettings { failures: 2, rest };
    let ladder = Ladder { tries: 1, breaker, ..Ladder::default() };
    let providers = [WIRE, Wire::Gemini];
    let provider = |wire| patient(wire, recorder.url(), Patience::default());
    Llm::with(providers.into_iter().map(provider).collect(), ladder)
}

fn health(llm: &Llm) -> ProviderHealth {
    llm.health().into_iter().find(|health| health.provider == "openai").expect("it is configured")
}

fn failing() -> Reply {
    Reply::refuses(500, &json!({}))
}

#[tokio::test]
async fn after_failures_in_a_row_nothing_is_asked_and_the_next_route_answers() {
    let recorder = Recorder::start().await;
    let llm = llm(&recorder, Duration::from_mins(1));
    recorder.always(WIRE, failing());
    for failures in 1..=2 {
        assert_eq!(climb(&llm, &[WIRE]).await.err(), Some(unavailable(None)));
        assert_eq!(health(&llm).failures, failures);
    }
    assert!(matches!(health(&llm).state, BreakerState::Open(_)), "{:?}", health(&llm));
    recorder.always(WIRE, Reply::says("It is well again."));
    let error = climb(&llm, &[WIRE]).await.err();
    assert_eq!(error, Some(unavailable(Some(60))), "it says when to come back");
    let (who, _) = climb(&llm, &[WIRE, Wire::Gemini]).await.expect("an answer");
    assert_eq!((who, recorder.calls_on(WIRE).len()), ("gemini", 2));
    let states: Vec<_> = llm.health().into_iter().map(|health| health.provider).collect();
    assert_eq!(states, ["openai", "gemini"]);
}

#[tokio::test]
async fn after_its_rest_one_call_tries_while_the_others_do_not_and_then_all_ask() {
    let recorder = Recorder::start().await;
    let llm = llm(&recorder, milliseconds(100));
    recorder.always(WIRE, failing());
    for _ in 0..2 {
        climb(&llm, &[WIRE]).await.expect_err("it fails");
    }
    while health(&llm).state != BreakerState::HalfOpen {
        tokio::time::sleep(milliseconds(10)).await;
    }
    let gate = Gate::closed();
    recorder.always(WIRE, Reply::says("one").held_after(0, &gate));
    let trying = tokio::spawn({
        let llm = llm.clone();
        async move { climb(&llm, &[WIRE]).await }
    });
    recorder.called(3).await;
    assert_eq!(climb(&llm, &[WIRE]).await.err(), Some(unavailable(None)), "one tries");
    assert_eq!(recorder.calls_on(WIRE).len(), 3);
    gate.open();
    let (_, heard) = trying.await.expect("no panic").expect("an answer");
    assert_eq!(heard.finish, Some(Finish::Stop));
    assert_eq!((health(&llm).state, health(&llm).failures), (BreakerState::Closed, 0));
    climb(&llm, &[WIRE]).await.expect("an answer");
}

#[tokio::test]
async fn a_provider_that_says_when_to_come_back_is_left_alone_until_then() {
    let recorder = Recorder::start().await;
    let llm = llm(&recorder, Duration::ZERO);
    recorder.script(WIRE, Reply::too_many(Some(40)));
    assert_eq!(climb(&llm, &[WIRE]).await.err(), Some(unavailable(Some(40))));
    assert!(matches!(health(&llm).state, BreakerState::Open(_)));
    assert_eq!(climb(&llm, &[WIRE]).await.err(), Some(unavailable(Some(40))));
    assert_eq!(recorder.calls_on(WIRE).len(), 1);
}

#[tokio::test]
async fn a_provider_that_refuses_texts_or_keys_answers_and_is_asked_again() {
    let recorder = Recorder::start().await;
    let llm = llm(&recorder, Duration::from_mins(1));
    let policy = json!({ "error": { "code": "content_policy_violation" } });
    for reply in [Reply::refuses(400, &policy), Reply::refuses(404, &json!({}))] {
        recorder.always(WIRE, reply);
        for _ in 0..3 {
            climb(&llm, &[WIRE]).await.expect_err("it refuses");
        }
    }
    assert_eq!(health(&llm).state, BreakerState::Closed);
    assert_eq!(recorder.calls_on(WIRE).len(), 6);
}
