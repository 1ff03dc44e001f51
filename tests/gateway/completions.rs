//! What is charged for an answer, and what its client is told.

use reqwest::{Method, StatusCode};
use saldo::clients::llm::{Finish, ProviderError};
use serde_json::{Value, json};

use crate::house::{House, question};
use crate::script::Step;
use crate::stream::said;

fn words(count: usize) -> String {
    " one".repeat(count)
}

fn ends() -> Step {
    Step::Ends(Finish::Stop)
}

#[tokio::test]
async fn an_answer_costs_what_the_provider_counted_and_says_so() {
    let house = House::open(100).await;
    let hello = vec![
        Step::Says("Hel".to_owned()),
        Step::Says("lo".to_owned()),
        Step::Used(Some(11), Some(7)),
        ends(),
    ];
    house.script.answer("hello", hello);
    let answer = house.ask("hello", "").await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    assert_eq!(answer.body["choices"][0]["message"]["content"], "Hello");
    assert_eq!(answer.body["choices"][0]["finish_reason"], "stop");
    let usage = &answer.body["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]),
        (&json!(11), &json!(7), &json!(18))
    );
    assert_eq!(
        (answer.header("credits-charged"), answer.header("credits-remaining")),
        ("18", "82")
    );
    assert_eq!(house.wallet().await, (82, 0));

    let (events, ended) = house.listen("hello", "").await.rest().await;
    assert!(ended, "{events:?}");
    assert_eq!(said(&events), "Hello");
    let last = events.last().expect("a last one");
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        (&last["usage"]["credits_charged"], &last["usage"]["credits_remaining"]),
        (&json!(18), &json!(64))
    );
    let usage = house.captured_usage().await;
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(11), &json!(7)));
    assert_eq!((&usage["prices"], &usage["estimated"]), (&json!("test-1"), &Value::Null));
    house.close().await;
}

#[tokio::test]
async fn a_provider_that_says_zero_is_paid_zero_and_one_that_says_nothing_an_estimate() {
    let house = House::open(100).await;
    house.script.answer("zero", vec![Step::Says(words(20)), Step::Used(Some(0), Some(0)), ends()]);
    let answer = house.ask("zero", "").await;
    assert_eq!(answer.header("credits-charged"), "0", "{:?}", answer.body);
    assert_eq!(house.wallet().await, (100, 0));

    house.script.answer("silent", vec![Step::Says(words(20)), ends()]);
    let answer = house.ask("silent", "").await;
    assert_eq!(answer.body["usage"]["estimated"], true, "{:?}", answer.body);
    // Twenty words, and a message of one.
    let charged = answer.body["usage"]["credits_charged"].as_i64().expect("a number");
    assert!((21..=30).contains(&charged), "{charged}");
    assert_eq!(house.wallet().await, (100 - charged, 0));
    assert_eq!(house.captured_usage().await["estimated"], true);
    house.close().await;
}

/// T4.
#[tokio::test]
async fn an_answer_far_above_what_was_held_is_paid_as_long_as_there_are_credits() {
    let house = House::open(100).await;
    house.give(2000).await;
    let mut steps: Vec<_> = (0..100).map(|_| Step::Says(words(10))).collect();
    steps.extend([Step::Used(Some(5), Some(1000)), ends()]);
    house.script.answer("long", steps);
    let answer = house.ask("long", "").await;
    assert_eq!(answer.header("credits-charged"), "1005", "{:?}", answer.body);
    assert_eq!(house.wallet().await, (1095, 0));
    // The provider counts what nobody saw, such as thoughts.
    house
        .script
        .answer("thoughts", vec![Step::Says(words(5)), Step::Used(Some(5), Some(900)), ends()]);
    let answer = house.ask("thoughts", "").await;
    assert_eq!(answer.header("credits-charged"), "905", "{:?}", answer.body);
    // And more than there is: all of it is paid, and nobody owes anything.
    let answer = house.ask("thoughts", "").await;
    assert_eq!(answer.header("credits-charged"), "190", "{:?}", answer.body);
    assert_eq!(house.wallet().await, (0, 0));
    house.close().await;
}

#[tokio::test]
async fn an_answer_ends_where_the_credits_end_and_says_so() {
    let house = House::open(100).await;
    house.give(300).await;
    let mut steps: Vec<_> = (0..200).map(|_| Step::Says(words(10))).collect();
    steps.extend([Step::Used(Some(5), Some(2000)), ends()]);
    house.script.answer("endless", steps);
    let (events, ended) = house.listen("endless", "").await.rest().await;
    assert!(ended, "{events:?}");
    let why = &events[events.len() - 1]["choices"][0]["finish_reason"];
    assert_eq!(why, "insufficient_credits");
    assert_eq!(events.last().expect("usage")["usage"]["credits_charged"], 400);
    // All that was paid for was delivered, and hardly more.
    let words = said(&events).split_whitespace().count();
    assert!((385..=410).contains(&words), "{words} words");
    assert_eq!(house.wallet().await, (0, 0));
    assert_eq!(house.script.left(), 1, "the provider was left");

    let refused = house.ask("endless", "").await;
    assert_eq!(refused.status, StatusCode::PAYMENT_REQUIRED);
    let error = &refused.body["error"];
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("insufficient_quota"), &json!("insufficient_credits"))
    );
    assert_eq!(refused.header("x-should-retry"), "false");
    assert_eq!(house.script.asked(), 1, "nobody is asked without a hold");
    house.close().await;
}

/// The wallet has enough, and the log does not take what says so.
#[tokio::test]
async fn an_answer_that_the_log_holds_no_more_for_ends_as_failed_and_costs_what_was_held() {
    let house = House::open(100).await;
    house.give(2000).await;
    for statement in [
        "create function public.refuse() returns trigger language plpgsql as
             $$ begin raise exception 'it is not taken'; end $$",
        "create trigger refuse before insert on events for each row
             when (new.event_type = 'HoldIncremented') execute function public.refuse()",
    ] {
        house.execute(statement).await;
    }
    let mut steps: Vec<_> = (0..60).map(|_| Step::Says(words(10))).collect();
    steps.extend([Step::Used(Some(5), Some(600)), ends()]);
    house.script.answer("long", steps);
    let (events, ended) = house.listen("long", "").await.rest().await;
    assert!(!ended, "a stream that fails has no end");
    let failed = &events[events.len() - 1]["error"];
    assert_eq!((&failed["code"], &failed["type"]), (&json!("busy"), &json!("api_error")));
    let message = failed["message"].as_str().unwrap_or_default();
    assert!(message.ends_with("what was delivered until then was charged"), "{failed}");
    let usage = &events[events.len() - 2]["usage"];
    let charged = usage["credits_charged"].as_i64().expect("a number");
    let delivered = said(&events).split_whitespace().count();
    assert!((250..=280).contains(&delivered) && (256..=280).contains(&charged), "{usage}");
    assert_eq!(house.settled().await, 2100 - charged);

    // Who gets nothing pays nothing, and may ask again.
    let answer = house.ask("long", "").await;
    assert_eq!(
        (answer.status, &answer.body["error"]["code"], answer.header("retry-after")),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("busy"), "1")
    );
    assert_eq!(house.settled().await, 2100 - charged);
    let chat = house.chat().await;
    let reply = house.say(&chat, "long").await;
    let failed = house.until(&chat, &reply, "failed").await;
    assert_eq!((&failed["code"], &failed["credits"]), (&json!("busy"), &json!(0)));
    assert_eq!(house.settled().await, 2100 - charged);
    house.close().await;
}

#[tokio::test]
async fn a_provider_that_fails_costs_only_what_was_streamed() {
    let house = House::open(100).await;
    house.give(1000).await;
    let cut = vec![
        Step::Used(Some(50), None),
        Step::Says(words(10)),
        Step::Fails(ProviderError::CutShort),
    ];
    house.script.answer("cut", cut);
    let answer = house.ask("cut", "").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{:?}", answer.body);
    assert_eq!(house.wallet().await, (1100, 0), "who gets nothing pays nothing");

    let (events, ended) = house.listen("cut", "").await.rest().await;
    assert!(!ended, "a stream that fails has no end");
    assert_eq!(events.last().expect("an error")["error"]["code"], "provider_failed");
    let charged = events[events.len() - 2]["usage"]["credits_charged"].as_i64().expect("a number");
    // What the provider reported before the cut, and ten words.
    assert!((60..=62).contains(&charged), "{charged}");
    assert_eq!(house.settled().await, 1100 - charged);

    // Last, since it is left alone for that long.
    let unavailable = ProviderError::Unavailable { retry_after: Some(7) };
    house.script.answer("never", vec![Step::Fails(unavailable)]);
    let answer = house.ask("never", "").await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::BAD_GATEWAY, "7"));
    assert_eq!(answer.body["error"]["code"], "provider_failed");
    assert_eq!(house.settled().await, 1100 - charged);
    house.close().await;
}

#[tokio::test]
async fn the_same_key_answers_again_and_charges_once() {
    let house = House::open(100).await;
    house.give(1000).await;
    house.script.answer(
        "hello",
        vec![Step::Says("Hello".to_owned()), Step::Used(Some(3), Some(2)), ends()],
    );
    let first = house.ask("hello", "a key").await;
    let again = house.ask("hello", "a key").await;
    assert_eq!(again.header("idempotency-replayed"), "true", "{:?}", again.body);
    assert_eq!(again.body["choices"], first.body["choices"]);
    assert_eq!(again.body["id"], first.body["id"]);
    let streamed = house.listen("hello", "another").await.rest().await;
    let again = house.listen("hello", "another").await.rest().await;
    assert_eq!((said(&streamed.0), streamed.1), (said(&again.0), again.1));
    assert_eq!(house.script.asked(), 2);
    assert_eq!(house.settled().await, 1090);
    let other = house.ask("hello, you", "a key").await;
    assert_eq!(
        (other.status, &other.body["error"]["code"]),
        (StatusCode::BAD_REQUEST, &json!("idempotency_key_reused"))
    );
    house.close().await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_in_the_shape_that_sdks_read() {
    let house = House::open(100).await;
    let with = |field: &str, value: Value| {
        let mut body = question("hello", false);
        body[field] = value;
        body
    };
    for (body, status, code, param) in [
        (with("model", json!("large")), 403, "plan_required", None),
        (with("model", json!("gpt-17")), 404, "model_not_found", None),
        (with("messages", json!([])), 400, "invalid", Some("messages")),
        (with("n", json!(2)), 400, "invalid", Some("n")),
        (with("tools", json!([{}])), 400, "invalid", Some("tools")),
        (with("temperature", json!(3)), 400, "invalid", Some("temperature")),
        (with("max_tokens", json!(-1)), 400, "invalid", Some("max_tokens")),
        (
            with("messages", json!([{"role": "user", "content": [{"type": "image_url"}]}])),
            400,
            "invalid",
            Some("messages[0].content"),
        ),
        (with("functions", json!([{"name": "now"}])), 400, "invalid", Some("functions")),
        (with("function_call", json!("auto")), 400, "invalid", Some("function_call")),
        (with("function_call", json!({"name": "now"})), 400, "invalid", Some("function_call")),
        (with("modalities", json!(["text", "audio"])), 400, "invalid", Some("modalities")),
        (with("modalities", json!("text")), 400, "invalid", Some("modalities")),
        (with("audio", json!({"voice": "alloy"})), 400, "invalid", Some("audio")),
        (with("logprobs", json!(true)), 400, "invalid", Some("logprobs")),
    ] {
        let answer = house.ask_for(&body, "").await;
        let error = &answer.body["error"];
        assert_eq!(answer.status, status, "{body}: {error}");
        assert_eq!(
            (error["code"].as_str(), error["param"].as_str()),
            (Some(code), param),
            "{body}"
        );
    }
    assert_eq!((house.wallet().await, house.script.asked()), ((100, 0), 0));
    house.script.answer("hello", vec![Step::Fails(ProviderError::Unsupported("stop"))]);
    let answer = house.ask_for(&with("stop", json!("END")), "").await;
    let error = &answer.body["error"];
    assert_eq!(
        (answer.status, &error["param"]),
        (StatusCode::BAD_REQUEST, &json!("stop")),
        "{error}"
    );
    assert_eq!(house.wallet().await.1, 0, "nothing is held for it");
    // What is not known is ignored, as its clients expect; so is what would change nothing.
    let free = vec![Step::Says("Hello".to_owned()), Step::Used(Some(0), Some(0)), ends()];
    house.script.answer("hello", free);
    for (field, value) in [
        ("user", json!("somebody")),
        ("functions", json!([])),
        ("function_call", json!("none")),
        ("modalities", json!(["text"])),
        ("logprobs", json!(false)),
        ("functions", Value::Null),
        ("function_call", Value::Null),
        ("modalities", Value::Null),
        ("audio", Value::Null),
        ("logprobs", Value::Null),
    ] {
        let answer = house.ask_for(&with(field, value), "").await;
        assert_eq!(answer.status, StatusCode::OK, "{field}: {:?}", answer.body);
    }
    house.close().await;
}

#[tokio::test]
async fn what_is_not_understood_is_told_by_its_field_and_what_it_may_be() {
    let house = House::open(100).await;
    let with = |field: &str, value: Value| {
        let mut body = question("hello", false);
        body[field] = value;
        body
    };
    let then = |said: Value| with("messages", json!([{"role": "user", "content": "hello"}, said]));
    let calls = json!([{"id": "1", "type": "function", "function": {"name": "now"}}]);
    for (body, param, remedy) in [
        (with("stop", json!(5)), "stop", "must be a text, or a list of at most 4 texts"),
        (with("stop", json!(["end", 5])), "stop", "must be a text, or a list of at most 4 texts"),
        (
            then(json!({"role": "user", "content": 5})),
            "messages[1].content",
            "must be a text, or a list of parts of the type text",
        ),
        (
            then(json!({"role": "assistant", "content": null})),
            "messages[1].content",
            "must be there: a text, or a list of parts of the type text",
        ),
        (
            then(json!({"role": "assistant"})),
            "messages[1].content",
            "must be there: a text, or a list of parts of the type text",
        ),
        (
            then(json!({"role": "assistant", "content": null, "tool_calls": calls})),
            "messages[1].tool_calls",
            "functions are not called: leave it out",
        ),
        (
            then(json!({"role": "assistant", "content": null, "function_call": {"name": "now"}})),
            "messages[1].function_call",
            "functions are not called: leave it out",
        ),
        (
            then(json!({"role": "tool", "tool_call_id": "1", "content": "noon"})),
            "messages[1].role",
            "functions are not called: leave the message out",
        ),
        (
            then(json!({"role": "function", "name": "now", "content": "noon"})),
            "messages[1].role",
            "functions are not called: leave the message out",
        ),
    ] {
        let answer = house.ask_for(&body, "").await;
        let error = &answer.body["error"];
        assert_eq!(
            (answer.status, error["param"].as_str(), error["message"].as_str()),
            (StatusCode::BAD_REQUEST, Some(param), Some(format!("{param}: {remedy}").as_str())),
            "{body}"
        );
    }
    assert_eq!((house.wallet().await, house.script.asked()), ((100, 0), 0));
    // As SDKs write an answer that they send back.
    house.script.answer("hello", vec![Step::Says("Hello".to_owned()), ends()]);
    let before =
        json!({"role": "assistant", "content": "Hello", "tool_calls": null, "function_call": null});
    let messages = json!([before, {"role": "user", "content": "hello", "tool_calls": []}]);
    let answer = house.ask_for(&with("messages", messages), "").await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    house.close().await;
}

#[tokio::test]
async fn a_method_that_the_route_does_not_know_is_told_those_it_knows() {
    let house = House::open(0).await;
    let bearer = format!("Bearer {}", house.ada.token);
    let headers = [("authorization", bearer.as_str())];
    for (method, path, allowed) in
        [(Method::GET, "/v1/chat/completions", "POST"), (Method::DELETE, "/v1/models", "GET")]
    {
        let answer = house.server.send(method, path, &headers, None).await.expect("an answer");
        assert_eq!(
            (answer.status, &answer.body["error"]["code"]),
            (StatusCode::METHOD_NOT_ALLOWED, &json!("method_not_allowed")),
            "{path}"
        );
        assert!(answer.header("allow").contains(allowed), "{path}: {:?}", answer.header("allow"));
    }
    house.close().await;
}

#[tokio::test]
async fn a_body_that_is_too_long_is_told_how_long_it_may_be() {
    let house = House::open(100).await;
    for (path, longest, told) in [
        ("/v1/chat/completions", 4 << 20, "4 MiB"),
        ("/api/v1/ai/summarize", 64 << 10, "64 KiB"),
        ("/api/v1/webhooks/stripe", 1 << 20, "1 MiB"),
    ] {
        let bearer = format!("Bearer {}", house.ada.token);
        let headers = [("authorization", bearer.as_str())];
        // With the quotes, it is one too long.
        let body = json!("x".repeat(longest - 1));
        let refused = house.server.send(Method::POST, path, &headers, Some(&body)).await;
        let refused = refused.expect("an answer");
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        let body = refused.body.to_string();
        assert!(body.contains(&format!("must not exceed {told}\"")), "{path}: {body}");
    }
    house.close().await;
}
