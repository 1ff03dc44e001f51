//! Calls to a provider, with limits: none is redirected, takes for ever, or fills the memory.

use std::time::Duration;

use futures_util::future::BoxFuture;
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Request, StatusCode, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::error::OauthError;
use super::provider::Provider;

/// The longest body that is read: the longest that is known, a set of keys, has some kilobytes.
const LONGEST: usize = 256 * 1024;
/// GitHub answers nobody without a name.
const USER_AGENT: &str = "saldo";

/// An HTTP client for one provider.
#[derive(Clone)]
pub(super) struct Http {
    provider: Provider,
    client: Client,
}

/// What stands in an answer that refuses.
#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "error")]
    _error: IgnoredAny,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Of a type with a name: what borrows from a closure could not be sent to another thread.
impl<'c> AsyncHttpClient<'c> for Http {
    type Error = OauthError;
    type Future = BoxFuture<'c, Result<HttpResponse, OauthError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.post(request))
    }
}

impl Http {
    pub(super) fn new(provider: Provider, timeout: Duration) -> reqwest::Result<Self> {
        let client = crate::clients::http()
            .redirect(redirect::Policy::none())
            .timeout(timeout)
            .user_agent(USER_AGENT)
            .build()?;
        Ok(Self { provider, client })
    }

    /// What an address has, as JSON; with an access token, what it has for a person.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        url: Url,
        accept: &str,
        access: Option<&SecretString>,
    ) -> Result<T, OauthError> {
        let mut request = self.client.get(url).header(ACCEPT, accept);
        if let Some(access) = access {
            request = request.bearer_auth(access.expose_secret());
        }
        let request = request.build().map_err(|_| self.unusable())?;
        let answer = self.send(request).await?;
        match answer.status {
            StatusCode::OK => serde_json::from_slice(&answer.body).map_err(|_| self.unusable()),
            StatusCode::UNAUTHORIZED => Err(OauthError::Unauthorized(self.provider)),
            StatusCode::FORBIDDEN => {
                Err(OauthError::Refused(self.provider, "its API is not open to the token it gave"))
            }
            _ => Err(self.unusable()),
        }
    }

    /// Sends what `oauth2` wrote.
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, OauthError> {
        let request = Request::try_from(request).map_err(|_| self.unusable())?;
        let mut answer = self.send(request).await?;
        // GitHub refuses with 200.
        let refused = serde_json::from_slice::<Refusal>(&answer.body).is_ok();
        if refused && answer.status == StatusCode::OK {
            answer.status = StatusCode::BAD_REQUEST;
        }
        let mut response = HttpResponse::new(answer.body);
        *response.status_mut() = answer.status;
        if let Some(kind) = answer.headers.remove(CONTENT_TYPE) {
            response.headers_mut().insert(CONTENT_TYPE, kind);
        }
        Ok(response)
    }

    async fn send(&self, request: Request) -> Result<Answer, OauthError> {
        let mut response = self.client.execute(request).await.map_err(|e| self.unavailable(e))?;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            tracing::warn!(provider = %self.provider, status = status.as_u16(), "a provider fails");
            return Err(OauthError::Unavailable(self.provider));
        }
        if status.is_redirection() {
            return Err(self.unusable());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unavailable(e))? {
            if body.len() + chunk.len() > LONGEST {
                return Err(self.unusable());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers: std::mem::take(response.headers_mut()), body })
    }

    pub(super) fn unusable(&self) -> OauthError {
        OauthError::Unusable(self.provider)
    }

    fn unavailable(&self, error: reqwest::Error) -> OauthError {
        let error = error.without_url();
        let error: &dyn std::error::Error = &error;
        tracing::warn!(provider = %self.provider, error, "a provider does not answer");
        OauthError::Unavailable(self.provider)
    }
}
