//! How the providers write down an answer in words.

use serde_json::{Value, json};

use super::reply::{Ending, Speech, Step};

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    OpenAi,
    Anthropic,
    Gemini,
}

impl Wire {
    pub const ALL: [Self; 3] = [Self::OpenAi, Self::Anthropic, Self::Gemini];

    /// The provider's name in routes.
    pub fn provider(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// The wire that a path belongs to.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/v1/chat/completions" => Some(Self::OpenAi),
            "/v1/messages" => Some(Self::Anthropic),
            _ if path.starts_with("/v1beta/models/")
                && path.ends_with(":streamGenerateContent") =>
            {
                Some(Self::Gemini)
            }
            _ => None,
        }
    }

    /// What happens on the wire while something is said.
    pub(super) fn steps(self, speech: &Speech) -> Vec<Step> {
        let mut steps = self.opening(speech);
        for (index, word) in speech.words.iter().enumerate() {
            if let Some((after, gate)) = &speech.gate
                && *after == index
            {
                steps.push(Step::Wait(gate.clone()));
            }
            if !speech.pace.is_zero() {
                steps.push(Step::Pause(speech.pace));
            }
            steps.push(self.word(speech, index, word));
        }
        if let Some((after, gate)) = &speech.gate
            && *after >= speech.words.len()
        {
            steps.push(Step::Wait(gate.clone()));
        }
        match speech.ending {
            Ending::Stop | Ending::Length | Ending::Filtered => steps.extend(self.closing(speech)),
            Ending::Overloaded => steps.push(self.error()),
            Ending::Silent => {}
            Ending::Torn => steps.push(Step::Tear),
            Ending::Hangs => steps.push(Step::Hang),
        }
        steps
    }

    fn opening(self, speech: &Speech) -> Vec<Step> {
        match self {
            Self::OpenAi => vec![chunk(&json!({ "role": "assistant", "content": "" }), None)],
            Self::Anthropic => {
                let mut message =
                    json!({ "id": "msg_1", "type": "message", "role": "assistant", "content": [] });
                if let Some(input) = speech.input {
                    let output = speech.output.unwrap_or(0).min(1);
                    message["usage"] = json!({ "input_tokens": input, "output_tokens": output });
                }
                let block = json!({ "type": "text", "text": "" });
                vec![
                    event(&json!({ "type": "message_start", "message": message })),
                    event(
                        &json!({ "type": "content_block_start", "index": 0, "content_block": block }),
                    ),
                    event(&json!({ "type": "ping" })),
                ]
            }
            Self::Gemini => vec![],
        }
    }

    fn word(self, speech: &Speech, index: usize, word: &str) -> Step {
        match self {
            Self::OpenAi => chunk(&json!({ "content": word }), None),
            Self::Anthropic => event(&json!({
                "type": "content_block_delta", "index": 0,
                "delta": { "type": "text_delta", "text": word },
            })),
            Self::Gemini => {
                let so_far = speech.output.map(|output| output.min(index as u64 + 1));
                data(&json!({
                    "candidates": [{ "content": { "role": "model", "parts": [{ "text": word }] }, "index": 0 }],
                    "usageMetadata": totals(speech.input, so_far),
                }))
            }
        }
    }

    fn closing(self, speech: &Speech) -> Vec<Step> {
        let reason = |stop, length, filtered| match speech.ending {
            Ending::Length => length,
            Ending::Filtered => filtered,
            _ => stop,
        };
        match self {
            Self::OpenAi => {
                let reason = reason("stop", "length", "content_filter");
                let mut steps = vec![chunk(&json!({}), Some(reason))];
                if let (Some(input), Some(output)) = (speech.input, speech.output) {
                    let usage = json!({
                        "prompt_tokens": input, "completion_tokens": output, "total_tokens": input.saturating_add(output),
                    });
                    steps.push(data(&json!({ "object": "chat.completion.chunk", "choices": [], "usage": usage })));
                }
                steps.push(Step::Bytes(b"data: [DONE]\n\n".to_vec()));
                steps
            }
            Self::Anthropic => {
                let reason = reason("end_turn", "max_tokens", "refusal");
                let mut delta =
                    json!({ "type": "message_delta", "delta": { "stop_reason": reason } });
                if let Some(output) = speech.output {
                    delta["usage"] = json!({ "output_tokens": output });
                }
                vec![
                    event(&json!({ "type": "content_block_stop", "index": 0 })),
                    event(&delta),
                    event(&json!({ "type": "message_stop" })),
                ]
            }
            Self::Gemini => {
                let reason = reason("STOP", "MAX_TOKENS", "SAFETY");
                vec![data(&json!({
                    "candidates": [{ "content": { "role": "model", "parts": [] }, "finishReason": reason }],
                    "usageMetadata": totals(speech.input, speech.output),
                }))]
            }
        }
    }

    /// What the wire says in the middle when it is too much.
    fn error(self) -> Step {
        match self {
            Self::OpenAi => {
                data(&json!({ "error": { "type": "server_error", "message": "Overloaded" } }))
            }
            Self::Anthropic => event(&json!({
                "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" },
            })),
            Self::Gemini => data(&json!({ "error": { "code": 503, "status": "UNAVAILABLE" } })),
        }
    }
}

fn totals(input: Option<u64>, output: Option<u64>) -> Value {
    let mut totals = json!({});
    if let Some(input) = input {
        totals["promptTokenCount"] = input.into();
    }
    if let Some(output) = output {
        totals["candidatesTokenCount"] = output.into();
    }
    totals
}

fn chunk(delta: &Value, reason: Option<&str>) -> Step {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
    data(&json!({ "object": "chat.completion.chunk", "choices": [choice], "usage": null }))
}

/// An event with a name, as Anthropic has it.
fn event(content: &Value) -> Step {
    let name = content["type"].as_str().expect("an event has a type");
    Step::Bytes(format!("event: {name}\ndata: {content}\n\n").into_bytes())
}

fn data(content: &Value) -> Step {
    Step::Bytes(format!("data: {content}\n\n").into_bytes())
}
