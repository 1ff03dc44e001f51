//! The words of a person's account: ways in, roles, what a key may do, why sessions end.

use serde::{Deserialize, Serialize};

/// Who vouches for a person elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Google, by `OpenID` Connect.
    Google,
    /// GitHub, by OAuth 2.0.
    Github,
    /// X, by OAuth 2.0.
    X,
}

/// How a person signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignIn {
    /// By e-mail address and password.
    Password,
    /// By a code sent to an e-mail address.
    EmailCode,
    /// By a code sent to a telephone.
    SmsCode,
    /// By a provider who knows the person.
    Provider(Provider),
}

/// What a person may do besides their own things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Nothing.
    #[default]
    User,
    /// Everything under `/admin`.
    Admin,
}

impl Role {
    /// The word for it, as the API has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

/// What an API key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Reading the balance, the history and statements.
    WalletRead,
    /// Holds and debits.
    WalletSpend,
    /// AI calls, and reading their results.
    Ai,
}

/// Why sessions ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The person signed out there.
    SignedOut,
    /// The person ended them from elsewhere.
    Ended,
    /// A refresh token was used a second time: somebody else may have it.
    Reused,
    /// The password changed.
    PasswordSet,
}
