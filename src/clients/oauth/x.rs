//! X: OAuth 2.0 with PKCE for clients that keep a secret, and its API for who somebody is.

use std::sync::Arc;
use std::time::Duration;

use oauth2::AuthType;
use serde::Deserialize;

use super::error::OauthError;
use super::grants::{Grants, Manner, Name};
use super::http::Http;
use super::profile::{Address, Profile, ProviderTokens};
use super::provider::Provider;
use super::settings::{Places, ProviderSettings};

const ME: Provider = Provider::X;
const JSON: &str = "application/json";
const MANNER: Manner = Manner {
    // To read who somebody is takes the right to read what they wrote.
    scopes: &["users.read", "tweet.read", "users.email", "offline.access"],
    extra: &[],
    auth: AuthType::BasicAuth,
};

pub(super) struct X {
    http: Http,
    places: Places,
    grants: Arc<Grants>,
}

#[derive(Deserialize)]
struct Answer {
    data: User,
}

#[derive(Deserialize)]
struct User {
    id: String,
    name: Option<String>,
    confirmed_email: Option<String>,
}

impl X {
    pub(super) fn new(
        settings: ProviderSettings<Places>,
        timeout: Duration,
    ) -> reqwest::Result<Self> {
        let http = Http::new(ME, timeout)?;
        let places = (settings.base.authorize.clone(), settings.base.token.clone());
        let name = settings.base.issuer.clone().map_or(Name::Unknown, Name::Perhaps);
        let grants = Grants::new(ME, http.clone(), &settings, places, &MANNER, name);
        Ok(Self { http, places: settings.base, grants: Arc::new(grants) })
    }

    pub(super) fn grants(&self) -> Arc<Grants> {
        Arc::clone(&self.grants)
    }

    /// Who the API says the person is. Whoever signed up by telephone has no address.
    pub(super) async fn profile(&self, tokens: ProviderTokens) -> Result<Profile, OauthError> {
        let me = self.places.api("2/users/me", "user.fields=confirmed_email,name");
        let Answer { data } = self.http.get(me, JSON, Some(&tokens.access)).await?;
        if data.id.is_empty() {
            return Err(self.http.unusable());
        }
        Ok(Profile {
            provider: ME,
            subject: data.id,
            email: data.confirmed_email.map(|address| Address { address, verified: true }),
            name: data.name,
            tokens,
        })
    }
}
