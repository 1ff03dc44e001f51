//! Who somebody is, as a provider says.

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::provider::Provider;

/// Who somebody is, as a provider says. What is personal in it does not print.
#[derive(Clone)]
pub struct Profile {
    /// Who says so.
    pub provider: Provider,
    /// The person's id there: never another's, and the same for ever.
    pub subject: String,
    /// The person's address, where the provider gives one.
    pub email: Option<Address>,
    /// The name that the person goes by.
    pub name: Option<String>,
    /// What lets this server speak for the person there.
    pub tokens: ProviderTokens,
}

/// An e-mail address, as a provider has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// The address, in the provider's writing.
    pub address: String,
    /// Whether the provider has seen that the person reads what is sent there. Without this, an
    /// address says nothing about who somebody is.
    pub verified: bool,
}

/// What lets this server speak for a person.
#[derive(Clone, Debug)]
pub struct ProviderTokens {
    /// Goes with each request.
    pub access: SecretString,
    /// Is exchanged for new tokens, where the provider gives one.
    pub refresh: Option<SecretString>,
    /// Until when the access token is good, where the provider says.
    pub expires_at: Option<DateTime<Utc>>,
    /// What it may be used for, separated by spaces, where the provider says.
    pub scope: Option<String>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut profile = f.debug_struct("Profile");
        profile.field("provider", &self.provider).field("email", &self.email);
        profile.finish_non_exhaustive()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("verified", &self.verified).finish_non_exhaustive()
    }
}
