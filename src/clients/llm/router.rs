//! Whom to ask: the routes of a model in their order, until one begins to answer.

use std::sync::Arc;

use aggregates::wallet::OpenHold;

use super::{Answer, LlmProvider, ProviderError, Request};

/// A provider, and what it calls the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The provider's name.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
}

/// An answer, and whose it is.
pub struct Answering {
    /// Who answers.
    pub provider: &'static str,
    /// The provider's name of the model that answers.
    pub model: String,
    /// Whether the provider stops charging where nobody reads on.
    pub stops_when_left: bool,
    /// The answer.
    pub answer: Answer,
}

/// The providers that are configured; cheap to clone.
#[derive(Clone)]
pub struct Llm(Arc<Vec<Box<dyn LlmProvider>>>);

impl Llm {
    /// These providers.
    #[must_use]
    pub fn new(providers: Vec<Box<dyn LlmProvider>>) -> Self {
        Self(Arc::new(providers))
    }

    /// Whether the provider of this name is configured.
    #[must_use]
    pub fn has(&self, provider: &str) -> bool {
        self.0.iter().any(|known| known.name() == provider)
    }

    /// Asks the first route that answers.
    pub async fn answer(
        &self,
        hold: &OpenHold,
        routes: &[Route],
        request: &Request,
    ) -> Result<Answering, ProviderError> {
        let mut last = ProviderError::Unavailable { retry_after: None };
        for route in routes {
            let known = self.0.iter().find(|provider| provider.name() == route.provider);
            let Some(provider) = known else { continue };
            match provider.answer(hold, &route.model, request).await {
                Ok(answer) => {
                    return Ok(Answering {
                        provider: provider.name(),
                        model: route.model.clone(),
                        stops_when_left: provider.stops_when_left(),
                        answer,
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
