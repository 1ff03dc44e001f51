//! Answers that are none, and answers that come in odd pieces.

use saldo::clients::llm::{Finish, ProviderError};
use serde_json::json;

use crate::asking::{Heard, ask, unavailable};
use crate::llm::{Recorder, Reply, Step, Wire};

async fn hear(wire: Wire, reply: Reply) -> Heard {
    let recorder = Recorder::start().await;
    recorder.script(wire, reply);
    ask(wire, recorder.url(), "Count").await
}

/// A whole answer on this wire that says a word, and its end.
fn whole(wire: Wire, word: &str) -> String {
    let events = match wire {
        Wire::OpenAi => [
            json!({ "choices": [{ "delta": { "content": word } }] }),
            json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] }),
        ],
        Wire::Anthropic => [
            json!({ "type": "content_block_delta", "delta": { "type": "text_delta", "text": word } }),
            json!({ "type": "message_stop" }),
        ],
        Wire::Gemini => [
            json!({ "candidates": [{ "content": { "parts": [{ "text": word }] } }] }),
            json!({ "candidates": [{ "finishReason": "STOP" }] }),
        ],
    };
    let [word, end] = events;
    format!("data: {word}\n\ndata: {end}\n\n")
}

#[tokio::test]
async fn a_page_of_html_is_no_answer() {
    for wire in Wire::ALL {
        assert_eq!(hear(wire, Reply::page(502)).await.error, Some(unavailable(None)), "{wire:?}");
        assert_eq!(
            hear(wire, Reply::page(200)).await.error,
            Some(ProviderError::Invalid),
            "{wire:?}"
        );
    }
}

#[tokio::test]
async fn garbage_in_an_event_ends_the_answer() {
    for wire in Wire::ALL {
        let mut events = whole(wire, "one");
        let end = events.find("\n\n").expect("an event") + 2;
        events.insert_str(end, "data: {\"garbage\n\n");
        let heard = hear(wire, Reply::bytes(events)).await;
        assert_eq!((heard.text.as_str(), heard.error), ("one", Some(ProviderError::Invalid)));
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_end_the_answer() {
    for wire in Wire::ALL {
        let heard = hear(wire, Reply::bytes(b"data: {\"a\": \"\xff\"}\n\n".to_vec())).await;
        assert_eq!(heard.error, Some(ProviderError::Invalid), "{wire:?}");
    }
}

#[tokio::test]
async fn an_answer_may_come_byte_by_byte() {
    for wire in Wire::ALL {
        let bytes = whole(wire, "Grüße, 世界 🪙").into_bytes();
        let steps = bytes.into_iter().map(|byte| Step::Bytes(vec![byte])).collect();
        let heard = hear(wire, Reply::steps(steps)).await;
        assert_eq!((heard.text.as_str(), heard.finish), ("Grüße, 世界 🪙", Some(Finish::Stop)));
    }
}

#[tokio::test]
async fn line_ends_of_other_systems_comments_and_unknown_fields_change_nothing() {
    for wire in Wire::ALL {
        for line_end in ["\r\n", "\r"] {
            let events =
                format!("\u{feff}: waiting\n\nretry: 9\nid: 1\nodd: x\n{}", whole(wire, "one"));
            let events = events.replace('\n', line_end);
            let heard = hear(wire, Reply::bytes(events)).await;
            assert_eq!(
                (heard.text.as_str(), heard.finish),
                ("one", Some(Finish::Stop)),
                "{wire:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_event_without_an_end_is_not_gathered_for_ever() {
    for wire in Wire::ALL {
        let mut steps = vec![Step::Bytes(b"data: {\"x\": \"".to_vec())];
        steps.extend((0..40).map(|_| Step::Bytes(vec![b'x'; 64 * 1024])));
        steps.push(Step::Hang);
        let heard = hear(wire, Reply::steps(steps)).await;
        assert_eq!(heard.error, Some(ProviderError::Invalid), "{wire:?}");
    }
}

#[tokio::test]
async fn a_long_answer_of_many_events_is_heard_out() {
    let word = "x".repeat(64 * 1024);
    let text = format!("{word} ").repeat(40);
    for wire in Wire::ALL {
        let heard = hear(wire, Reply::says(&text)).await;
        assert_eq!((heard.text.len(), heard.finish), (text.len(), Some(Finish::Stop)), "{wire:?}");
    }
}

#[tokio::test]
async fn a_redirection_is_not_followed_with_our_key() {
    for wire in Wire::ALL {
        let (recorder, elsewhere) = (Recorder::start().await, Recorder::start().await);
        let there = format!("{}/v1/messages", elsewhere.url());
        recorder.script(wire, Reply::refuses(307, &json!({})).header("location", there));
        let heard = ask(wire, recorder.url(), "Count").await;
        assert!(matches!(heard.error, Some(ProviderError::Misconfigured(_))), "{heard:?}");
        assert!(elsewhere.calls().is_empty());
    }
}

#[tokio::test]
async fn nobody_there_is_nobody_available() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    for wire in Wire::ALL {
        assert_eq!(ask(wire, &url, "Count").await.error, Some(unavailable(None)), "{wire:?}");
    }
}

#[tokio::test]
async fn refusals_are_read_on_the_wire() {
    let policy = json!({ "error": { "message": "No.", "code": "content_policy_violation" } });
    let key = json!({ "error": { "message": "sk-a-key-of-tests is wrong", "type": "authentication_error" } });
    for wire in Wire::ALL {
        assert_eq!(
            hear(wire, Reply::refuses(400, &policy)).await.error,
            Some(ProviderError::Refused)
        );
        let expected = "status 401, authentication_error".to_owned();
        assert_eq!(
            hear(wire, Reply::refuses(401, &key)).await.error,
            Some(ProviderError::Misconfigured(expected))
        );
        let limited = Reply::too_many(None).header("retry-after-ms", "1500");
        assert_eq!(hear(wire, limited).await.error, Some(unavailable(Some(2))));
    }
}
