//! Messages, as Anthropic speaks them.

use aggregates::wallet::OpenHold;
use futures_util::future::BoxFuture;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::{Caller, Endpoint, SettingsError, versioned};
use super::complaint::Complaint;
use super::patience::Patience;
use super::reading::{Said, Wire};
use super::{Answer, Finish, LlmProvider, ProviderError, Request, Tokens};
use crate::clients::address::below;

/// Where Anthropic's API is.
pub const ANTHROPIC: &str = "https://api.anthropic.com";

/// The version of the wire that is spoken here.
const VERSION: &str = "2023-06-01";
/// The highest temperature that Anthropic takes; others take up to 2.
const HOTTEST: f64 = 1.0;

/// Anthropic.
pub struct Anthropic {
    caller: Caller,
    url: Url,
}

impl Anthropic {
    /// The provider at this place; nobody is asked yet.
    pub fn new(endpoint: &Endpoint, patience: Patience) -> Result<Self, SettingsError> {
        let caller = Caller::new("anthropic", endpoint.key.as_ref(), ("x-api-key", ""), patience)?;
        Ok(Self { caller, url: below(&versioned(&endpoint.base, "v1"), "messages") })
    }
}

fn body(model: &str, request: &Request) -> Value {
    let turns = request.turns().map(|(by_model, text)| {
        json!({ "role": if by_model { "assistant" } else { "user" }, "content": text })
    });
    let mut body = json!({
        "model": model,
        "messages": turns.collect::<Vec<_>>(),
        "max_tokens": request.max_output_tokens,
        "stream": true,
    });
    if let Some(rules) = request.rules() {
        body["system"] = rules.into();
    }
    // Its models refuse a request that sets both.
    if let Some(temperature) = request.temperature {
        body["temperature"] = temperature.min(HOTTEST).into();
    } else if let Some(top_p) = request.top_p {
        body["top_p"] = top_p.into();
    }
    if !request.stop.is_empty() {
        body["stop_sequences"] = json!(request.stop);
    }
    body
}

impl LlmProvider for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn stops_when_left(&self) -> bool {
        true
    }

    fn answer<'a>(
        &'a self,
        _: &'a OpenHold,
        model: &'a str,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async move {
            // It refuses those that cannot be seen.
            if request.stop.iter().any(|stop| stop.trim().is_empty()) {
                return Err(ProviderError::Unsupported("stop"));
            }
            let request = self.caller.post(self.url.clone(), &body(model, request));
            self.caller.ask(request.header("anthropic-version", VERSION), Messages).await
        })
    }
}

/// Reads events. What was read is told first, what was written at the end.
struct Messages;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Started,
    },
    ContentBlockStart {
        content_block: Block,
    },
    ContentBlockDelta {
        delta: Block,
    },
    MessageDelta {
        delta: Change,
        usage: Option<Usage>,
    },
    MessageStop,
    Error {
        error: Value,
    },
    /// Pings, ends of blocks, and what will be invented.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Started {
    usage: Option<Usage>,
}

/// A part of the content, or more of it. Thoughts are no part of the answer.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    #[serde(alias = "text_delta")]
    Text { text: String },
    #[serde(other)]
    Other,
}

impl Block {
    fn text(self) -> String {
        match self {
            Self::Text { text } => text,
            Self::Other => String::new(),
        }
    }
}

#[derive(Deserialize)]
struct Change {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(rename = "input_tokens")]
    input: Option<u64>,
    #[serde(rename = "cache_creation_input_tokens")]
    cached: Option<u64>,
    #[serde(rename = "cache_read_input_tokens")]
    from_cache: Option<u64>,
    #[serde(rename = "output_tokens")]
    output: Option<u64>,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        // What was read from a cache, or into one, is not in the first figure.
        let cached =
            [usage.cached, usage.from_cache].into_iter().flatten().fold(0, u64::saturating_add);
        Self { input: usage.input.map(|input| input.saturating_add(cached)), output: usage.output }
    }
}

impl Wire for Messages {
    const REASON_IS_THE_END: bool = false;

    fn read(&mut self, data: &str) -> Result<Said, ProviderError> {
        let used = |usage: Option<Usage>| usage.map(Tokens::from).unwrap_or_default();
        let event = serde_json::from_str(data).map_err(|_| ProviderError::Invalid)?;
        Ok(match event {
            Event::MessageStart { message } => {
                Said { usage: used(message.usage), ..Said::default() }
            }
            Event::ContentBlockStart { content_block: block }
            | Event::ContentBlockDelta { delta: block } => {
                Said { text: block.text(), ..Said::default() }
            }
            Event::MessageDelta { delta, usage } => Said {
                usage: used(usage),
                reason: delta.stop_reason.map(|reason| match reason.as_str() {
                    "max_tokens" | "model_context_window_exceeded" => Finish::Length,
                    "refusal" => Finish::Filtered,
                    _ => Finish::Stop,
                }),
                ..Said::default()
            },
            Event::MessageStop => Said { over: true, ..Said::default() },
            Event::Error { error } => return Err(Complaint::new(&error).midway()),
            Event::Other => Said::default(),
        })
    }
}
