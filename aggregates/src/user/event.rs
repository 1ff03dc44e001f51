//! What happened to a person's account. Secrets never stand here.

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use crate::id::SessionId;
use crate::pii::Pii;

/// How a person signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignIn {
    /// By e-mail address and password.
    Password,
}

/// What happened to a person's account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum UserEvent {
    /// The account exists.
    Registered { email: Pii<String>, name: Pii<Option<String>>, by: SignIn, at: DateTime<Utc> },
    /// The name changed.
    ProfileChanged { name: Pii<Option<String>>, at: DateTime<Utc> },
    /// The person signed in.
    SessionStarted { session: SessionId, by: SignIn, expires_at: DateTime<Utc>, at: DateTime<Utc> },
}

impl DomainEvent for UserEvent {
    fn event_type(&self) -> String {
        match self {
            Self::Registered { .. } => "Registered",
            Self::ProfileChanged { .. } => "ProfileChanged",
            Self::SessionStarted { .. } => "SessionStarted",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
