//! An attempt to sign in: what is remembered between the way to the provider and the way back.

use chrono::{DateTime, TimeDelta, Utc};
use oauth2::{CsrfToken, PkceCodeChallenge, PkceCodeVerifier};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::error::OauthError;
use super::provider::Provider;
use crate::clock;

/// How long an attempt may take: long enough to find one's password and second factor.
pub const ATTEMPT_LASTS: TimeDelta = TimeDelta::minutes(10);
/// Bytes of chance in a `state` and in a nonce.
const RANDOM: u32 = 32;

/// A sign-in that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where the person's browser goes.
    pub url: String,
    /// What has to be remembered, readable and changeable by nobody, until the person is back.
    pub attempt: Attempt,
}

/// What is remembered of a sign-in, where only the same browser brings it back. Its secrets do not
/// print.
#[derive(Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// With whose account.
    pub provider: Provider,
    /// When it began.
    pub begun_at: DateTime<Utc>,
    /// Where the person comes back to: the same when the code is exchanged.
    pub(super) redirect_uri: Url,
    pub(super) state: CsrfToken,
    /// Of the same kind as the state, and as secret.
    nonce: CsrfToken,
    pkce_verifier: PkceCodeVerifier,
}

/// What a provider's redirect brings back: the query of the callback.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Callback {
    /// The attempt's, when all is well.
    pub state: Option<SecretString>,
    /// To be exchanged for tokens, once.
    pub code: Option<SecretString>,
    /// Which provider answers, where it says (RFC 9207).
    pub iss: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
}

impl Attempt {
    /// An attempt that begins now.
    pub(super) fn begin(provider: Provider, redirect_uri: &Url) -> Self {
        let (_, pkce_verifier) = PkceCodeChallenge::new_random_sha256();
        Self {
            provider,
            begun_at: clock::now(),
            redirect_uri: redirect_uri.clone(),
            state: CsrfToken::new_random_len(RANDOM),
            nonce: CsrfToken::new_random_len(RANDOM),
            pkce_verifier,
        }
    }

    /// Whether a callback with this `state` answers this attempt. How long it takes does not depend
    /// on where the two differ.
    #[must_use]
    pub fn matches(&self, state: &str) -> bool {
        self.state == CsrfToken::new(state.to_owned())
    }

    /// Refuses a callback that does not answer this attempt, or comes too late.
    pub(super) fn check(&self, callback: &Callback) -> Result<(), OauthError> {
        match &callback.state {
            Some(state) if self.matches(state.expose_secret()) => {}
            _ => return Err(OauthError::Foreign),
        }
        let over =
            self.begun_at.checked_add_signed(ATTEMPT_LASTS).is_none_or(|end| end < clock::now());
        if over { Err(OauthError::Expired) } else { Ok(()) }
    }

    pub(super) fn nonce(&self) -> &str {
        self.nonce.secret()
    }

    pub(super) fn has_nonce(&self, nonce: Option<&str>) -> bool {
        nonce.is_some_and(|nonce| self.nonce == CsrfToken::new(nonce.to_owned()))
    }

    pub(super) fn challenge(&self) -> PkceCodeChallenge {
        PkceCodeChallenge::from_code_verifier_sha256(&self.pkce_verifier)
    }

    pub(super) fn verifier(&self) -> PkceCodeVerifier {
        PkceCodeVerifier::new(self.pkce_verifier.secret().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> Attempt {
        Attempt::begin(Provider::Github, &Url::parse("https://saldo.example/back").expect("a URL"))
    }

    fn answer(attempt: &Attempt) -> Callback {
        let state = Some(attempt.state.secret().as_str().into());
        Callback { state, ..Callback::default() }
    }

    #[test]
    fn a_callback_answers_its_own_attempt_only() {
        let (mine, other) = (attempt(), attempt());
        assert_eq!(mine.check(&answer(&mine)), Ok(()));
        assert_eq!(mine.check(&answer(&other)), Err(OauthError::Foreign));
        assert_eq!(mine.check(&Callback::default()), Err(OauthError::Foreign));
    }

    #[test]
    fn an_attempt_ends() {
        let late = Attempt { begun_at: clock::now() - ATTEMPT_LASTS, ..attempt() };
        assert_eq!(late.check(&answer(&late)), Err(OauthError::Expired));
    }

    #[test]
    fn an_attempt_comes_back_as_it_was_and_does_not_print() {
        let attempt = attempt();
        let text = serde_json::to_string(&attempt).expect("JSON");
        let back: Attempt = serde_json::from_str(&text).expect("an attempt");
        assert!(back.matches(attempt.state.secret()));
        assert!(back.has_nonce(Some(attempt.nonce())));
        assert_eq!(back.verifier().secret(), attempt.verifier().secret());
        let printed = format!("{attempt:?}");
        for secret in [attempt.state.secret(), attempt.nonce(), attempt.verifier().secret()] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
