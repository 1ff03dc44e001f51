//! What npm's `ai` makes of answers and of refusals.

use serde_json::json;

use crate::house::House;
use crate::llm::{Ending, Reply};
use crate::program::Program;

#[tokio::test]
async fn answers_are_read_in_one_and_as_they_are_written_with_what_was_used() {
    let Some(sdk) = Program::ai_sdk() else { return };
    let house = House::open().await;
    for what in ["whole", "stream"] {
        house.next(Reply::says("one two three").tokens(11, 3));
        let answer = sdk.does(what, &house).await;
        let wanted = json!({ "text": "one two three", "reason": "stop", "input": 11, "output": 3 });
        assert_eq!(answer, wanted, "{what}");
    }
    assert_eq!(house.settled().await, 100 - 28);
    house.close().await;
}

#[tokio::test]
async fn whoever_has_no_credits_or_no_key_is_refused_once_and_told_why() {
    let Some(sdk) = Program::ai_sdk() else { return };
    let house = House::open().await;
    let refused = sdk.does_with("refused", &house, &[("KEY", "sk_saldo_wrong")]).await;
    assert_eq!((&refused["status"], &refused["requests"]), (&json!(401), &json!(1)), "{refused}");
    house.take(100).await;
    let refused = sdk.does("refused", &house).await;
    assert_eq!((&refused["status"], &refused["requests"]), (&json!(402), &json!(1)), "{refused}");
    let message = refused["message"].as_str().unwrap_or_default();
    assert!(message.contains("credits"), "{refused}");
    house.close().await;
}

#[tokio::test]
async fn a_stream_that_is_cut_is_an_error_is_not_asked_again_and_costs_what_came() {
    let Some(sdk) = Program::ai_sdk() else { return };
    let house = House::open().await;
    house.next(Reply::says("one two three").ending(Ending::Torn));
    let cut = sdk.does("cut", &house).await;
    assert_eq!((&cut["text"], &cut["requests"]), (&json!("one two three"), &json!(1)), "{cut}");
    assert_eq!(cut["failures"].as_array().map(Vec::len), Some(1), "{cut}");
    let failure = cut["failures"][0].as_str().unwrap_or_default();
    assert!(failure.contains("delivered until then was charged"), "{cut}");
    let left = house.settled().await;
    assert!((80..98).contains(&left), "{left}");
    house.close().await;
}
