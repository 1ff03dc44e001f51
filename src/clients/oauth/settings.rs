//! What an operator sets to let people sign in.

use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

use crate::clients::address::{AddressError, below, is_secure, parse};

/// How long a call to a provider may take: longer than any that still helps somebody who waits.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The providers that are set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Google, or another that speaks OpenID Connect.
    pub google: Option<ProviderSettings<Issuer>>,
    /// GitHub.
    pub github: Option<ProviderSettings<Places>>,
    /// X.
    pub x: Option<ProviderSettings<Places>>,
    /// How long a call may take, from connecting to the last byte.
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { google: None, github: None, x: None, timeout: TIMEOUT }
    }
}

/// What a provider knows this server by, and where the provider is.
#[derive(Clone, Debug)]
pub struct ProviderSettings<Base> {
    /// The id that the provider gave this server.
    pub client_id: String,
    /// The secret that the provider gave with it.
    pub client_secret: SecretString,
    /// Where the provider is.
    pub base: Base,
}

/// An OpenID Connect issuer: its discovery document says where everything else is.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// As it names itself: issuers are compared letter by letter, which a parsed URL does not keep.
    name: String,
    url: Url,
}

impl Issuer {
    /// The issuer of this name: a URL without a query.
    pub fn new(name: &str) -> Result<Self, AddressError> {
        Ok(Self { name: name.to_owned(), url: address(name)? })
    }

    /// Google.
    ///
    /// # Panics
    /// Never: the address is a good one.
    #[must_use]
    pub fn google() -> Self {
        Self::new("https://accounts.google.com").expect("a good address")
    }

    /// The name, as it is in ID tokens.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn discovery(&self) -> Url {
        below(&self.url, ".well-known/openid-configuration")
    }

    /// An address that the issuer's discovery document holds. Who speaks https may not send secrets
    /// to where it is not spoken.
    pub(super) fn place(&self, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok().filter(is_secure)?;
        (url.scheme() == "https" || self.url.scheme() == "http").then_some(url)
    }
}

/// Where a provider without discovery has what.
#[derive(Clone, Debug)]
pub struct Places {
    /// Where people say yes.
    pub(super) authorize: Url,
    /// Where codes are exchanged.
    pub(super) token: Url,
    /// Below which the API is.
    api: Url,
    /// What the provider calls itself in callbacks, should it do so (RFC 9207).
    pub(super) issuer: Option<String>,
}

impl Places {
    /// A provider's addresses: where people say yes, where codes are exchanged, below which the API
    /// is.
    pub fn new(authorize: &str, token: &str, api: &str) -> Result<Self, AddressError> {
        let (authorize, token) = (address(authorize)?, address(token)?);
        Ok(Self { authorize, token, api: address(api)?, issuer: None })
    }

    /// GitHub.
    ///
    /// # Panics
    /// Never: the addresses are good ones.
    #[must_use]
    pub fn github() -> Self {
        let places = Self::new(
            "https://github.com/login/oauth/authorize",
            "https://github.com/login/oauth/access_token",
            "https://api.github.com",
        );
        let issuer = Some("https://github.com/login/oauth".to_owned());
        Self { issuer, ..places.expect("good addresses") }
    }

    /// X.
    ///
    /// # Panics
    /// Never: the addresses are good ones.
    #[must_use]
    pub fn x() -> Self {
        Self::new(
            "https://x.com/i/oauth2/authorize",
            "https://api.x.com/2/oauth2/token",
            "https://api.x.com",
        )
        .expect("good addresses")
    }

    /// The API's address of this path.
    pub(super) fn api(&self, path: &str, query: &str) -> Url {
        let mut url = below(&self.api, path);
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        url
    }
}

fn address(text: &str) -> Result<Url, AddressError> {
    let url = parse(text)?;
    if is_secure(&url) { Ok(url) } else { Err(AddressError::Insecure) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_sent_in_clear_only_on_this_machine() {
        for good in
            ["https://a.example", "http://127.0.0.1:9", "http://[::1]:9", "http://localhost"]
        {
            assert!(Issuer::new(good).is_ok(), "{good}");
        }
        for bad in
            ["http://a.example", "http://127.0.0.1.a.example", "http://10.0.0.1", "ftp://::1"]
        {
            assert!(Issuer::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_issuer_on_https_cannot_lead_to_http() {
        assert!(Issuer::google().place("http://127.0.0.1/token").is_none());
        assert!(Issuer::google().place("https://oauth2.googleapis.com/token").is_some());
    }

    #[test]
    fn an_address_has_neither_user_nor_query_nor_fragment() {
        for bad in
            ["https://me@a.example", "https://a.example?b", "https://a.example#b", "a.example"]
        {
            assert_eq!(Issuer::new(bad).err(), Some(AddressError::Malformed), "{bad}");
        }
    }
}
