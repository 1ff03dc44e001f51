//! With whose account somebody signs in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// With whose account somebody signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Google, or another that speaks OpenID Connect.
    Google,
    /// GitHub.
    Github,
    /// X, once Twitter.
    X,
}

/// There is no provider of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the providers are google, github and x")]
pub struct UnknownProvider;

impl Provider {
    /// Every provider there is.
    pub const ALL: [Self; 3] = [Self::Google, Self::Github, Self::X];

    /// The name, as in URLs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Github => "github",
            Self::X => "x",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|provider| provider.name() == name).ok_or(UnknownProvider)
    }
}
