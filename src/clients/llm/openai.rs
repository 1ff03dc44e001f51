//! Chat completions, as OpenAI and all that are compatible with it speak them.

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
use crate::clients::address::{below, is_here};

/// Where OpenAI's API is.
pub const OPENAI: &str = "https://api.openai.com/v1";

/// OpenAI, or whoever speaks as it does.
pub struct OpenAi {
    caller: Caller,
    url: Url,
    is_genuine: bool,
    stops_when_left: bool,
}

impl OpenAi {
    /// The provider at this place; nobody is asked yet.
    pub fn new(endpoint: &Endpoint, patience: Patience) -> Result<Self, SettingsError> {
        let header = ("authorization", "Bearer ");
        let caller = Caller::new("openai", endpoint.key.as_ref(), header, patience)?;
        let base = match endpoint.base.path() {
            "" | "/" => versioned(&endpoint.base, "v1"),
            _ => endpoint.base.clone(),
        };
        let is_genuine = base.host_str() == Some("api.openai.com");
        Ok(Self {
            caller,
            is_genuine,
            // Of those that are compatible some charge for what nobody reads; a server on this machine
            // charges nothing.
            stops_when_left: is_genuine || is_here(&base),
            url: below(&base, "chat/completions"),
        })
    }

    fn body(&self, model: &str, request: &Request) -> Value {
        let rules = request.rules().map(|text| json!({ "role": "system", "content": text }));
        let turns = request.turns().map(|(by_model, text)| {
            json!({ "role": if by_model { "assistant" } else { "user" }, "content": text })
        });
        let mut body = json!({
            "model": model,
            "messages": rules.into_iter().chain(turns).collect::<Vec<_>>(),
            "stream": true,
            "stream_options": { "include_usage": true },
        });
        // OpenAI's models that think refuse the old name; many that are compatible do not know the new.
        let limit = if self.is_genuine { "max_completion_tokens" } else { "max_tokens" };
        body[limit] = request.max_output_tokens.into();
        if let Some(temperature) = request.temperature {
            body["temperature"] = temperature.into();
        }
        if let Some(top_p) = request.top_p {
            body["top_p"] = top_p.into();
        }
        if !request.stop.is_empty() {
            body["stop"] = json!(request.stop);
        }
        if request.task.wants_json() {
            body["response_format"] = json!({ "type": "json_object" });
        }
        body
    }
}

impl LlmProvider for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn stops_when_left(&self) -> bool {
        self.stops_when_left
    }

    fn answer<'a>(
        &'a self,
        _: &'a OpenHold,
        model: &'a str,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async move {
            let request = self.caller.post(self.url.clone(), &self.body(model, request));
            self.caller.ask(request, Chunks::default()).await
        })
    }
}

/// Reads chunks. Usage comes in one of its own, after the reason of the end; many servers send no
/// `[DONE]` then.
#[derive(Default)]
struct Chunks {
    is_refused: bool,
}

#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

/// What is written. Thoughts have other names, and are no part of the answer.
#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

impl Wire for Chunks {
    const REASON_IS_THE_END: bool = true;

    fn read(&mut self, data: &str) -> Result<Said, ProviderError> {
        if data.trim() == "[DONE]" {
            return Ok(Said { over: true, ..Said::default() });
        }
        let chunk: Chunk = serde_json::from_str(data).map_err(|_| ProviderError::Invalid)?;
        if let Some(error) = chunk.error {
            return Err(Complaint::new(&error).midway());
        }
        let usage = chunk
            .usage
            .map(|usage| Tokens { input: usage.prompt_tokens, output: usage.completion_tokens });
        let mut said = Said { usage: usage.unwrap_or_default(), ..Said::default() };
        // One answer was asked for.
        let Some(choice) = chunk.choices.and_then(|choices| choices.into_iter().next()) else {
            return Ok(said);
        };
        if let Some(delta) = choice.delta {
            said.text = delta.content.unwrap_or_default();
            self.is_refused |= delta.refusal.is_some_and(|refusal| !refusal.is_empty());
        }
        said.reason = choice.finish_reason.map(|reason| match reason.as_str() {
            _ if self.is_refused => Finish::Filtered,
            "length" => Finish::Length,
            "content_filter" => Finish::Filtered,
            _ => Finish::Stop,
        });
        Ok(said)
    }
}
