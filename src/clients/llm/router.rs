//! Whom to ask: the routes of a model in their order, until one begins to answer. Nobody else is asked
//! once there is text: an answer is of one model.

use std::sync::Arc;
use std::time::Instant;

use aggregates::wallet::OpenHold;
use futures_util::{StreamExt, stream};

use super::breaker::{Breaker, BreakerState};
use super::ladder::Ladder;
use super::{Answer, LlmProvider, Piece, ProviderError, Request};
use crate::counters::Tally;

/// A provider, and what it calls the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The provider's name.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
}

/// An answer that has begun, and whose it is.
pub struct Answering {
    /// Who answers.
    pub provider: &'static str,
    /// The provider's name of the model that answers.
    pub model: String,
    /// Whether the provider stops charging where nobody reads on.
    pub stops_when_left: bool,
    /// The answer, from its beginning.
    pub answer: Answer,
}

/// How a provider is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderHealth {
    /// The provider's name.
    pub provider: &'static str,
    /// Whether it is asked.
    pub state: BreakerState,
    /// How often in a row it has failed.
    pub failures: u32,
}

/// The providers that are configured; cheap to clone.
#[derive(Clone)]
pub struct Llm(Arc<Known>);

struct Known {
    providers: Vec<Watched>,
    ladder: Ladder,
    calls: Tally<3>,
}

struct Watched {
    provider: Box<dyn LlmProvider>,
    breaker: Breaker,
}

impl Llm {
    /// These providers.
    #[must_use]
    pub fn new(providers: Vec<Box<dyn LlmProvider>>) -> Self {
        Self::with(providers, Ladder::default())
    }

    /// These providers, asked in this way.
    #[must_use]
    pub fn with(providers: Vec<Box<dyn LlmProvider>>, ladder: Ladder) -> Self {
        let watch = |provider| Watched { provider, breaker: Breaker::new(ladder.breaker) };
        let providers = providers.into_iter().map(watch).collect();
        Self(Arc::new(Known { providers, ladder, calls: Tally::default() }))
    }

    /// Whether the provider of this name is configured.
    #[must_use]
    pub fn has(&self, provider: &str) -> bool {
        self.find(provider).is_some()
    }

    /// Whether all who could answer stop charging where nobody reads on.
    #[must_use]
    pub fn stops_when_left(&self, routes: &[Route]) -> bool {
        let mut known = routes.iter().filter_map(|route| self.find(&route.provider));
        known.all(|watched| watched.provider.stops_when_left())
    }

    /// How the providers are doing, by what the last calls met.
    #[must_use]
    pub fn health(&self) -> Vec<ProviderHealth> {
        let now = Instant::now();
        let health = |watched: &Watched| ProviderHealth {
            provider: watched.provider.name(),
            state: watched.breaker.state(now),
            failures: watched.breaker.failures(),
        };
        self.0.providers.iter().map(health).collect()
    }

    /// How often providers were asked, by provider, model and what came of it: `answered` once an answer had
    /// begun, `refused` where the text was, `unsupported` where what it was asked with was, `misconfigured`, or `failed`.
    #[must_use]
    pub fn calls(&self) -> &Tally<3> {
        &self.0.calls
    }

    /// Asks the routes in their order until one begins to answer, each several times where that may help,
    /// within [`Ladder::within`]. Routes of providers that are not configured are passed over.
    ///
    /// # Errors
    ///
    /// [`ProviderError::Refused`] by the first that refuses the text; else why the last one failed.
    pub async fn answer(
        &self,
        hold: &OpenHold,
        routes: &[Route],
        request: &Request,
    ) -> Result<Answering, ProviderError> {
        let climbing = self.climb(hold, routes, request);
        let answering = tokio::time::timeout(self.0.ladder.within, climbing).await;
        answering.unwrap_or(Err(ProviderError::TimedOut))
    }

    async fn climb(
        &self,
        hold: &OpenHold,
        routes: &[Route],
        request: &Request,
    ) -> Result<Answering, ProviderError> {
        let mut last = None;
        for route in routes {
            let Some(watched) = self.find(&route.provider) else { continue };
            match self.ask(watched, hold, route, request).await {
                Err(error) if error != ProviderError::Refused => last = Some(error),
                ended => return ended,
            }
        }
        Err(last.unwrap_or_else(|| {
            tracing::error!("no provider of a model's routes is configured");
            ProviderError::Misconfigured("none of the model's providers is configured".to_owned())
        }))
    }

    /// Asks one route, several times where that may help.
    async fn ask(
        &self,
        watched: &Watched,
        hold: &OpenHold,
        route: &Route,
        request: &Request,
    ) -> Result<Answering, ProviderError> {
        let mut times = 0;
        loop {
            let asked = watched.ask_once(hold, &route.model, request).await;
            self.0.calls.add([&route.provider, &route.model, outcome(&asked)], 1);
            let error = match asked {
                Ok(answering) => return Ok(answering),
                Err(error) => error,
            };
            times += 1;
            report(route, times, &error);
            let pause = self.0.ladder.pause_after(times, &error);
            tokio::time::sleep(pause.ok_or(error)?).await;
        }
    }

    fn find(&self, provider: &str) -> Option<&Watched> {
        self.0.providers.iter().find(|watched| watched.provider.name() == provider)
    }
}

impl Watched {
    async fn ask_once(
        &self,
        hold: &OpenHold,
        model: &str,
        request: &Request,
    ) -> Result<Answering, ProviderError> {
        let leave = self.breaker.leave(Instant::now())?;
        let begun = match self.provider.answer(hold, model, request).await {
            Ok(answer) => begun(answer).await,
            Err(error) => Err(error),
        };
        match &begun {
            Ok(_) | Err(ProviderError::Refused | ProviderError::Misconfigured(_)) => {
                leave.answered();
            }
            // Maybe it was not even asked.
            Err(ProviderError::Unsupported(_)) => drop(leave),
            Err(ProviderError::Unavailable { retry_after }) => {
                leave.failed(Instant::now(), *retry_after);
            }
            Err(ProviderError::Invalid | ProviderError::CutShort | ProviderError::TimedOut) => {
                leave.failed(Instant::now(), None);
            }
        }
        begun.map(|answer| Answering {
            provider: self.provider.name(),
            model: model.to_owned(),
            stops_when_left: self.provider.stops_when_left(),
            answer,
        })
    }
}

/// The answer once it has text, or is whole without; nothing of it is lost.
async fn begun(mut answer: Answer) -> Result<Answer, ProviderError> {
    let mut seen = Vec::new();
    loop {
        let piece = answer.next().await.unwrap_or(Err(ProviderError::CutShort))?;
        let begins = matches!(piece, Piece::Text(_) | Piece::Finished(_));
        seen.push(Ok(piece));
        if begins {
            return Ok(stream::iter(seen).chain(answer).boxed());
        }
    }
}

/// What came of asking, in a word.
fn outcome(asked: &Result<Answering, ProviderError>) -> &'static str {
    match asked {
        Ok(_) => "answered",
        Err(ProviderError::Refused) => "refused",
        Err(ProviderError::Unsupported(_)) => "unsupported",
        Err(ProviderError::Misconfigured(_)) => "misconfigured",
        Err(
            ProviderError::Unavailable { .. }
            | ProviderError::Invalid
            | ProviderError::CutShort
            | ProviderError::TimedOut,
        ) => "failed",
    }
}

fn report(route: &Route, times: u32, error: &ProviderError) {
    let Route { provider, model } = route;
    match error {
        ProviderError::Misconfigured(_) => {
            tracing::error!(provider, model, %error, "an AI provider is not set up well");
        }
        ProviderError::Refused => tracing::info!(provider, model, "an AI provider refuses a text"),
        ProviderError::Unsupported(what) => {
            tracing::info!(provider, model, what, "a model does not take a parameter");
        }
        _ => tracing::warn!(provider, model, times, %error, "an AI provider failed"),
    }
}
