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
/// What whoever wants functions called is told, by any name of them.
const NO_FUNCTIONS: &str = "functions are not called: leave it out";

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
    /// None: the same, by its older name.
    #[schema(value_type = Option<Vec<Object>>)]
    functions: Option<Value>,
    /// `none`.
    #[schema(value_type = Option<String>)]
    function_call: Option<Value>,
    /// `["text"]`.
    #[schema(value_type = Option<Vec<String>>)]
    modalities: Option<Value>,
    /// None: sound is not made.
    #[schema(value_type = Option<Object>)]
    audio: Option<Value>,
    /// `false`.
    #[schema(value_type = Option<bool>)]
    logprobs: Option<Value>,
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
    #[schema(value_type = Content)]
    content: Option<Content>,
    /// None: functions are not called.
    #[schema(value_type = Option<Vec<Object>>)]
    tool_calls: Option<Value>,
    /// None: the same, by its older name.
    #[schema(value_type = Option<Object>)]
    function_call: Option<Value>,
}

/// A text, or several parts of it.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be a text, or a list of parts of the type text")]
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
#[serde(untagged, expecting = "must be a text, or a list of at most 4 texts")]
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
        self.refuse()
    }

    /// What would be answered otherwise than was asked for, and charged.
    fn refuse(&self) -> Result<()> {
        let is_none = |call: &Value| call == "none";
        let is_text = |kinds: &Value| {
            kinds.as_array().is_some_and(|kinds| kinds.iter().all(|kind| kind == "text"))
        };
        let is_false = |wanted: &Value| wanted.as_bool() == Some(false);
        let is_fine = [
            ("tools", self.tools.as_ref().is_none_or(Vec::is_empty), NO_FUNCTIONS),
            ("functions", self.functions.as_ref().is_none_or(is_empty), NO_FUNCTIONS),
            ("function_call", self.function_call.as_ref().is_none_or(is_none), NO_FUNCTIONS),
            (
                "modalities",
                self.modalities.as_ref().is_none_or(is_text),
                "must be [\"text\"], or left out",
            ),
            ("audio", self.audio.is_none(), "sound is not made: leave it out"),
            (
                "logprobs",
                self.logprobs.as_ref().is_none_or(is_false),
                "probabilities are not told: must be false, or left out",
            ),
        ];
        match is_fine.into_iter().find(|(_, is_fine, _)| !is_fine) {
            Some((field, _, detail)) => Err(Problem::field(field, detail)),
            None => Ok(()),
        }
    }
}

fn is_empty(list: &Value) -> bool {
    list.as_array().is_some_and(Vec::is_empty)
}

impl Prompt {
    fn message(&self, place: usize) -> Result<llm::Message> {
        let wrong = |field, remedy| Problem::field(format!("messages[{place}].{field}"), remedy);
        let role = match self.role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" | "function" => {
                return Err(wrong("role", "functions are not called: leave the message out"));
            }
            _ => return Err(wrong("role", "must be system, developer, user or assistant")),
        };
        if !self.tool_calls.as_ref().is_none_or(is_empty) {
            return Err(wrong("tool_calls", NO_FUNCTIONS));
        }
        if self.function_call.is_some() {
            return Err(wrong("function_call", NO_FUNCTIONS));
        }
        let Some(content) = &self.content else {
            let remedy = "must be there: a text, or a list of parts of the type text";
            return Err(wrong("content", remedy));
        };
        let remedy = "must be text: images and sound are not understood";
        let text = content.text().ok_or_else(|| wrong("content", remedy))?;
        Ok(llm::Message { role, text })
    }
}

impl Content {
    /// The text; none where some of it is none.
    fn text(&self) -> Option<String> {
        let parts = match self {
            Self::Text(text) => return Some(text.clone()),
            Self::Parts(parts) => parts,
        };
        let texts = parts.iter().map(|part| part.text.as_deref().filter(|_| part.kind == "text"));
        Some(texts.collect::<Option<Vec<_>>>()?.concat())
    }
}
