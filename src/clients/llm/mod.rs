//! AI providers, behind one trait.

mod local;

use futures_util::future::BoxFuture;
use serde_json::Value;

pub use local::Local;

/// What is to be done with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Say it shorter.
    Summarize,
    /// Say what it is like.
    Analyze,
}

impl Task {
    /// The task's name, in routes and reasons.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Summarize => "summarize",
            Self::Analyze => "analyze",
        }
    }
}

/// A text, and what is to be done with it.
#[derive(Clone)]
pub struct Request {
    /// What is to be done.
    pub task: Task,
    /// With which text.
    pub text: String,
}

/// What a provider delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The answer.
    pub result: Value,
    /// Which model answered.
    pub model: String,
    /// Tokens read, where the provider says.
    pub input_tokens: Option<u64>,
    /// Tokens written, where the provider says.
    pub output_tokens: Option<u64>,
}

/// Why a provider delivered nothing, by what the caller should do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProviderError {
    /// Try again, after so many seconds where the provider says.
    #[error("the provider is not available")]
    Unavailable {
        /// Seconds.
        retry_after: Option<u32>,
    },
    /// Do not try again: the provider will not work on this text.
    #[error("the provider refuses the text")]
    Refused,
    /// The answer is not usable.
    #[error("the provider's answer is not usable")]
    Invalid,
    /// The provider took too long.
    #[error("the provider took too long")]
    TimedOut,
}

/// Somebody who works on texts.
pub trait LlmProvider: Send + Sync {
    /// The provider's name.
    fn name(&self) -> &'static str;

    /// Does a task.
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ProviderError>>;
}
