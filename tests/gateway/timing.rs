//! What is told, and counted, of where the time of calls goes.

use std::time::Duration;

use reqwest::StatusCode;
use saldo::clients::llm::Finish;
use saldo::counters::Distribution;
use serde_json::json;

use crate::house::House;
use crate::script::Step;
use crate::support::Answer;

/// The parts of `Server-Timing`, in order, in microseconds.
fn parts(answer: &Answer) -> Vec<(String, u64)> {
    let told = answer.header("server-timing");
    let part = |part: &str| {
        let (name, time) = part.trim().split_once(";dur=").expect("a name and a time");
        let (whole, digits) = time.split_once('.').expect("a fraction");
        assert_eq!(digits.len(), 3, "{told}");
        let time = format!("{whole}{digits}").parse().expect("a number");
        (name.to_owned(), time)
    };
    told.split(',').map(part).collect()
}

fn count(distribution: &Distribution) -> u64 {
    distribution.counts.iter().sum()
}

/// What metering did is told beside what it waited for, and each in its own place.
fn told_well(answer: &Answer, rested: Duration, within: Duration) {
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let parts = parts(answer);
    let [(first, held), (second, waited), (third, captured)] = &parts[..] else {
        panic!("{parts:?}")
    };
    assert_eq!([first, second, third], ["hold", "provider", "capture"]);
    let [held, waited, captured] = [held, waited, captured].map(|it| Duration::from_micros(*it));
    assert!(waited >= rested, "{parts:?}");
    assert!(!held.is_zero() && !captured.is_zero(), "{parts:?}");
    assert!(held + waited + captured <= within, "{parts:?} within {within:?}");
}

#[tokio::test]
async fn answers_tell_what_the_hold_the_provider_and_the_capture_took() {
    let (house, rests) = (House::open(100).await, Duration::from_millis(200));
    let times = &house.node.app.counters.calls;
    let parts = [&times.hold, &times.provider, &times.capture, &times.added];
    let says = |text: &str| {
        vec![
            Step::Rests(rests),
            Step::Says(text.to_owned()),
            Step::Used(Some(2), Some(1)),
            Step::Ends(Finish::Stop),
        ]
    };
    house.script.answer("slow", says("yes"));
    let began = std::time::Instant::now();
    let answer = house.ask("slow", "a key").await;
    told_well(&answer, rests, began.elapsed());
    let again = house.ask("slow", "a key").await;
    assert_eq!((again.header("idempotency-replayed"), again.header("server-timing")), ("true", ""));

    let text = "It rained, and then it rained on.";
    house.script.answer(text, says(r#"{"summary":"It rained.","language":null}"#));
    let began = std::time::Instant::now();
    let body = json!({ "text": text });
    let answer = house.server.post(&house.ada, "/ai/summarize", "", &body).await;
    told_well(&answer, rests, began.elapsed());

    assert_eq!(parts.map(|part| count(&part.distribution())), [2; 4]);
    assert!(times.provider.distribution().time() >= 2 * rests);
    house.close().await;
}
