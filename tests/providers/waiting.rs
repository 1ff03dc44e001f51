//! How long is waited, and that a provider sees when nobody waits any more.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use saldo::clients::llm::{Finish, Patience, Piece, ProviderError};

use crate::asking::{MODEL, ask_of, milliseconds, patient, provider, request};
use crate::llm::{End, Ending, Gate, Recorder, Reply, Step, Wire, open_hold};

const WORDS: &str = "one two three four";
/// Longer than any of these tests would wait.
const LONG: Duration = Duration::from_mins(1);

/// Nothing is waited for longer than a minute but what a test says.
fn patience() -> Patience {
    Patience { connecting: LONG, first_event: LONG, next_event: LONG, usage: LONG, answer: LONG }
}

/// All wires beside each other.
async fn each<Seen: Future<Output = ()>>(see: impl Fn(Wire) -> Seen) {
    join_all(Wire::ALL.map(see)).await;
}

/// Scripted so, and waited for so, an answer takes too long; and it is not waited for much longer.
async fn takes_too_long(reply: Reply, patience: Patience, text: &str) {
    for wire in Wire::ALL {
        let recorder = Recorder::start().await;
        recorder.script(wire, reply.clone());
        let asked = Instant::now();
        let heard = ask_of(&*patient(wire, recorder.url(), patience), &request("Count")).await;
        assert_eq!((heard.text.as_str(), heard.error), (text, Some(ProviderError::TimedOut)));
        assert!(asked.elapsed() < LONG / 4, "{wire:?}: {:?}", asked.elapsed());
        assert!(matches!(recorder.ended(1).await, End::Left { .. }), "{wire:?}");
    }
}

#[tokio::test]
async fn a_status_that_does_not_come_is_waited_for_so_long() {
    let patience = Patience { first_event: milliseconds(200), ..patience() };
    takes_too_long(Reply::says(WORDS).late(LONG), patience, "").await;
}

#[tokio::test]
async fn a_first_event_that_does_not_come_is_waited_for_so_long() {
    let patience = Patience { first_event: milliseconds(200), ..patience() };
    // A comment is no event.
    let comment = Step::Bytes(b": wait\n\n".to_vec());
    takes_too_long(Reply::steps(vec![comment, Step::Hang]), patience, "").await;
}

#[tokio::test]
async fn a_next_event_that_does_not_come_is_waited_for_so_long() {
    let patience = Patience { next_event: milliseconds(200), ..patience() };
    takes_too_long(Reply::says(WORDS).ending(Ending::Hangs), patience, WORDS).await;
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_waited_for_so_long() {
    each(|wire| async move {
        let recorder = Recorder::start().await;
        recorder.script(wire, Reply::says(&"more ".repeat(1000)).paced(milliseconds(50)));
        let patience = Patience { answer: Duration::from_secs(1), ..patience() };
        let heard = ask_of(&*patient(wire, recorder.url(), patience), &request("Count")).await;
        assert_eq!(heard.error, Some(ProviderError::TimedOut), "{wire:?}");
        assert!(heard.text.starts_with("more "), "{wire:?}: {heard:?}");
    })
    .await;
}

#[tokio::test]
async fn usage_that_does_not_come_after_the_reason_is_not_waited_for_long() {
    let recorder = Recorder::start().await;
    let events =
        "data: {\"choices\":[{\"delta\":{\"content\":\"one\"},\"finish_reason\":\"stop\"}]}\n\n";
    recorder.script(Wire::OpenAi, Reply::steps(vec![Step::Bytes(events.into()), Step::Hang]));
    let patience = Patience { usage: milliseconds(200), ..patience() };
    let provider = patient(Wire::OpenAi, recorder.url(), patience);
    let asked = Instant::now();
    let heard = ask_of(&*provider, &request("Count")).await;
    assert_eq!((heard.text.as_str(), heard.finish), ("one", Some(Finish::Stop)));
    assert!(asked.elapsed() < LONG / 4, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_slow_first_word_and_slow_words_are_waited_for() {
    each(|wire| async move {
        let recorder = Recorder::start().await;
        let reply = Reply::says(WORDS).late(milliseconds(300)).paced(milliseconds(600));
        recorder.script(wire, reply);
        // Each wait is short enough, though not all of them together.
        let patience = Patience { next_event: milliseconds(1800), ..patience() };
        let heard = ask_of(&*patient(wire, recorder.url(), patience), &request("Count")).await;
        assert_eq!((heard.text.as_str(), heard.finish), (WORDS, Some(Finish::Stop)), "{wire:?}");
    })
    .await;
}

#[tokio::test]
async fn each_word_is_told_before_the_next_is_said() {
    for wire in Wire::ALL {
        let recorder = Recorder::start().await;
        let gate = Gate::closed();
        recorder.script(wire, Reply::says(WORDS).held_after(2, &gate));
        let (hold, request, provider) =
            (open_hold(), request("Count"), provider(wire, recorder.url()));
        let mut answer = provider.answer(&hold, MODEL, &request).await.expect("an answer");
        let mut text = String::new();
        while text != "one two " {
            match answer.next().await {
                Some(Ok(Piece::Text(more))) => text.push_str(&more),
                Some(Ok(Piece::Usage(_))) => {}
                other => panic!("{wire:?}: {other:?}"),
            }
        }
        gate.open();
        let rest = crate::asking::hear(answer).await;
        assert_eq!((rest.text.as_str(), rest.finish), ("three four", Some(Finish::Stop)));
        assert_eq!(recorder.ended(1).await, End::Whole);
    }
}

#[tokio::test]
async fn a_provider_sees_at_once_that_nobody_hears_it_any_more() {
    for wire in Wire::ALL {
        let recorder = Recorder::start().await;
        recorder.script(wire, Reply::says(WORDS).held_after(2, &Gate::closed()));
        let (hold, request, provider) =
            (open_hold(), request("Count"), provider(wire, recorder.url()));
        let mut answer = provider.answer(&hold, MODEL, &request).await.expect("an answer");
        while !matches!(answer.next().await, Some(Ok(Piece::Text(_)))) {}
        assert_eq!(recorder.called(1).await.end, None, "it is on its way");
        drop(answer);
        let End::Left { after, within } = recorder.ended(1).await else { panic!("nobody left") };
        assert!(after >= 1 && within < LONG / 4, "{wire:?}: {after}, {within:?}");
    }
}
