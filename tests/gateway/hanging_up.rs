//! T5 and T6's neighbours: clients that hang up, and holds whose time passes.

use std::time::Duration;

use chrono::TimeDelta;
use reqwest::StatusCode;
use saldo::clients::llm::Finish;
use serde_json::json;

use crate::house::{House, question};
use crate::script::{Script, Step};
use crate::stream::{Stream, said};

fn ten() -> Step {
    Step::Says(" one".repeat(10))
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..200 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is not so after ten seconds");
}

/// T5, before the first token.
#[tokio::test]
async fn who_hangs_up_before_anything_comes_pays_nothing() {
    let house = House::open(100).await;
    house.give(1000).await;
    house.script.answer("slow", vec![Step::Waits, ten(), Step::Ends(Finish::Stop)]);
    {
        let mut asking = std::pin::pin!(house.listen("slow", ""));
        let held = async || house.script.asked() == 1 && house.wallet().await.1 > 0;
        tokio::select! {
            _ = &mut asking => panic!("nothing comes"),
            () = until(held) => {}
        }
    }
    assert_eq!(house.settled().await, 1100);
    assert_eq!(house.script.left(), 1);
    house.close().await;
}

/// T5, in the middle.
#[tokio::test]
async fn who_hangs_up_in_the_middle_pays_for_what_came() {
    let house = House::open(100).await;
    house.give(1000).await;
    let steps = vec![
        Step::Used(Some(20), None),
        ten(),
        Step::Says(" end".to_owned()),
        Step::Waits,
        ten(),
        Step::Ends(Finish::Stop),
    ];
    house.script.answer("half", steps);
    let mut stream = house.listen("half", "").await;
    stream.until("end").await;
    drop(stream);
    let charged = 1100 - house.settled().await;
    assert!((31..=33).contains(&charged), "{charged}");
    assert_eq!(house.captured_usage().await["estimated"], true);
    assert_eq!(house.script.left(), 1, "the provider was left");
    house.close().await;
}

/// SDKs try every conflict again that does not say that this is in vain.
#[tokio::test]
async fn only_an_answer_that_is_still_written_is_worth_asking_for_again() {
    let house = House::open(100).await;
    let steps = vec![Step::Says(" end".to_owned()), Step::Waits, ten(), Step::Ends(Finish::Stop)];
    house.script.answer("half", steps);
    let mut stream = house.listen("half", "a key").await;
    stream.until("end").await;
    let again = house.ask_for(&question("half", true), "a key").await;
    assert_eq!(
        (again.status, &again.body["error"]["code"]),
        (StatusCode::CONFLICT, &json!("still_running"))
    );
    assert_eq!((again.header("retry-after"), again.header("x-should-retry")), ("1", ""));
    drop(stream);
    house.settled().await;
    let again = house.ask_for(&question("half", true), "a key").await;
    assert_eq!(
        (again.status, &again.body["error"]["code"]),
        (StatusCode::CONFLICT, &json!("not_kept"))
    );
    assert_eq!((again.header("retry-after"), again.header("x-should-retry")), ("", "false"));
    house.close().await;
}

/// T5, after the last.
#[tokio::test]
async fn who_hangs_up_after_the_end_pays_for_all() {
    let house = House::open(100).await;
    house.give(1000).await;
    let steps = vec![ten(), Step::Used(Some(20), Some(15)), Step::Ends(Finish::Stop)];
    house.script.answer("whole", steps);
    let stream = house.listen("whole", "").await;
    until(async || house.script.asked() == 1 && house.wallet().await.1 == 0).await;
    drop(stream);
    assert_eq!(house.settled().await, 1065);
    house.close().await;
}

#[tokio::test]
async fn a_provider_that_charges_on_is_read_to_its_end() {
    let house = House::with(100, Script::new(true)).await;
    house.give(1000).await;
    let steps =
        vec![ten(), Step::Waits, ten(), Step::Used(Some(20), Some(300)), Step::Ends(Finish::Stop)];
    house.script.answer("half", steps);
    let mut stream = house.listen("half", "").await;
    stream.until("one").await;
    drop(stream);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(house.script.left(), 0);
    house.script.go_on();
    assert_eq!(house.settled().await, 1100 - 320);
    house.close().await;
}

/// The hold lasts two seconds, the answer takes five.
#[tokio::test]
async fn a_hold_is_kept_open_while_its_answer_is_written() {
    let house = House::open(100).await;
    house.give(1000).await;
    let rest = Step::Rests(Duration::from_millis(2500));
    let steps = vec![
        ten(),
        rest.clone(),
        rest,
        ten(),
        Step::Used(Some(20), Some(20)),
        Step::Ends(Finish::Stop),
    ];
    house.script.answer("slow", steps);
    let (events, ended) = house.listen("slow", "").await.rest().await;
    assert!(ended, "{events:?}");
    assert_eq!(said(&events).split_whitespace().count(), 20);
    assert_eq!(house.settled().await, 1060);
    house.close().await;
}

/// T2: somebody books that the hold's time is over, and the call that it was for is delivered after that.
#[tokio::test]
async fn what_is_delivered_after_its_hold_has_expired_is_charged_late() {
    let house = House::open(100).await;
    house.give(1000).await;
    let mut stream = late(&house, 20).await;
    stream.until("end").await;
    house.expire().await;
    house.script.go_on();
    let (events, ended) = stream.rest().await;
    assert!(ended, "{events:?}");
    assert_eq!(events.last().expect("usage")["usage"]["credits_charged"], 40);
    assert_eq!(house.settled().await, 1060);
    house.close().await;
}

/// Whoever has spent it meanwhile is told what they paid, which is less than it cost.
#[tokio::test]
async fn what_is_charged_late_is_what_was_still_there() {
    let house = House::open(100).await;
    house.give(1000).await;
    let mut stream = late(&house, 20).await;
    stream.until("end").await;
    house.expire().await;
    let spent = house.server.debit(&house.ada, 1075, "").await;
    assert_eq!(spent.status, StatusCode::CREATED, "{:?}", spent.body);
    house.script.go_on();
    let (events, ended) = stream.rest().await;
    assert!(ended, "{events:?}");
    let usage = &events.last().expect("usage")["usage"];
    assert_eq!((&usage["credits_charged"], &usage["credits_remaining"]), (&25.into(), &0.into()));
    assert_eq!(house.settled().await, 0);
    house.close().await;
}

#[tokio::test]
async fn what_costs_nothing_is_not_charged_late_either() {
    let house = House::open(100).await;
    house.give(1000).await;
    let mut stream = late(&house, 0).await;
    stream.until("end").await;
    house.expire().await;
    house.script.go_on();
    let (events, ended) = stream.rest().await;
    assert!(ended, "{events:?}");
    let usage = &events.last().expect("usage")["usage"];
    assert_eq!((&usage["credits_charged"], &usage["credits_remaining"]), (&0.into(), &1100.into()));
    assert_eq!(usage["answered_by"], "local-1");
    assert_eq!(house.settled().await, 1100);
    house.close().await;
}

/// An answer that waits near its end, and for which the provider counts so many tokens each way.
async fn late(house: &House, tokens: u64) -> Stream {
    let steps = vec![
        ten(),
        Step::Says(" end".to_owned()),
        Step::Waits,
        Step::Used(Some(tokens), Some(tokens)),
        Step::Ends(Finish::Stop),
    ];
    house.script.answer("late", steps);
    house.listen("late", "").await
}

/// T18.
#[tokio::test]
async fn what_is_left_of_a_hold_whose_grant_has_expired_is_breakage() {
    let house = House::open(0).await;
    house.give_for(1000, TimeDelta::seconds(2)).await;
    let steps = vec![
        ten(),
        Step::Says(" end".to_owned()),
        Step::Waits,
        Step::Used(Some(20), Some(20)),
        Step::Ends(Finish::Stop),
    ];
    house.script.answer("slow", steps);
    let mut stream = house.listen("slow", "").await;
    stream.until("end").await;
    until(async || house.wallet().await.0 == 0).await;
    house.script.go_on();
    let (events, ended) = stream.rest().await;
    assert!(ended, "{events:?}");
    let usage = &events.last().expect("usage")["usage"];
    assert_eq!((&usage["credits_charged"], &usage["credits_remaining"]), (&40.into(), &0.into()));
    assert_eq!(house.settled().await, 0, "the rest is not spendable");
    house.close().await;
}
