//! GitHub: OAuth 2.0 with PKCE, and its API for who somebody is.

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

const ME: Provider = Provider::Github;
const JSON: &str = "application/vnd.github+json";
const MANNER: Manner =
    Manner { scopes: &["read:user", "user:email"], extra: &[], auth: AuthType::RequestBody };

pub(super) struct Github {
    http: Http,
    places: Places,
    grants: Arc<Grants>,
}

#[derive(Deserialize)]
struct User {
    /// The number stays when somebody takes another login.
    id: u64,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Email {
    #[serde(rename = "email")]
    address: String,
    primary: bool,
    verified: bool,
}

impl Github {
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

    /// Who the API says the person is. The address of the public profile is not asked for: nobody
    /// has verified it.
    pub(super) async fn profile(&self, tokens: ProviderTokens) -> Result<Profile, OauthError> {
        let access = Some(&tokens.access);
        let user: User = self.http.get(self.places.api("user", ""), JSON, access).await?;
        let emails = self.places.api("user/emails", "per_page=100");
        let emails: Vec<Email> = self.http.get(emails, JSON, access).await?;
        let primary = emails.into_iter().find(|email| email.primary);
        Ok(Profile {
            provider: ME,
            subject: user.id.to_string(),
            email: primary
                .map(|email| Address { address: email.address, verified: email.verified }),
            name: user.name,
            tokens,
        })
    }
}
