//! Why somebody is not signed in, and who can do something about it.

use super::provider::Provider;

/// Why somebody is not signed in. No message holds a token, an address, or words of the provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OauthError {
    /// The person said no.
    #[error("the sign-in was declined")]
    Denied,
    /// The code or the refresh token is used, expired or revoked, or the attempt is too old.
    #[error("the sign-in is over: begin again")]
    Expired,
    /// The `state` is not the attempt's: another window's answer, or somebody else's.
    #[error("the answer does not belong to the sign-in that was begun here: begin again")]
    Foreign,
    /// The operator has not set this provider up.
    #[error("signing in with {0} is not set up")]
    NotSetUp(Provider),
    /// The provider does not accept this server, for what the operator has set or registered.
    #[error("{0} refuses this server: {1}")]
    Refused(Provider, &'static str),
    /// The provider's API does not know the token.
    #[error("{0} does not know the token it gave")]
    Unauthorized(Provider),
    /// The provider cannot be reached, fails, asks to come back later or takes too long.
    #[error("{0} does not answer")]
    Unavailable(Provider),
    /// The provider's answer cannot be understood, is too long, or leads elsewhere.
    #[error("the answer of {0} is not usable")]
    Unusable(Provider),
    /// The provider's answer can be understood, and is not true.
    #[error("the answer of {0} is not to be trusted: {1}")]
    Untrusted(Provider, Lie),
}

/// What is not true in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// The discovery document is another issuer's.
    #[error("its discovery document names another issuer")]
    Discovery,
    /// The `iss` of the callback is another issuer's, or is missing where it was promised (RFC 9207).
    #[error("the callback comes from another issuer")]
    CallbackIssuer,
    /// The ID token cannot be read, or lacks what each must have.
    #[error("the ID token is malformed")]
    Malformed,
    /// The ID token is not signed, or in a way that is not accepted.
    #[error("the ID token is not signed as it must be")]
    Algorithm,
    /// The ID token's key is not among the provider's, also not after they were read again.
    #[error("the ID token is signed with an unknown key")]
    UnknownKey,
    /// The signature is not that of the key.
    #[error("the ID token's signature is wrong")]
    Signature,
    /// The ID token is another issuer's.
    #[error("the ID token is of another issuer")]
    Issuer,
    /// The ID token is for another client.
    #[error("the ID token is for somebody else")]
    Audience,
    /// The ID token was issued to another client.
    #[error("the ID token was issued to somebody else")]
    AuthorizedParty,
    /// The ID token's time is over.
    #[error("the ID token has expired")]
    Expired,
    /// The ID token was issued before the attempt began, or will be in the future.
    #[error("the ID token is not of this time")]
    IssuedAt,
    /// The ID token is another attempt's.
    #[error("the ID token belongs to another sign-in")]
    Nonce,
    /// The answer is about somebody else than was asked about.
    #[error("it is about another person")]
    Person,
    /// The person's id is empty or too long.
    #[error("the ID token names nobody")]
    Subject,
}

/// Who can do something about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The person: sign in again, or say yes.
    Person,
    /// The operator: look at the settings and at what is registered with the provider.
    Operator,
    /// The provider: it is broken, or lies. Worth a look at the logs.
    Provider,
    /// Time: try again later. A code may be used by then, and the sign-in has to begin again.
    Outage,
}

impl OauthError {
    /// Who can do something about it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Denied | Self::Expired | Self::Foreign => Fault::Person,
            Self::NotSetUp(_) | Self::Refused(..) | Self::Unauthorized(_) => Fault::Operator,
            Self::Unusable(_) | Self::Untrusted(..) => Fault::Provider,
            Self::Unavailable(_) => Fault::Outage,
        }
    }

    /// What a provider means by the `error` that it answers with, in a callback or for a code or a
    /// refresh token.
    pub(super) fn meant_by(provider: Provider, code: &str) -> Self {
        match (provider, code) {
            (_, "access_denied") => Self::Denied,
            // Four ways to say that a code or a refresh token is not good any more.
            (_, "invalid_grant")
            | (Provider::Github, "bad_verification_code" | "bad_refresh_token")
            | (Provider::X, "invalid_request") => Self::Expired,
            (_, "server_error" | "temporarily_unavailable") => Self::Unavailable(provider),
            (_, code) => Self::Refused(provider, known(code)),
        }
    }
}

/// The code, when it is one that is known: what a provider or a callback says is not repeated.
fn known(code: &str) -> &'static str {
    const KNOWN: &[&str] = &[
        "application_suspended",
        "incorrect_client_credentials",
        "invalid_client",
        "invalid_request",
        "invalid_scope",
        "redirect_uri_mismatch",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_response_type",
        "unverified_user_email",
    ];
    KNOWN.iter().find(|known| **known == code).copied().unwrap_or("for a reason without a name")
}
