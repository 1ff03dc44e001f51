//! Secrets in Vault: the second version of its key-value store.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::address::below;

/// How long Vault may take with one attempt, in seconds: it answers from memory.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// The pauses before it is asked again: a node that takes another's place needs about a second.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];
/// The longest answer that is read, in bytes: Vault holds a megabyte at most in one place.
const LONGEST: usize = 1024 * 1024;
const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");

/// Why a secret cannot be had; each says what to do. None has a secret inside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The reference is none.
    #[error(
        "a reference to Vault is vault:<mount>/data/<path>#<field>, as in vault:secret/data/saldo#stripe_secret_key"
    )]
    Reference,
    /// The token or the namespace cannot be sent.
    #[error(
        "the token or the namespace of Vault has characters that neither has: set it again, on one line"
    )]
    Header,
    /// The HTTP client cannot be made.
    #[error("no HTTP client can be made: {0}")]
    Client(String),
    /// Nobody answers.
    #[error("Vault does not answer at {0}: check that it runs, and SALDO_VAULT_ADDR")]
    Unreachable(Url),
    /// It takes too long.
    #[error("Vault takes too long at {0}: check how it is, and SALDO_VAULT_ADDR")]
    TimedOut(Url),
    /// It is sealed, or about to be.
    #[error("Vault is sealed or not ready (503): unseal it, and start again")]
    Sealed,
    /// The token is not let in.
    #[error("Vault refuses the token for {0} (403): set SALDO_VAULT_TOKEN to one that may read it")]
    Denied(String),
    /// There is nothing.
    #[error("Vault has nothing at {0} (404): write it there, or correct the reference")]
    Missing(String),
    /// There was something.
    #[error("the newest version at {0} in Vault was deleted: write it again, or undelete it")]
    Deleted(String),
    /// It answers something else.
    #[error("Vault answers {1} for {0}: check SALDO_VAULT_ADDR, the namespace and the reference")]
    Refused(String, StatusCode),
    /// It does not answer as the second version does.
    #[error(
        "the answer for {0} is not that of a key-value store of version 2: check SALDO_VAULT_ADDR and the mount"
    )]
    Invalid(String),
    /// There is no such field, or it is no text.
    #[error("{path} in Vault has no text called {field}: write it there, or correct the reference")]
    Field {
        /// The path.
        path: String,
        /// The field.
        field: String,
    },
}

/// Where in Vault a secret is: `secret/data/saldo#stripe_secret_key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The mount, `data`, and the path below it.
    pub path: String,
    /// The field there.
    pub field: String,
}

impl FromStr for Reference {
    type Err = VaultError;

    fn from_str(text: &str) -> Result<Self, VaultError> {
        let (path, field) = text.split_once('#').ok_or(VaultError::Reference)?;
        let parts: Vec<_> = path.split('/').collect();
        let is_sound = |part: &&str| {
            let is_plain = |c: char| c.is_alphanumeric() || "-_.~@+=".contains(c);
            !part.is_empty() && !matches!(*part, "." | "..") && part.chars().all(is_plain)
        };
        let data = parts.iter().position(|part| *part == "data").unwrap_or_default();
        if field.is_empty() || data == 0 || data + 1 == parts.len() || !parts.iter().all(is_sound) {
            return Err(VaultError::Reference);
        }
        Ok(Self { path: path.to_owned(), field: field.to_owned() })
    }
}

/// What Vault has in one place; printed nowhere.
pub struct Secret(BTreeMap<String, Value>);

impl Secret {
    /// What a field has; a number is as good as its text.
    pub fn field(&self, Reference { path, field }: &Reference) -> Result<String, VaultError> {
        match self.0.get(field) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            _ => Err(VaultError::Field { path: path.clone(), field: field.clone() }),
        }
    }
}

/// Where Vault is, and what it lets us in by.
#[derive(Clone, Debug)]
pub struct VaultSettings {
    /// Below which its API is.
    pub address: Url,
    /// The token.
    pub token: SecretString,
    /// Which part of it, where it has several.
    pub namespace: Option<String>,
}

/// Reads secrets.
pub struct Vault {
    http: reqwest::Client,
    address: Url,
    timeout: Duration,
}

/// What the second version answers; the first has the fields themselves in `data`.
#[derive(Deserialize)]
struct Answer {
    data: Version,
}

#[derive(Deserialize)]
struct Version {
    data: Option<BTreeMap<String, Value>>,
    #[serde(rename = "metadata")]
    _metadata: serde::de::IgnoredAny,
}

impl Vault {
    /// A reader with these settings; nothing is asked yet.
    pub fn new(settings: VaultSettings) -> Result<Self, VaultError> {
        let VaultSettings { address, token, namespace } = settings;
        let mut headers = HeaderMap::new();
        let mut token = header(token.expose_secret())?;
        token.set_sensitive(true);
        headers.insert(TOKEN, token);
        if let Some(namespace) = namespace {
            headers.insert(NAMESPACE, header(&namespace)?);
        }
        // The token is sent where the settings say, and nowhere else.
        let http = super::http().default_headers(headers).redirect(redirect::Policy::none());
        let http = http.build().map_err(|error| VaultError::Client(error.to_string()))?;
        Ok(Self { http, address, timeout: TIMEOUT })
    }

    /// The same, which waits for this long instead of [`TIMEOUT`].
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The newest version of what is at this path. What may pass is tried again.
    pub async fn read(&self, path: &str) -> Result<Secret, VaultError> {
        for pause in PAUSES {
            match self.attempt(path).await {
                Err(error) if error.may_pass() => tokio::time::sleep(pause).await,
                ended => return ended,
            }
        }
        self.attempt(path).await
    }

    async fn attempt(&self, path: &str) -> Result<Secret, VaultError> {
        let url = below(&self.address, &format!("v1/{path}"));
        let failed = |error: reqwest::Error| {
            let address = self.address.clone();
            if error.is_timeout() {
                VaultError::TimedOut(address)
            } else {
                VaultError::Unreachable(address)
            }
        };
        let response = self.http.get(url).timeout(self.timeout).send().await.map_err(failed)?;
        let status = response.status();
        let body = body(response).await.map_err(failed)?;
        let answer = serde_json::from_slice::<Answer>(&body);
        match status.as_u16() {
            200 => match answer {
                Ok(Answer { data: Version { data: Some(fields), .. } }) => Ok(Secret(fields)),
                _ => Err(VaultError::Invalid(path.to_owned())),
            },
            403 => Err(VaultError::Denied(path.to_owned())),
            404 if answer.is_ok() => Err(VaultError::Deleted(path.to_owned())),
            404 => Err(VaultError::Missing(path.to_owned())),
            503 => Err(VaultError::Sealed),
            _ => Err(VaultError::Refused(path.to_owned(), status)),
        }
    }
}

impl VaultError {
    /// Whether asking again may end otherwise.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) | Self::Sealed => true,
            Self::Refused(_, status) => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Reference
            | Self::Header
            | Self::Client(_)
            | Self::Denied(_)
            | Self::Missing(_)
            | Self::Deleted(_)
            | Self::Invalid(_)
            | Self::Field { .. } => false,
        }
    }
}

fn header(text: &str) -> Result<HeaderValue, VaultError> {
    HeaderValue::from_str(text).map_err(|_| VaultError::Header)
}

/// What is too long is as good as nothing.
async fn body(mut response: Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LONGEST {
            return Ok(Vec::new());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_a_mount_a_path_and_a_field() {
        let reference: Reference =
            "secret/data/saldo#stripe_secret_key".parse().expect("a reference");
        assert_eq!(reference.path, "secret/data/saldo");
        assert_eq!(reference.field, "stripe_secret_key");
        assert!("teams/a/data/saldo/live#key".parse::<Reference>().is_ok(), "mounts have slashes");
        for wrong in [
            "",
            "secret/data/saldo",
            "secret/data/saldo#",
            "secret/saldo#key",
            "secret/data#key",
            "data/saldo#key",
            "secret/data/../sys#key",
            "secret//data/a#key",
            "secret/data/a?version=1#key",
        ] {
            assert_eq!(wrong.parse::<Reference>(), Err(VaultError::Reference), "{wrong}");
        }
    }
}
