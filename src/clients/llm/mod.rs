//! AI providers, behind one trait: an answer is a stream of text, of what was used so far, and of its
//! explicit end. A stream that ends without one was cut short, which is a failure; what the provider had
//! told until then was told.

mod anthropic;
mod breaker;
mod caller;
mod complaint;
mod gemini;
mod instructions;
mod ladder;
mod local;
mod openai;
mod patience;
mod reading;
mod retry_after;
mod router;

use aggregates::wallet::OpenHold;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

pub use anthropic::{ANTHROPIC, Anthropic};
pub use breaker::{BreakerSettings, BreakerState};
pub use caller::{Endpoint, SettingsError};
pub use gemini::{GEMINI, Gemini};
pub use ladder::{LADDER, Ladder};
pub use local::Local;
pub use openai::{OPENAI, OpenAi};
pub use patience::{ANSWER, Patience};
pub use router::{Answering, Llm, ProviderHealth, Route};

/// All providers that there are, by their names in routes.
pub const PROVIDERS: [&str; 4] = ["local", "gemini", "anthropic", "openai"];

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Go on with a conversation.
    Chat,
    /// Say a text shorter: the answer is JSON.
    Summarize,
    /// Say what a text is like: the answer is JSON.
    Analyze,
}

impl Task {
    /// The task's name, in routes and reasons.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Summarize => "summarize",
            Self::Analyze => "analyze",
        }
    }

    /// The task of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Chat, Self::Summarize, Self::Analyze].into_iter().find(|task| task.name() == name)
    }
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Whoever sets the rules.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// Something said.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// By whom.
    pub role: Role,
    /// What.
    pub text: String,
}

/// What a model is asked. Never printed: it is personal data.
#[derive(Clone)]
pub struct Request {
    /// What is to be done.
    pub task: Task,
    /// What was said so far; the last by the person.
    pub messages: Vec<Message>,
    /// The most tokens that may be written.
    pub max_output_tokens: u32,
    /// How freely, where the caller says: 0 to 2.
    pub temperature: Option<f64>,
    /// From how much of what is likely, where the caller says: 0 to 1.
    pub top_p: Option<f64>,
    /// What ends the answer when the model writes it.
    pub stop: Vec<String>,
}

/// Tokens used so far. Missing and zero are different: what the provider does not say is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Read.
    pub input: Option<u64>,
    /// Written, thoughts included where they are charged.
    pub output: Option<u64>,
}

impl Tokens {
    /// These, and then what was said later: what is not said then stands as it was.
    #[must_use]
    pub fn then(self, later: Self) -> Self {
        Self { input: later.input.or(self.input), output: later.output.or(self.output) }
    }

    /// As far as they are at most so many.
    fn within(self, most: u64) -> Self {
        let within = |tokens: &u64| *tokens <= most;
        Self { input: self.input.filter(within), output: self.output.filter(within) }
    }
}

/// Why an answer is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It was said.
    Stop,
    /// It was as long as it may be.
    Length,
    /// The provider does not go on for what is said.
    Filtered,
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// More text.
    Text(String),
    /// What was used so far, in the place of what was told before: what is not said now stands as it was.
    Usage(Tokens),
    /// The end, once.
    Finished(Finish),
}

/// An answer as it comes. After `Finished`, or an error, nothing comes.
pub type Answer = BoxStream<'static, Result<Piece, ProviderError>>;

/// Why a provider delivered nothing, or not all, by what the caller should do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// Our key or our request is not good: an operator has to look.
    #[error("the provider refuses the request: {0}")]
    Misconfigured(String),
    /// The model does not take this of a request: leave it out, or ask another.
    #[error("the model does not take {0}")]
    Unsupported(&'static str),
    /// The answer is not usable.
    #[error("the provider's answer is not usable")]
    Invalid,
    /// The answer ended before its end.
    #[error("the provider's answer was cut short")]
    CutShort,
    /// The provider took too long.
    #[error("the provider took too long")]
    TimedOut,
}

/// Somebody who answers.
pub trait LlmProvider: Send + Sync {
    /// The provider's name, in routes.
    fn name(&self) -> &'static str;

    /// Whether it stops charging where nobody reads on. What of others is not read to its end is charged
    /// to us all the same.
    fn stops_when_left(&self) -> bool;

    /// Begins an answer of this model of the provider's. Nobody is asked for free: there is an open hold.
    fn answer<'a>(
        &'a self,
        hold: &'a OpenHold,
        model: &'a str,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Answer, ProviderError>>;
}
