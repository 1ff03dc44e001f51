//! Why an answer does not come to its end, and what is told of that.

use axum::http::StatusCode;

use crate::clients::llm::ProviderError;
use crate::error::Problem;

/// Why an answer goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The provider failed.
    Provider(ProviderError),
    /// The log did not take that more is held; whether the wallet has it, nobody knows.
    Unheld,
}

impl Broken {
    /// What a client is told where nothing was charged.
    #[must_use]
    pub fn problem(&self) -> Problem {
        self.told("nothing was charged")
    }

    /// The same, where what came before it was charged.
    pub(super) fn problem_of_the_rest(&self) -> Problem {
        self.told("what was delivered until then was charged")
    }

    fn told(&self, charged: &str) -> Problem {
        match self {
            Self::Provider(error) => provider_failed(error, charged),
            Self::Unheld => {
                Problem::busy(format!("no credits could be held for more of the answer; {charged}"))
            }
        }
    }
}

impl From<ProviderError> for Broken {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

fn provider_failed(error: &ProviderError, charged: &str) -> Problem {
    let mut problem = match error {
        ProviderError::Refused => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "provider_refused",
            format!("the AI provider refuses this text; {charged}"),
        ),
        ProviderError::Unsupported(field) => Problem::field(
            *field,
            format!("this model does not take it: leave it out, or name another model; {charged}"),
        ),
        ProviderError::Unavailable { .. }
        | ProviderError::Misconfigured(_)
        | ProviderError::Invalid
        | ProviderError::CutShort
        | ProviderError::TimedOut => Problem::new(
            StatusCode::BAD_GATEWAY,
            "provider_failed",
            format!("the AI provider failed; {charged}"),
        ),
    };
    if let ProviderError::Unavailable { retry_after } = error {
        problem.retry_after = *retry_after;
    }
    problem.cause = Some(error.to_string());
    problem
}
