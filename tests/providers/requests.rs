//! What providers are asked.

use saldo::clients::llm::{Finish, ProviderError, Request, Role, Task};
use serde_json::json;

use crate::asking::{KEY, MODEL, ask, ask_of, message, provider, request};
use crate::llm::{Recorder, Wire};

/// A request with all that can be set.
fn full(task: Task) -> Request {
    Request {
        task,
        messages: vec![
            message(Role::System, "Be brief."),
            message(Role::User, "Hello"),
            message(Role::Assistant, "Hi"),
            message(Role::User, "Who are you?"),
        ],
        temperature: Some(1.5),
        top_p: Some(0.5),
        stop: vec!["END".to_owned()],
        ..request("")
    }
}

#[tokio::test]
async fn a_conversation_is_written_as_each_provider_reads_it() {
    let recorder = Recorder::start().await;
    for wire in Wire::ALL {
        let heard = ask_of(&*provider(wire, recorder.url()), &full(Task::Chat)).await;
        assert_eq!(heard.finish, Some(Finish::Stop), "{wire:?}: {heard:?}");
    }
    let [openai, anthropic, gemini] = Wire::ALL.map(|wire| recorder.calls_on(wire).remove(0));
    assert_eq!(openai.path, "/v1/chat/completions");
    assert_eq!(openai.header("authorization"), format!("Bearer {KEY}"));
    let said = |role, content| json!({ "role": role, "content": content });
    let messages = json!([
        said("system", "Be brief."),
        said("user", "Hello"),
        said("assistant", "Hi"),
        said("user", "Who are you?"),
    ]);
    let expected = json!({
        "model": MODEL, "messages": messages, "stream": true, "stream_options": { "include_usage": true },
        "max_tokens": 100, "temperature": 1.5, "top_p": 0.5, "stop": ["END"],
    });
    assert_eq!(openai.body, expected);

    assert_eq!(anthropic.path, "/v1/messages");
    assert_eq!((anthropic.header("x-api-key"), anthropic.header("authorization")), (KEY, ""));
    assert_eq!(anthropic.header("anthropic-version"), "2023-06-01");
    let messages =
        json!([said("user", "Hello"), said("assistant", "Hi"), said("user", "Who are you?")]);
    let expected = json!({
        "model": MODEL, "system": "Be brief.", "messages": messages, "stream": true, "max_tokens": 100,
        "temperature": 1.0, "stop_sequences": ["END"],
    });
    assert_eq!(anthropic.body, expected);

    assert_eq!(gemini.path, format!("/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"));
    assert_eq!(gemini.header("x-goog-api-key"), KEY);
    let said = |role, text| json!({ "role": role, "parts": [{ "text": text }] });
    let expected = json!({
        "systemInstruction": { "parts": [{ "text": "Be brief." }] },
        "contents": [said("user", "Hello"), said("model", "Hi"), said("user", "Who are you?")],
        "generationConfig": {
            "maxOutputTokens": 100, "temperature": 1.5, "topP": 0.5, "stopSequences": ["END"],
        },
    });
    assert_eq!(gemini.body, expected);
}

#[tokio::test]
async fn anthropic_is_not_asked_to_stop_at_what_it_refuses() {
    let recorder = Recorder::start().await;
    let asked = Request { stop: vec!["\n".to_owned()], ..request("Hello") };
    let heard = ask_of(&*provider(Wire::Anthropic, recorder.url()), &asked).await;
    assert_eq!(heard.error, Some(ProviderError::Unsupported("stop")));
    assert!(recorder.calls_on(Wire::Anthropic).is_empty());
}

#[tokio::test]
async fn what_nobody_set_is_not_sent() {
    let recorder = Recorder::start().await;
    for wire in Wire::ALL {
        ask(wire, recorder.url(), "Hello").await;
    }
    let [openai, anthropic, gemini] = Wire::ALL.map(|wire| recorder.calls_on(wire).remove(0).body);
    for name in ["temperature", "top_p", "stop", "response_format"] {
        assert!(openai.get(name).is_none(), "{openai}");
    }
    for name in ["temperature", "top_p", "stop_sequences", "system"] {
        assert!(anthropic.get(name).is_none(), "{anthropic}");
    }
    assert_eq!(gemini["generationConfig"], json!({ "maxOutputTokens": 100 }));
    assert!(gemini.get("systemInstruction").is_none(), "{gemini}");
}

#[tokio::test]
async fn a_task_brings_its_instructions_and_asks_for_json_where_the_wire_has_it() {
    for task in [Task::Summarize, Task::Analyze] {
        let recorder = Recorder::start().await;
        for wire in Wire::ALL {
            ask_of(&*provider(wire, recorder.url()), &full(task)).await;
        }
        let [openai, anthropic, gemini] =
            Wire::ALL.map(|wire| recorder.calls_on(wire).remove(0).body);
        let rules = format!("{}\n\nBe brief.", task.instructions().expect("instructions"));
        assert!(rules.contains("JSON"), "OpenAI wants the word: {rules}");
        assert_eq!(openai["messages"][0], json!({ "role": "system", "content": rules }));
        assert_eq!(openai["response_format"], json!({ "type": "json_object" }));
        assert_eq!(anthropic["system"], json!(rules));
        assert_eq!(gemini["systemInstruction"]["parts"][0]["text"], json!(rules));
        assert_eq!(gemini["generationConfig"]["responseMimeType"], "application/json");
    }
}

#[tokio::test]
async fn a_base_url_may_name_the_version_or_leave_it_out() {
    let recorder = Recorder::start().await;
    for (wire, version) in
        [(Wire::OpenAi, "/v1"), (Wire::Anthropic, "/v1/"), (Wire::Gemini, "/v1beta")]
    {
        for path in ["", "/", version] {
            let heard = ask(wire, &format!("{}{path}", recorder.url()), "Hello").await;
            assert_eq!(heard.finish, Some(Finish::Stop), "{wire:?}, {path}: {heard:?}");
        }
    }
}
