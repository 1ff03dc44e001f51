//! What a client asks, as OpenAI's API has it. What is not known is ignored, as its clients expect; what
//! would change the answer and is not there is refused.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::stream::UsagePlace;
use crate::clients::llm::{self, Role, Task};
use crate::error::{Problem, Result};
use crate::models::Model;

/// Messages of a conversation.
const MESSAGES: usize = 1000;
/// What may end an answer, at most.
const STOPS: usize = 4;

/// A conversation to go on with.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct Completion {
    /// A model of the list, or `auto`.
    #[schema(example = "auto")]
    pub(super) model: Option<String>,
    /// What was said so far: by `system` or `developer`, `user` and `assistant`.
    messages: Vec<Prompt>,
    /// Whether the answer is to come as it is written, in server-sent events.
    #[serde(default)]
    pub(super) stream: Option<bool>,
    /// What the events are to tell besides.
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    /// The longest answer, in tokens.
    max_completion_tokens: Option<u32>,
    /// The same, by its older name.
    max_tokens: Option<u32>,
    /// 0 to 2.
    temperature: Option<f64>,
    /// 0 to 1.
    top_p: Option<f64>,
    /// One text that ends the answer, or up to four.
    stop: Option<Stop>,
    /// One.
    n: Option<u32>,
    /// None: functions are not called.
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Vec<Value>>,
    /// `{"type": "text"}`.
    #[schema(value_type = Option<Object>)]
    response_format: Option<Value>,
}

/// What events tell besides the answer.
#[derive(Serialize, Deserialize, ToSchema)]
struct StreamOptions {
    /// Whether what was used comes in an event of its own, without a choice; else the last event with a
    /// choice has it.
    #[serde(default)]
    include_usage: Option<bool>,
}

/// Something said.
#[derive(Serialize, Deserialize, ToSchema)]
struct Prompt {
    role: String,
    content: Content,
}

/// A text, or several parts of it.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A part of a text.
#[derive(Serialize, Deserialize, ToSchema)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

/// What ends an answer.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
enum Stop {
    One(String),
    Several(Vec<String>),
}

impl Completion {
    /// Where a stream tells what was used.
    pub(super) fn usage_place(&self) -> UsagePlace {
        match self.stream_options.as_ref().and_then(|options| options.include_usage) {
            Some(true) => UsagePlace::Apart,
            _ => UsagePlace::AtTheEnd,
        }
    }

    /// What a model is asked.
    pub(super) fn request(&self, model: &Model) -> Result<llm::Request> {
        self.check()?;
        let most =
            self.max_completion_tokens.or(self.max_tokens).unwrap_or(model.max_output_tokens);
        let stop = match &self.stop {
            None => vec![],
            Some(Stop::One(stop)) => vec![stop.clone()],
            Some(Stop::Several(stops)) => stops.clone(),
        };
        if stop.len() > STOPS || stop.iter().any(String::is_empty) {
            return Err(Problem::field(
                "stop",
                format!("must be at most {STOPS} texts, none empty"),
            ));
        }
        Ok(llm::Request {
            task: Task::Chat,
            messages: self.said()?,
            max_output_tokens: most.min(model.max_output_tokens),
            temperature: self.temperature,
            top_p: self.top_p,
            stop,
        })
    }

    fn said(&self) -> Result<Vec<llm::Message>> {
        if self.messages.is_empty() || self.messages.len() > MESSAGES {
            return Err(Problem::field("messages", format!("must be 1 to {MESSAGES}")));
        }
        let said = self.messages.iter().enumerate();
        let said = said.map(|(place, said)| said.message(place)).collect::<Result<Vec<_>>>()?;
        if said.iter().all(|message| message.role != Role::User) {
            return Err(Problem::field("messages", "one of them must be of the role user"));
        }
        Ok(said)
    }

    fn check(&self) -> Result<()> {
        let not_there = |field, detail: &str| Err(Problem::field(field, detail));
        if self.max_completion_tokens == Some(0) {
            return not_there("max_completion_tokens", "must be at least 1");
        }
        if self.max_tokens == Some(0) {
            return not_there("max_tokens", "must be at least 1");
        }
        if self.n.is_some_and(|n| n != 1) {
            return not_there("n", "must be 1: ask again for another answer");
        }
        if self.tools.as_ref().is_some_and(|tools| !tools.is_empty()) {
            return not_there("tools", "functions are not called: leave it out");
        }
        let is_text = |format: &Value| {
            format.is_object() && format.get("type").is_none_or(|kind| kind == "text")
        };
        if !self.response_format.as_ref().is_none_or(is_text) {
            return not_there("response_format", "must be {\"type\": \"text\"}, or left out");
        }
        if self.temperature.is_some_and(|value| !(0.0..=2.0).contains(&value)) {
            return not_there("temperature", "must be between 0 and 2");
        }
        if self.top_p.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            return not_there("top_p", "must be between 0 and 1");
        }
        Ok(())
    }
}

impl Prompt {
    fn message(&self, place: usize) -> Result<llm::Message> {
        let role = match self.role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => {
                let remedy = "must be system, developer, user or assistant";
                return Err(Problem::field(format!("messages[{place}].role"), remedy));
            }
        };
        let text = match &self.content {
            Content::Text(text) => text.clone(),
            Content::Parts(parts) => {
                let texts = parts.iter().map(|part| match (part.kind.as_str(), &part.text) {
                    ("text", Some(text)) => Ok(text.as_str()),
                    _ => Err(Problem::field(
                        format!("messages[{place}].content"),
                        "must be text: images and sound are not understood",
                    )),
                });
                texts.collect::<Result<Vec<_>>>()?.concat()
            }
        };
        Ok(llm::Message { role, text })
    }
}
