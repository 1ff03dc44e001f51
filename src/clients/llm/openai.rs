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
        // Of those that think it refuses what is not their own choice.
        let is_free = !(self.is_genuine && thinks(model));
        if let Some(temperature) = request.temperature.filter(|_| is_free) {
            body["temperature"] = temperature.into();
        }
        if let Some(top_p) = request.top_p.filter(|_| is_free) {
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

/// Whether a model of OpenAI's thinks before it answers, so that how freely it writes cannot be set.
fn thinks(model: &str) -> bool {
    let is_of = |family: &str| {
        model.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let chats = model.starts_with("gpt-5-chat");
    !chats && ["gpt-5", "o1", "o3", "o4"].into_iter().any(is_of)
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
        // Some that are compatible say none with an empty word.
        let reason = choice.finish_reason.filter(|reason| !reason.is_empty());
        said.reason = reason.map(|reason| match reason.as_str() {
            _ if self.is_refused => Finish::Filtered,
            "length" => Finish::Length,
            "content_filter" => Finish::Filtered,
            _ => Finish::Stop,
        });
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::llm::Task;

    fn body(base: &str, model: &str) -> Value {
        let endpoint = Endpoint { base: base.parse().expect("an address"), key: None };
        let provider = OpenAi::new(&endpoint, Patience::default()).expect("good settings");
        let request = Request {
            task: Task::Chat,
            messages: vec![],
            max_output_tokens: 1,
            temperature: Some(0.5),
            top_p: Some(0.5),
            stop: vec![],
        };
        provider.body(model, &request)
    }

    #[test]
    fn models_that_think_are_not_told_how_freely() {
        for (base, model, is_told) in [
            (OPENAI, "gpt-5", false),
            (OPENAI, "gpt-5-mini-2025-08-07", false),
            (OPENAI, "o3", false),
            (OPENAI, "gpt-5-chat-latest", true),
            (OPENAI, "gpt-5.1", true),
            (OPENAI, "gpt-4.1", true),
            ("http://localhost/v1", "gpt-5", true),
        ] {
            let body = body(base, model);
            for name in ["temperature", "top_p"] {
                assert_eq!(body.get(name).is_some(), is_told, "{model}: {body}");
            }
        }
    }
}
