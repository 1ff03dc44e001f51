//! Who is asked when a provider fails, and how often.

use std::time::{Duration, Instant};

use saldo::clients::llm::{BreakerSettings, Finish, Ladder, Llm, Patience, ProviderError, Route};
use serde_json::json;

use crate::asking::{climb, hear, milliseconds, patient, request, unavailable};
use crate::llm::{End, Ending, Recorder, Reply, Step, Wire, open_hold};

const BOTH: [Wire; 2] = [Wire::Anthropic, Wire::OpenAi];
const FIRST: Wire = Wire::Anthropic;
const SECOND: Wire = Wire::OpenAi;

/// All providers at one recorder; what is quick is as quick as it can be, and nobody is left alone.
fn ladder() -> Ladder {
    Ladder {
        tries: 3,
        pause: milliseconds(10),
        longest_pause: Duration::from_secs(2),
        within: Duration::from_mins(1),
        breaker: BreakerSettings { failures: u32::MAX, rest: Duration::ZERO },
    }
}

fn llm(recorder: &Recorder, ladder: Ladder, patience: Patience) -> Llm {
    let provider = |wire| patient(wire, recorder.url(), patience);
    Llm::with(Wire::ALL.into_iter().map(provider).collect(), ladder)
}

fn quick(recorder: &Recorder) -> Llm {
    llm(recorder, ladder(), Patience::default())
}

fn asked(recorder: &Recorder) -> [usize; 2] {
    BOTH.map(|wire| recorder.calls_on(wire).len())
}

#[tokio::test]
async fn the_first_route_answers_while_it_can() {
    let recorder = Recorder::start().await;
    let (who, heard) = climb(&quick(&recorder), &BOTH).await.expect("an answer");
    assert_eq!((who, heard.finish), ("anthropic", Some(Finish::Stop)));
    assert_eq!(heard.used(), (Some(11), Some(8)), "what comes before the first word is not lost");
    assert_eq!(asked(&recorder), [1, 0]);
}

#[tokio::test]
async fn a_route_that_fails_is_asked_again_and_then_the_next() {
    let nothing_said = Reply::says("").ending(Ending::Silent);
    for failure in [
        Reply::refuses(503, &json!({})),
        Reply::too_many(None),
        Reply::page(502),
        Reply::page(200),
        nothing_said,
        Reply::steps(vec![Step::Tear]),
        Reply::says("").ending(Ending::Overloaded),
    ] {
        let recorder = Recorder::start().await;
        recorder.script(FIRST, failure.clone());
        let (who, _) = climb(&quick(&recorder), &BOTH).await.expect("an answer");
        assert_eq!((who, asked(&recorder)), ("anthropic", [2, 0]));

        let recorder = Recorder::start().await;
        recorder.always(FIRST, failure);
        let (who, heard) = climb(&quick(&recorder), &BOTH).await.expect("an answer");
        assert_eq!((who, asked(&recorder)), ("openai", [3, 1]));
        assert_eq!(heard.finish, Some(Finish::Stop));
    }
}

#[tokio::test]
async fn nobody_else_is_asked_once_there_is_text() {
    for ending in [Ending::Silent, Ending::Torn, Ending::Overloaded] {
        let recorder = Recorder::start().await;
        recorder.script(FIRST, Reply::says("one").ending(ending));
        let (who, heard) = climb(&quick(&recorder), &BOTH).await.expect("an answer begins");
        assert_eq!((who, heard.text.as_str()), ("anthropic", "one"), "{ending:?}");
        assert!(heard.error.is_some(), "{ending:?}");
        assert_eq!(asked(&recorder), [1, 0], "{ending:?}");
    }
}

#[tokio::test]
async fn a_text_that_is_refused_is_asked_of_nobody_else() {
    let policy = Reply::refuses(400, &json!({ "error": { "code": "content_policy_violation" } }));
    for refusal in [policy, Reply::says("").ending(Ending::Filtered)] {
        let recorder = Recorder::start().await;
        recorder.always(FIRST, refusal);
        let error = climb(&quick(&recorder), &BOTH).await.expect_err("a refusal");
        assert_eq!((error, asked(&recorder)), (ProviderError::Refused, [1, 0]));
    }
}

#[tokio::test]
async fn a_wrong_key_is_tried_once_and_the_next_route_answers() {
    let recorder = Recorder::start().await;
    recorder.always(FIRST, Reply::refuses(401, &json!({})));
    let (who, _) = climb(&quick(&recorder), &BOTH).await.expect("an answer");
    assert_eq!((who, asked(&recorder)), ("openai", [1, 1]));
}

#[tokio::test]
async fn a_provider_that_takes_too_long_is_not_waited_for_again() {
    let recorder = Recorder::start().await;
    recorder.always(FIRST, Reply::says("one").late(Duration::from_mins(1)));
    let patience = Patience { first_event: Duration::from_secs(2), ..Patience::default() };
    let (who, _) = climb(&llm(&recorder, ladder(), patience), &BOTH).await.expect("an answer");
    assert_eq!((who, asked(&recorder)), ("openai", [1, 1]));
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for_and_a_long_one_leads_to_the_next_route() {
    let recorder = Recorder::start().await;
    recorder.script(FIRST, Reply::too_many(Some(1)));
    let since = Instant::now();
    let (who, _) = climb(&quick(&recorder), &BOTH).await.expect("an answer");
    assert_eq!((who, asked(&recorder)), ("anthropic", [2, 0]));
    assert!(since.elapsed() >= Duration::from_secs(1), "{:?}", since.elapsed());

    let recorder = Recorder::start().await;
    recorder.script(FIRST, Reply::too_many(Some(3)));
    let (who, _) = climb(&quick(&recorder), &BOTH).await.expect("an answer");
    assert_eq!((who, asked(&recorder)), ("openai", [1, 1]));
}

#[tokio::test]
async fn when_all_fail_the_last_failure_is_told() {
    let recorder = Recorder::start().await;
    recorder.always(FIRST, Reply::refuses(503, &json!({})));
    recorder.always(SECOND, Reply::too_many(Some(9)));
    let error = climb(&quick(&recorder), &BOTH).await.expect_err("nobody answers");
    assert_eq!((error, asked(&recorder)), (unavailable(Some(9)), [3, 1]));
}

#[tokio::test]
async fn routes_of_others_are_passed_over_and_without_any_an_operator_is_asked() {
    let recorder = Recorder::start().await;
    let llm = quick(&recorder);
    let route = |provider: &str| Route { provider: provider.to_owned(), model: "m".to_owned() };
    let (hold, request) = (open_hold(), request("Hello"));
    let routes = [route("nobody"), route("gemini")];
    let answering = llm.answer(&hold, &routes, &request).await.expect("an answer");
    assert_eq!((answering.provider, answering.model.as_str()), ("gemini", "m"));
    assert!(!answering.stops_when_left, "Google charges for what nobody reads");
    assert_eq!(hear(answering.answer).await.finish, Some(Finish::Stop));
    let error = llm.answer(&hold, &routes[..1], &request).await.err();
    assert!(matches!(error, Some(ProviderError::Misconfigured(_))), "{error:?}");
}

#[tokio::test]
async fn the_whole_ladder_takes_no_longer_than_it_may() {
    let recorder = Recorder::start().await;
    for wire in BOTH {
        recorder.always(wire, Reply::says("one").late(Duration::from_mins(1)));
    }
    let ladder = Ladder { within: milliseconds(500), ..ladder() };
    let since = Instant::now();
    let error = climb(&llm(&recorder, ladder, Patience::default()), &BOTH).await.err();
    assert_eq!(error, Some(ProviderError::TimedOut));
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    assert!(matches!(recorder.ended(1).await, End::Left { .. }), "nobody waits for it any more");
}
