//! Signing in with an account elsewhere: Google by OpenID Connect, GitHub and X by OAuth 2.0.
//!
//! `oauth2` writes the requests and `jsonwebtoken`, which signs our own tokens, checks those of
//! others. `openidconnect` would do both, with a second set of elliptic curves and thirty crates.

mod attempt;
mod cached;
mod error;
mod github;
mod google;
mod grants;
mod http;
mod id_token;
mod profile;
mod provider;
mod settings;
mod x;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use attempt::{ATTEMPT_LASTS, Attempt, Begun, Callback};
pub use error::{Fault, Lie, OauthError};
pub use profile::{Address, Profile, ProviderTokens};
pub use provider::{Provider, UnknownProvider};
pub use reqwest::Url;
use secrecy::SecretString;
pub use settings::{Issuer, Places, ProviderSettings, Settings, TIMEOUT};

use github::Github;
use google::Google;
use grants::{Granted, Grants};
use x::X;

/// The providers that are set up.
#[derive(Clone)]
pub struct Providers {
    clients: Arc<BTreeMap<Provider, Client>>,
}

enum Client {
    Google(Google),
    Github(Github),
    X(X),
}

impl Providers {
    /// Clients of the providers that are set up. Calls none of them. Fails when there can be no
    /// HTTP client.
    pub fn new(settings: Settings) -> reqwest::Result<Self> {
        let Settings { google, github, x, timeout } = settings;
        let mut clients = BTreeMap::new();
        if let Some(settings) = google {
            clients.insert(Provider::Google, Client::Google(Google::new(settings, timeout)?));
        }
        if let Some(settings) = github {
            clients.insert(Provider::Github, Client::Github(Github::new(settings, timeout)?));
        }
        if let Some(settings) = x {
            clients.insert(Provider::X, Client::X(X::new(settings, timeout)?));
        }
        Ok(Self { clients: Arc::new(clients) })
    }

    /// With whose accounts people can sign in here.
    pub fn available(&self) -> impl Iterator<Item = Provider> {
        self.clients.keys().copied()
    }

    /// Begins a sign-in: where the person's browser goes, and what is to be remembered until it
    /// comes back to `redirect_uri`, which is registered with the provider.
    ///
    /// Fails as `NotSetUp`, and for Google as a look at its discovery document may:
    /// `Unavailable`, `Unusable`, `Untrusted`.
    pub async fn begin(&self, provider: Provider, redirect_uri: &Url) -> Result<Begun, OauthError> {
        let grants = self.client(provider)?.grants().await?;
        let attempt = Attempt::begin(provider, redirect_uri);
        Ok(Begun { url: grants.authorize(&attempt), attempt })
    }

    /// Ends a sign-in: who came back. Calls the provider only for a callback that answers the
    /// attempt. An attempt is good for one call: whoever remembers it forgets it first.
    pub async fn finish(
        &self,
        attempt: &Attempt,
        callback: &Callback,
    ) -> Result<Profile, OauthError> {
        attempt.check(callback)?;
        let client = self.client(attempt.provider)?;
        let grants = client.grants().await?;
        let granted = grants.exchange(attempt, grants.code(callback)?).await?;
        client.profile(granted, attempt).await
    }

    /// New tokens for a refresh token, which may not be good any more afterwards: keep the one that
    /// comes back. `Expired` when the person has to sign in again.
    pub async fn refresh(
        &self,
        provider: Provider,
        refresh_token: &SecretString,
    ) -> Result<ProviderTokens, OauthError> {
        self.client(provider)?.grants().await?.refresh(refresh_token).await
    }

    /// Who the provider says the person is now, by tokens that it gave before. `Expired` when they
    /// are good no more: refresh them, or have the person sign in again.
    pub async fn look_up(
        &self,
        provider: Provider,
        tokens: ProviderTokens,
    ) -> Result<Profile, OauthError> {
        let looked = match self.client(provider)? {
            Client::Google(google) => google.profile_by(tokens).await,
            Client::Github(github) => github.profile(tokens).await,
            Client::X(x) => x.profile(tokens).await,
        };
        looked.map_err(|error| match error {
            OauthError::Unauthorized(_) => OauthError::Expired,
            // It took the tokens once: it is asked too often, say.
            OauthError::Refused(..) => OauthError::Unavailable(provider),
            error => error,
        })
    }

    fn client(&self, provider: Provider) -> Result<&Client, OauthError> {
        self.clients.get(&provider).ok_or(OauthError::NotSetUp(provider))
    }
}

impl Client {
    async fn grants(&self) -> Result<Arc<Grants>, OauthError> {
        match self {
            Self::Google(google) => google.grants().await,
            Self::Github(github) => Ok(github.grants()),
            Self::X(x) => Ok(x.grants()),
        }
    }

    async fn profile(&self, granted: Granted, attempt: &Attempt) -> Result<Profile, OauthError> {
        match self {
            Self::Google(google) => google.profile(granted, attempt).await,
            Self::Github(github) => github.profile(granted.tokens).await,
            Self::X(x) => x.profile(granted.tokens).await,
        }
    }
}
