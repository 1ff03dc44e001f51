//! How answers end: well, or cut short; and what of them is known then.

use saldo::clients::llm::{Finish, ProviderError};
use serde_json::json;

use crate::asking::{Heard, ask, unavailable};
use crate::llm::{Ending, Recorder, Reply, Wire};

const WORDS: &str = "one two three four";

async fn hear(wire: Wire, reply: Reply) -> Heard {
    let recorder = Recorder::start().await;
    recorder.script(wire, reply);
    ask(wire, recorder.url(), "Count").await
}

fn data(value: &serde_json::Value) -> String {
    format!("data: {value}\n\n")
}

#[tokio::test]
async fn each_wire_says_why_an_answer_is_at_its_end() {
    for wire in Wire::ALL {
        for (ending, finish) in [
            (Ending::Stop, Finish::Stop),
            (Ending::Length, Finish::Length),
            (Ending::Filtered, Finish::Filtered),
        ] {
            let heard = hear(wire, Reply::says(WORDS).ending(ending)).await;
            assert_eq!((heard.text.as_str(), heard.finish), (WORDS, Some(finish)), "{wire:?}");
            assert_eq!(heard.used(), (Some(11), Some(4)), "{wire:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_ends_well_without_saying_that_it_is_the_end_was_cut_short() {
    for ending in [Ending::Silent, Ending::Torn] {
        for wire in Wire::ALL {
            let heard = hear(wire, Reply::says(WORDS).ending(ending)).await;
            assert_eq!((heard.text.as_str(), heard.finish), (WORDS, None), "{ending:?}, {wire:?}");
            assert_eq!(heard.error, Some(ProviderError::CutShort), "{ending:?}, {wire:?}");
        }
    }
}

/// Some that speak as OpenAI does say no reason with an empty word, in each chunk.
#[tokio::test]
async fn an_empty_reason_is_none() {
    let chunk = |text: &str, reason: &str| {
        data(&json!({ "choices": [{ "delta": { "content": text }, "finish_reason": reason }] }))
    };
    let begun = format!("{}{}", chunk("one ", ""), chunk("two", ""));
    let heard = hear(Wire::OpenAi, Reply::bytes(begun.clone())).await;
    assert_eq!((heard.text.as_str(), heard.finish), ("one two", None));
    assert_eq!(heard.error, Some(ProviderError::CutShort));
    let ended = format!("{begun}{}", chunk("", "length"));
    assert_eq!(hear(Wire::OpenAi, Reply::bytes(ended)).await.finish, Some(Finish::Length));
}

/// As -1 comes out where it is no signed number.
#[tokio::test]
async fn more_tokens_than_there_can_be_are_not_known() {
    for wire in Wire::ALL {
        for wrong in [u64::MAX, u32::MAX.into()] {
            let heard = hear(wire, Reply::says(WORDS).tokens(11, wrong)).await;
            assert_eq!(heard.finish, Some(Finish::Stop), "{wire:?}");
            assert_eq!(heard.used().0, Some(11), "{wire:?}");
            assert!(heard.used().1.is_none_or(|written| written <= 4), "{wire:?}: {heard:?}");
        }
    }
}

#[tokio::test]
async fn what_was_told_to_be_used_before_a_cut_is_kept() {
    for ending in [Ending::Silent, Ending::Torn, Ending::Overloaded] {
        let cut = Reply::says(WORDS).tokens(11, 9).ending(ending);
        assert_eq!(hear(Wire::Anthropic, cut.clone()).await.used(), (Some(11), Some(1)));
        assert_eq!(hear(Wire::Gemini, cut.clone()).await.used(), (Some(11), Some(4)));
        // OpenAI tells it at the end only.
        assert_eq!(hear(Wire::OpenAi, cut).await.used(), (None, None));
    }
}

#[tokio::test]
async fn zero_is_zero_and_what_nobody_says_is_not_known() {
    for wire in Wire::ALL {
        let heard = hear(wire, Reply::says(WORDS).tokens(0, 0)).await;
        assert_eq!(heard.used(), (Some(0), Some(0)), "{wire:?}");
        let heard = hear(wire, Reply::says(WORDS).without_usage()).await;
        assert_eq!((heard.used(), heard.finish), ((None, None), Some(Finish::Stop)), "{wire:?}");
    }
}

#[tokio::test]
async fn an_error_in_the_middle_ends_the_answer() {
    for wire in Wire::ALL {
        let heard = hear(wire, Reply::says(WORDS).ending(Ending::Overloaded)).await;
        assert_eq!(heard.text, WORDS, "{wire:?}");
        assert_eq!(heard.error, Some(unavailable(None)), "{wire:?}");
    }
}

#[tokio::test]
async fn a_provider_that_stops_before_its_first_word_refuses_the_text() {
    for wire in Wire::ALL {
        let heard = hear(wire, Reply::says("").ending(Ending::Filtered)).await;
        assert_eq!(heard.error, Some(ProviderError::Refused), "{wire:?}: {heard:?}");
    }
    let blocked = json!({ "promptFeedback": { "blockReason": "SAFETY" }, "usageMetadata": {} });
    let heard = hear(Wire::Gemini, Reply::bytes(data(&blocked))).await;
    assert_eq!(heard.error, Some(ProviderError::Refused), "{heard:?}");
    let refusal =
        json!({ "choices": [{ "delta": { "refusal": "I cannot" }, "finish_reason": null }] });
    let end = json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] });
    let heard = hear(Wire::OpenAi, Reply::bytes(data(&refusal) + &data(&end))).await;
    assert_eq!(heard.error, Some(ProviderError::Refused), "{heard:?}");
}

#[tokio::test]
async fn a_reason_is_an_end_for_openai_and_gemini_also_where_usage_comes_after_it_or_never() {
    let word = json!({ "choices": [{ "delta": { "content": "one" } }] });
    let end = json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] });
    let usage = json!({ "choices": [], "usage": { "prompt_tokens": 3, "completion_tokens": 1 } });
    let heard = hear(Wire::OpenAi, Reply::bytes(data(&word) + &data(&end) + &data(&usage))).await;
    assert_eq!((heard.finish, heard.used()), (Some(Finish::Stop), (Some(3), Some(1))));
    let heard = hear(Wire::OpenAi, Reply::bytes(data(&word) + &data(&end))).await;
    assert_eq!((heard.finish, heard.used()), (Some(Finish::Stop), (None, None)));

    let end = json!({ "candidates": [{ "content": { "parts": [{ "text": "one" }] }, "finishReason": "STOP" }] });
    let usage = json!({ "usageMetadata": { "promptTokenCount": 3, "candidatesTokenCount": 1 } });
    let heard = hear(Wire::Gemini, Reply::bytes(data(&end) + &data(&usage))).await;
    assert_eq!((heard.finish, heard.used()), (Some(Finish::Stop), (Some(3), Some(1))));
}

#[tokio::test]
async fn a_reason_without_its_end_is_none_for_anthropic() {
    let word =
        json!({ "type": "content_block_delta", "delta": { "type": "text_delta", "text": "one" } });
    let reason = json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 1 } });
    let heard = hear(Wire::Anthropic, Reply::bytes(data(&word) + &data(&reason))).await;
    assert_eq!(
        (heard.error.as_ref(), heard.used()),
        (Some(&ProviderError::CutShort), (None, Some(1)))
    );
}

#[tokio::test]
async fn thoughts_are_charged_and_not_told() {
    let thought = json!({
        "candidates": [{ "content": { "parts": [{ "text": "Hm.", "thought": true }] } }],
        "usageMetadata": { "promptTokenCount": 8, "thoughtsTokenCount": 5 },
    });
    let word = json!({
        "candidates": [{ "content": { "parts": [{ "text": "one" }] }, "finishReason": "STOP" }],
        "usageMetadata": { "promptTokenCount": 8, "candidatesTokenCount": 2, "thoughtsTokenCount": 5 },
    });
    let heard = hear(Wire::Gemini, Reply::bytes(data(&thought) + &data(&word))).await;
    assert_eq!((heard.text.as_str(), heard.used()), ("one", (Some(8), Some(7))));
    let cut = hear(Wire::Gemini, Reply::bytes(data(&thought))).await;
    assert_eq!((cut.text.as_str(), cut.used()), ("", (Some(8), Some(5))));

    let thought = json!({ "type": "content_block_delta", "delta": { "type": "thinking_delta", "thinking": "Hm." } });
    let heard = hear(
        Wire::Anthropic,
        Reply::bytes(data(&thought) + &data(&json!({ "type": "message_stop" }))),
    )
    .await;
    assert_eq!((heard.text.as_str(), heard.finish), ("", Some(Finish::Stop)));
}

#[tokio::test]
async fn what_anthropic_read_from_a_cache_was_read() {
    let usage = json!({
        "input_tokens": 3, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 100, "output_tokens": 1,
    });
    let start = json!({ "type": "message_start", "message": { "usage": usage } });
    let heard = hear(Wire::Anthropic, Reply::bytes(data(&start))).await;
    assert_eq!(heard.used(), (Some(123), Some(1)));
}
