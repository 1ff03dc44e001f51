//! What all three have in common: people are asked, codes and refresh tokens are exchanged (RFC 6749,
//! with PKCE of RFC 7636).

use std::borrow::Cow;

use chrono::TimeDelta;
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AccessToken, AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret,
    EndpointNotSet, EndpointSet, ExtraTokenFields, RedirectUrl, RefreshToken, RequestTokenError,
    Scope, StandardRevocableToken, StandardTokenResponse, TokenResponse, TokenUrl,
};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, Callback};
use super::error::{Lie, OauthError};
use super::http::Http;
use super::profile::ProviderTokens;
use super::provider::Provider;
use super::settings::ProviderSettings;
use crate::clock;

/// A scope that makes the request one of OpenID Connect, which has a nonce.
const OPENID: &str = "openid";

/// How a provider wants to be asked.
pub(super) struct Manner {
    /// What the access token is to be good for.
    pub(super) scopes: &'static [&'static str],
    /// What else the provider wants to hear.
    pub(super) extra: &'static [(&'static str, &'static str)],
    /// Where the client's id and secret go.
    pub(super) auth: AuthType,
}

/// What the provider calls itself in callbacks (RFC 9207).
pub(super) enum Name {
    /// Nobody knows.
    Unknown,
    /// This, should it say.
    Perhaps(String),
    /// This, and it always says.
    Always(String),
}

/// Where a provider asks people, and exchanges what they bring back.
pub(super) struct Grants {
    provider: Provider,
    http: Http,
    client: OauthClient,
    manner: &'static Manner,
    name: Name,
}

/// What a code is exchanged for.
pub(super) struct Granted {
    pub(super) tokens: ProviderTokens,
    /// Of OpenID Connect only.
    pub(super) id_token: Option<AccessToken>,
}

type OauthClient = Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

type TokenAnswer = StandardTokenResponse<OpenId, BasicTokenType>;

/// What OpenID Connect adds to an answer.
#[derive(Debug, Serialize, Deserialize)]
struct OpenId {
    /// As `AccessToken` it does not print.
    id_token: Option<AccessToken>,
}

impl ExtraTokenFields for OpenId {}

impl Grants {
    pub(super) fn new<Base>(
        provider: Provider,
        http: Http,
        settings: &ProviderSettings<Base>,
        (authorize, token): (Url, Url),
        manner: &'static Manner,
        name: Name,
    ) -> Self {
        let client = Client::new(ClientId::new(settings.client_id.clone()))
            .set_client_secret(ClientSecret::new(settings.client_secret.expose_secret().to_owned()))
            .set_auth_uri(AuthUrl::from_url(authorize))
            .set_token_uri(TokenUrl::from_url(token))
            .set_auth_type(manner.auth.clone());
        Self { provider, http, client, manner, name }
    }

    /// Where the person is asked.
    pub(super) fn authorize(&self, attempt: &Attempt) -> String {
        let mut request = self
            .client
            .authorize_url(|| attempt.state.clone())
            .set_pkce_challenge(attempt.challenge())
            .set_redirect_uri(redirect(attempt))
            .add_scopes(self.manner.scopes.iter().map(|scope| Scope::new((*scope).to_owned())));
        if self.manner.scopes.contains(&OPENID) {
            request = request.add_extra_param("nonce", attempt.nonce());
        }
        for (name, value) in self.manner.extra {
            request = request.add_extra_param(*name, *value);
        }
        request.url().0.into()
    }

    /// The code of a callback that answers the attempt.
    pub(super) fn code<'a>(&self, callback: &'a Callback) -> Result<&'a SecretString, OauthError> {
        let theirs = match (&self.name, &callback.iss) {
            (Name::Unknown, _) | (Name::Perhaps(_), None) => true,
            (Name::Perhaps(name) | Name::Always(name), Some(iss)) => name == iss,
            (Name::Always(_), None) => false,
        };
        if !theirs {
            return Err(OauthError::Untrusted(self.provider, Lie::CallbackIssuer));
        }
        match (&callback.error, &callback.code) {
            (Some(error), _) => Err(OauthError::meant_by(self.provider, error)),
            (None, Some(code)) => Ok(code),
            (None, None) => Err(self.http.unusable()),
        }
    }

    /// What a code is good for.
    pub(super) async fn exchange(
        &self,
        attempt: &Attempt,
        code: &SecretString,
    ) -> Result<Granted, OauthError> {
        let answer = self
            .client
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(attempt.verifier())
            .set_redirect_uri(redirect(attempt))
            .request_async(&self.http)
            .await
            .map_err(|error| self.refusal(error))?;
        let id_token = answer.extra_fields().id_token.clone();
        Ok(Granted { tokens: tokens(&answer), id_token })
    }

    /// New tokens. Where the provider gives no new refresh token, the old one stays good.
    pub(super) async fn refresh(
        &self,
        refresh: &SecretString,
    ) -> Result<ProviderTokens, OauthError> {
        let answer = self
            .client
            .exchange_refresh_token(&RefreshToken::new(refresh.expose_secret().to_owned()))
            .request_async(&self.http)
            .await
            .map_err(|error| self.refusal(error))?;
        let tokens = tokens(&answer);
        Ok(ProviderTokens { refresh: tokens.refresh.or_else(|| Some(refresh.clone())), ..tokens })
    }

    /// The body of an answer that could not be read may hold tokens, and goes no further.
    fn refusal(&self, error: RequestTokenError<OauthError, BasicErrorResponse>) -> OauthError {
        match error {
            RequestTokenError::Request(error) => error,
            RequestTokenError::ServerResponse(answer) => {
                OauthError::meant_by(self.provider, answer.error().as_ref())
            }
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => self.http.unusable(),
        }
    }
}

fn redirect(attempt: &Attempt) -> Cow<'static, RedirectUrl> {
    Cow::Owned(RedirectUrl::from_url(attempt.redirect_uri.clone()))
}

fn tokens(answer: &TokenAnswer) -> ProviderTokens {
    let lasts = answer.expires_in().and_then(|lasts| TimeDelta::from_std(lasts).ok());
    // GitHub separates scopes by commas, against the RFC.
    let scope = |scope: &Scope| scope.replace(',', " ");
    let scopes = |scopes: &Vec<Scope>| scopes.iter().map(scope).collect::<Vec<_>>().join(" ");
    ProviderTokens {
        access: answer.access_token().secret().as_str().into(),
        refresh: answer.refresh_token().map(|token| token.secret().as_str().into()),
        expires_at: lasts.and_then(|lasts| clock::now().checked_add_signed(lasts)),
        scope: answer.scopes().map(scopes),
    }
}
