//! What PyPI's `openai` makes of answers and of refusals.

use serde_json::json;

use crate::house::House;
use crate::llm::Reply;
use crate::program::Program;

#[tokio::test]
async fn an_answer_is_read_in_one_as_it_is_written_and_by_the_clients_own_helper() {
    let Some(openai) = Program::openai() else { return };
    let house = House::open().await;
    house.next(Reply::says("one two three").tokens(11, 3));
    let whole = openai.does("whole", &house).await;
    assert_eq!(
        (&whole["text"], &whole["reason"], &whole["is_completion"]),
        (&json!("one two three"), &json!("stop"), &json!(true))
    );
    let usage = &whole["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]),
        (&json!(11), &json!(3), &json!(14))
    );
    assert_eq!((&usage["credits_charged"], &whole["charged"]), (&json!(14), &json!("14")));
    assert_eq!(usage["credits_remaining"], 86);

    house.next(Reply::says("four five").tokens(11, 2));
    let stream = openai.does("stream", &house).await;
    assert_eq!(
        (&stream["text"], &stream["reason"], &stream["ids"]),
        (&json!("four five"), &json!("stop"), &json!(1))
    );
    assert_eq!(
        (&stream["usage"]["total_tokens"], &stream["usage"]["credits_charged"]),
        (&json!(13), &json!(13))
    );

    house.next(Reply::says("five").tokens(11, 1));
    let naive = openai.does("naive", &house).await;
    assert_eq!(naive, json!({ "text": "five", "reason": "stop" }));

    house.next(Reply::says("six").tokens(11, 1));
    let helper = openai.does("helper", &house).await;
    assert_eq!((&helper["text"], &helper["reason"]), (&json!("six"), &json!("stop")));
    assert_eq!(house.settled().await, 100 - 14 - 13 - 12 - 12);
    house.close().await;
}

#[tokio::test]
async fn an_answer_that_ends_where_the_credits_end_says_so_in_its_reason() {
    let Some(openai) = Program::openai() else { return };
    let house = House::open().await;
    house.take(70).await;
    house.next(Reply::says(&"one ".repeat(100)).tokens(11, 100));
    let stream = openai.does("stream", &house).await;
    assert_eq!(stream["reason"], "insufficient_credits", "{stream}");
    let figure = |name: &str| stream["usage"][name].as_i64().expect("a number");
    let (charged, left) = (figure("credits_charged"), figure("credits_remaining"));
    // Less than one more piece of the answer would cost.
    assert!(charged + left == 30 && left < 3, "{stream}");
    assert_eq!(house.settled().await, left);
    house.close().await;
}

#[tokio::test]
async fn the_models_of_the_callers_tier_are_listed() {
    let Some(openai) = Program::openai() else { return };
    let house = House::open().await;
    let models = openai.does("models", &house).await;
    assert_eq!(models, json!({ "ids": ["small"], "one": "saldo" }));
    house.close().await;
}

#[tokio::test]
async fn whoever_has_no_credits_is_refused_once_and_nobody_is_asked() {
    let Some(openai) = Program::openai() else { return };
    let house = House::open().await;
    house.take(100).await;
    let refused = openai.does("refused", &house).await;
    let error = &refused["error"];
    assert_eq!(
        (&error["status"], &error["code"], &error["type"]),
        (&json!(402), &json!("insufficient_credits"), &json!("insufficient_quota")),
        "{refused}"
    );
    assert_eq!(refused["requests"], 1, "{refused}");
    assert_eq!(house.providers.calls().len(), 0);
    house.close().await;
}

#[tokio::test]
async fn what_cannot_be_helped_by_another_try_raises_its_own_error_and_is_asked_once() {
    let Some(openai) = Program::openai() else { return };
    let house = House::open().await;
    for (settings, kind, status, code) in [
        (("KEY", "sk_saldo_wrong"), "AuthenticationError", 401, "unauthorized"),
        (("MORE", r#"{"model":"unknown"}"#), "NotFoundError", 404, "model_not_found"),
        (("MORE", r#"{"model":"large"}"#), "PermissionDeniedError", 403, "plan_required"),
        (("MORE", r#"{"n":2}"#), "BadRequestError", 400, "invalid"),
        (("MORE", r#"{"messages":[]}"#), "BadRequestError", 400, "invalid"),
    ] {
        let refused = openai.does_with("refused", &house, &[settings]).await;
        let error = &refused["error"];
        assert_eq!(
            (&error["kind"], &error["status"], &error["code"]),
            (&json!(kind), &json!(status), &json!(code)),
            "{refused}"
        );
        assert_eq!(refused["requests"], 1, "{refused}");
    }
    assert_eq!(house.providers.calls().len(), 0);
    assert_eq!(house.settled().await, 100);
    house.close().await;
}
