//! `streamGenerateContent`, as Google's Gemini speaks it.

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

/// Where Gemini's API is.
pub const GEMINI: &str = "https://generativelanguage.googleapis.com";

/// Gemini.
pub struct Gemini {
    caller: Caller,
    models: Url,
}

impl Gemini {
    /// The provider at this place; nobody is asked yet.
    pub fn new(endpoint: &Endpoint, patience: Patience) -> Result<Self, SettingsError> {
        let caller =
            Caller::new("gemini", endpoint.key.as_ref(), ("x-goog-api-key", ""), patience)?;
        Ok(Self { caller, models: below(&versioned(&endpoint.base, "v1beta"), "models") })
    }

    fn url(&self, model: &str) -> Url {
        let mut url = below(&self.models, &format!("{model}:streamGenerateContent"));
        url.set_query(Some("alt=sse"));
        url
    }
}

fn body(request: &Request) -> Value {
    let turns = request.turns().map(|(by_model, text)| {
        json!({ "role": if by_model { "model" } else { "user" }, "parts": [{ "text": text }] })
    });
    let mut settings = json!({ "maxOutputTokens": request.max_output_tokens });
    if let Some(temperature) = request.temperature {
        settings["temperature"] = temperature.into();
    }
    if let Some(top_p) = request.top_p {
        settings["topP"] = top_p.into();
    }
    if !request.stop.is_empty() {
        settings["stopSequences"] = json!(request.stop);
    }
    if request.task.wants_json() {
        settings["responseMimeType"] = "application/json".into();
    }
    let mut body = json!({ "contents": turns.collect::<Vec<_>>(), "generationConfig": settings });
    if let Some(rules) = request.rules() {
        body["systemInstruction"] = json!({ "parts": [{ "text": rules }] });
    }
    body
}

impl LlmProvider for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn stops_when_left(&self) -> bool {
        false
    }

    fn answer<'a>(
        &'a self,
        _: &'a OpenHold,
        model: &'a str,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async move {
            let request = self.caller.post(self.url(model), &body(request));
            self.caller.ask(request, Totals::default()).await
        })
    }
}

/// Reads responses. Each may have running totals of what was used; thoughts are counted apart.
#[derive(Default)]
struct Totals {
    written: Option<u64>,
    thought: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    parts: Option<Vec<Piece>>,
}

#[derive(Deserialize)]
struct Piece {
    text: Option<String>,
    /// Whether it is a thought, which is no part of the answer.
    thought: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(rename = "promptTokenCount")]
    read: Option<u64>,
    #[serde(rename = "candidatesTokenCount")]
    written: Option<u64>,
    #[serde(rename = "thoughtsTokenCount")]
    thought: Option<u64>,
}

impl Totals {
    fn count(&mut self, usage: &Usage) -> Tokens {
        self.written = usage.written.or(self.written);
        self.thought = usage.thought.or(self.thought);
        let output = match (self.written, self.thought) {
            (None, None) => None,
            (written, thought) => Some(written.unwrap_or(0).saturating_add(thought.unwrap_or(0))),
        };
        Tokens { input: usage.read, output }
    }
}

impl Wire for Totals {
    const REASON_IS_THE_END: bool = true;

    fn read(&mut self, data: &str) -> Result<Said, ProviderError> {
        let part: Part = serde_json::from_str(data).map_err(|_| ProviderError::Invalid)?;
        if let Some(error) = part.error {
            return Err(Complaint::new(&error).midway());
        }
        let usage = part.usage_metadata.map(|usage| self.count(&usage));
        let mut said = Said { usage: usage.unwrap_or_default(), ..Said::default() };
        if part.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some()) {
            said.reason = Some(Finish::Filtered);
            said.over = true;
        }
        // One answer was asked for.
        let candidate = part.candidates.and_then(|candidates| candidates.into_iter().next());
        let Some(candidate) = candidate else { return Ok(said) };
        let pieces = candidate.content.and_then(|content| content.parts).unwrap_or_default();
        let pieces = pieces.into_iter().filter(|piece| piece.thought != Some(true));
        said.text = pieces.filter_map(|piece| piece.text).collect();
        said.reason = said.reason.or(candidate.finish_reason.as_deref().and_then(reason));
        Ok(said)
    }
}

fn reason(said: &str) -> Option<Finish> {
    match said {
        // What stands there while there is none.
        "FINISH_REASON_UNSPECIFIED" => None,
        "MAX_TOKENS" => Some(Finish::Length),
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" => {
            Some(Finish::Filtered)
        }
        _ => Some(Finish::Stop),
    }
}
