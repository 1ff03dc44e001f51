//! Google, and whoever else speaks OpenID Connect (Core 1.0 and Discovery 1.0).

use std::sync::Arc;
use std::time::Duration;

use oauth2::AuthType;
use reqwest::Url;
use serde::Deserialize;
use tokio::time::Instant;

use super::attempt::Attempt;
use super::cached::Cached;
use super::error::{Lie, OauthError};
use super::grants::{Granted, Grants, Manner, Name};
use super::http::Http;
use super::id_token::{Claims, KeySet, Keys};
use super::profile::{Address, Profile, ProviderTokens};
use super::provider::Provider;
use super::settings::{Issuer, ProviderSettings};

const ME: Provider = Provider::Google;
const JSON: &str = "application/json";
const MANNER: Manner = Manner {
    scopes: &["openid", "email", "profile"],
    // So Google gives a refresh token; others pass over it.
    extra: &[("access_type", "offline")],
    auth: AuthType::BasicAuth,
};

pub(super) struct Google {
    http: Http,
    settings: ProviderSettings<Issuer>,
    discovery: Cached<Discovery>,
    keys: Cached<Keys>,
}

/// Where the issuer has what.
struct Discovery {
    grants: Arc<Grants>,
    keys: Url,
    userinfo: Option<Url>,
}

/// The discovery document, as far as it is used.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// What the issuer says of whom an access token is (OpenID Connect Core 1.0, 5.3).
#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    email: Option<String>,
    email_verified: Option<bool>,
    name: Option<String>,
}

impl Google {
    pub(super) fn new(
        settings: ProviderSettings<Issuer>,
        timeout: Duration,
    ) -> reqwest::Result<Self> {
        let http = Http::new(ME, timeout)?;
        Ok(Self { http, settings, discovery: Cached::new(), keys: Cached::new() })
    }

    pub(super) async fn grants(&self) -> Result<Arc<Grants>, OauthError> {
        Ok(Arc::clone(&self.discovery().await?.grants))
    }

    /// Who the ID token says the person is: it came from the issuer itself, and is checked all the
    /// same.
    pub(super) async fn profile(
        &self,
        granted: Granted,
        attempt: &Attempt,
    ) -> Result<Profile, OauthError> {
        let untrusted = |lie| OauthError::Untrusted(ME, lie);
        let token = granted.id_token.ok_or(untrusted(Lie::Malformed))?;
        let claims = self.open(token.secret()).await?;
        let (issuer, client) = (self.settings.base.name(), &self.settings.client_id);
        claims.check(issuer, client, attempt).map_err(untrusted)?;
        let verified = claims.email_verified.unwrap_or(false);
        Ok(Profile {
            provider: ME,
            subject: claims.sub,
            email: claims.email.map(|address| Address { address, verified }),
            name: claims.name,
            tokens: granted.tokens,
        })
    }

    /// Who the issuer says the person is now. Nothing signs it: it came over TLS from where the
    /// issuer's document says, and whoever asks checks that it is about the person they know.
    pub(super) async fn profile_by(&self, tokens: ProviderTokens) -> Result<Profile, OauthError> {
        let discovery = self.discovery().await?;
        let place = discovery.userinfo.clone().ok_or_else(|| self.http.unusable())?;
        let info: UserInfo = self.http.get(place, JSON, Some(&tokens.access)).await?;
        let verified = info.email_verified.unwrap_or(false);
        Ok(Profile {
            provider: ME,
            subject: info.sub,
            email: info.email.map(|address| Address { address, verified }),
            name: info.name,
            tokens,
        })
    }

    /// What a signed token says. Keys change: an unknown one may be new.
    async fn open(&self, token: &str) -> Result<Claims, OauthError> {
        let url = &self.discovery().await?.keys;
        let before = Instant::now();
        let opened = match self.keys.get(self.fetch_keys(url)).await?.open(token) {
            Err(Lie::UnknownKey) => {
                self.keys.get_after(before, self.fetch_keys(url)).await?.open(token)
            }
            opened => opened,
        };
        opened.map_err(|lie| OauthError::Untrusted(ME, lie))
    }

    async fn discovery(&self) -> Result<Arc<Discovery>, OauthError> {
        self.discovery.get(self.fetch_discovery()).await
    }

    async fn fetch_discovery(&self) -> Result<Discovery, OauthError> {
        let issuer = &self.settings.base;
        let document: Document = self.http.get(issuer.discovery(), JSON, None).await?;
        if document.issuer != issuer.name() {
            return Err(OauthError::Untrusted(ME, Lie::Discovery));
        }
        let place = |text: &str| issuer.place(text).ok_or_else(|| self.http.unusable());
        let places = (place(&document.authorization_endpoint)?, place(&document.token_endpoint)?);
        let always = document.authorization_response_iss_parameter_supported;
        let name = if always { Name::Always } else { Name::Perhaps }(document.issuer);
        let grants = Grants::new(ME, self.http.clone(), &self.settings, places, &MANNER, name);
        let userinfo = document.userinfo_endpoint.as_deref().map(place).transpose()?;
        Ok(Discovery { grants: Arc::new(grants), keys: place(&document.jwks_uri)?, userinfo })
    }

    async fn fetch_keys(&self, url: &Url) -> Result<Keys, OauthError> {
        Ok(self.http.get::<KeySet>(url.clone(), JSON, None).await?.into())
    }
}
