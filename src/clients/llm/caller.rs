//! How a provider is asked: one request, whose refusal says what should follow.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::complaint::Complaint;
use super::patience::Patience;
use super::reading::{self, Wire};
use super::{Answer, ProviderError, retry_after};
use crate::clock;
use crate::traces::{self, TRACEPARENT, TRACES};

/// The longest refusal that is read, in bytes; usual ones have some hundreds.
const LONGEST_REFUSAL: usize = 64 * 1024;

/// Where a provider is, and what it knows us by.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Below which its API is.
    pub base: Url,
    /// Our key, where it wants one.
    pub key: Option<SecretString>,
}

/// Why a provider cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The key cannot be sent in a header.
    #[error("the key of {0} has characters that no key has: set it again, on one line")]
    Key(&'static str),
    /// The HTTP client cannot be made.
    #[error("no HTTP client can be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// Asks one provider.
pub(super) struct Caller {
    provider: &'static str,
    http: Client,
    patience: Patience,
}

impl Caller {
    /// Asks the provider with these headers: names, and values before the key.
    pub(super) fn new(
        provider: &'static str,
        key: Option<&SecretString>,
        (name, before): (&'static str, &str),
        patience: Patience,
    ) -> Result<Self, SettingsError> {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let value = format!("{before}{}", key.expose_secret().trim());
            let mut value =
                HeaderValue::from_str(&value).map_err(|_| SettingsError::Key(provider))?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        // The key is sent where the settings say, and nowhere else.
        let http = crate::clients::http()
            .default_headers(headers)
            .redirect(redirect::Policy::none())
            .connect_timeout(patience.connecting)
            .build()?;
        Ok(Self { provider, http, patience })
    }

    pub(super) fn post(&self, url: Url, body: &Value) -> RequestBuilder {
        self.http.post(url).header("accept", "text/event-stream").json(body)
    }

    /// Asks, and reads the answer as it comes.
    pub(super) async fn ask<W: Wire>(
        &self,
        request: RequestBuilder,
        wire: W,
    ) -> Result<Answer, ProviderError> {
        let asked = Instant::now();
        let span = self.span();
        let request = match traces::traceparent(&span) {
            Some(trace) => request.header(TRACEPARENT, trace),
            None => request,
        };
        let begun = self.begin(request).instrument(span);
        let begun = timeout_at(asked + self.patience.first_event, begun).await;
        let response = begun.unwrap_or(Err(ProviderError::TimedOut))?;
        Ok(reading::answer(response, wire, asked, self.patience))
    }

    /// The question's part of a trace: until the provider begins to answer.
    fn span(&self) -> Span {
        tracing::info_span!(
            target: TRACES,
            "ask",
            otel.name = %format_args!("ask {}", self.provider),
            otel.kind = "client",
            gen_ai.provider.name = self.provider,
            http.response.status_code = Empty,
        )
    }

    async fn begin(&self, request: RequestBuilder) -> Result<Response, ProviderError> {
        // The request did not arrive, or was not answered: it broke before there was a status.
        let unavailable = ProviderError::Unavailable { retry_after: None };
        let response = request.send().await.map_err(|error| {
            let error = error.without_url();
            tracing::debug!(provider = self.provider, %error, "a provider cannot be reached");
            unavailable
        })?;
        Span::current().record("http.response.status_code", response.status().as_u16());
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        match kind {
            Some(kind) if !kind.starts_with(b"text/event-stream") => Err(ProviderError::Invalid),
            _ => Ok(response),
        }
    }

    async fn refusal(&self, response: Response) -> ProviderError {
        let status = response.status().as_u16();
        let retry_after = retry_after::seconds(response.headers(), clock::now());
        let body = read(response).await;
        Complaint::in_body(&body).refused(status, retry_after)
    }
}

/// What there is of a refusal's body; what is too long says nothing.
async fn read(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        if body.len() + chunk.len() > LONGEST_REFUSAL {
            return Vec::new();
        }
        body.extend_from_slice(&chunk);
    }
    body
}

/// The place of a provider's API: below a base that may name the version, or not.
pub(super) fn versioned(base: &Url, version: &str) -> Url {
    let last = base.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let is_version = last.len() > 1
        && last.starts_with('v')
        && last[1..].starts_with(|c: char| c.is_ascii_digit());
    if is_version { base.clone() } else { crate::clients::address::below(base, version) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(base: &str) -> String {
        versioned(&Url::parse(base).expect("a URL"), "v1").to_string()
    }

    #[test]
    fn the_version_stands_in_the_path_once() {
        assert_eq!(place("https://api.example"), "https://api.example/v1");
        assert_eq!(place("https://api.example/v1"), "https://api.example/v1");
        assert_eq!(place("https://api.example/proxy/v1beta/"), "https://api.example/proxy/v1beta/");
        assert_eq!(place("https://api.example/voices/"), "https://api.example/voices/v1");
    }

    #[test]
    fn a_key_of_two_lines_is_refused_by_a_sentence_without_it() {
        let key = SecretString::from("sk-one\nsk-two");
        let made =
            Caller::new("openai", Some(&key), ("authorization", "Bearer "), Patience::default());
        let said = made.err().expect("a refusal").to_string();
        assert!(said.contains("openai") && !said.contains("sk-"), "{said}");
    }
}
