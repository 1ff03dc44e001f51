//! What happened to a person's account. Secrets never stand here.

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::terms::{EndReason, Provider, Role, Scope, SignIn};
use crate::id::{ApiKeyId, IdentityId, SessionId};
use crate::pii::Pii;

/// What happened to a person's account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum UserEvent {
    /// The account exists. Without an address the person is reached by telephone, or by a provider.
    Registered {
        email: Pii<Option<String>>,
        name: Pii<Option<String>>,
        by: SignIn,
        at: DateTime<Utc>,
    },
    /// The name changed.
    ProfileChanged { name: Pii<Option<String>>, at: DateTime<Utc> },
    /// The person proved to be reached at this address, which is the account's since then.
    EmailVerified { email: Pii<String>, at: DateTime<Utc> },
    /// The person proved to have this telephone, which is the account's since then.
    PhoneVerified { phone: Pii<String>, at: DateTime<Utc> },
    /// There is a password, or another than before.
    PasswordSet { at: DateTime<Utc> },
    /// A provider vouches for the person, too.
    IdentityLinked { identity: IdentityId, provider: Provider, at: DateTime<Utc> },
    /// A provider does so no more.
    IdentityUnlinked { identity: IdentityId, at: DateTime<Utc> },
    /// The person signed in.
    SessionStarted { session: SessionId, by: SignIn, expires_at: DateTime<Utc>, at: DateTime<Utc> },
    /// These sessions are over.
    SessionsEnded { sessions: Vec<SessionId>, why: EndReason, at: DateTime<Utc> },
    /// Somebody proved to be reached at the account's address, which nobody had done before: the
    /// password, links, sessions and keys that were there may be another's, and are gone.
    TakenOver { by: SignIn, at: DateTime<Utc> },
    /// A key for programs exists.
    ApiKeyCreated { key: ApiKeyId, name: Pii<String>, scopes: Vec<Scope>, at: DateTime<Utc> },
    /// A key is good no more.
    ApiKeyRevoked { key: ApiKeyId, at: DateTime<Utc> },
    /// The person may do more, or less.
    RoleChanged {
        role: Role,
        /// Why, where an administrator changed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        at: DateTime<Utc>,
    },
    /// The account rests; all sessions are over.
    Deactivated {
        /// Why, where an administrator decided it: the person cannot use it again by themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        at: DateTime<Utc>,
    },
    /// The account is used again.
    Reactivated {
        /// Why, where an administrator decided it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        at: DateTime<Utc>,
    },
    /// The person is gone: the key of their data was destroyed with this event.
    Erased { at: DateTime<Utc> },
}

impl UserEvent {
    /// The event's name, as the log's `event_type`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Registered { .. } => "Registered",
            Self::ProfileChanged { .. } => "ProfileChanged",
            Self::EmailVerified { .. } => "EmailVerified",
            Self::PhoneVerified { .. } => "PhoneVerified",
            Self::PasswordSet { .. } => "PasswordSet",
            Self::IdentityLinked { .. } => "IdentityLinked",
            Self::IdentityUnlinked { .. } => "IdentityUnlinked",
            Self::SessionStarted { .. } => "SessionStarted",
            Self::SessionsEnded { .. } => "SessionsEnded",
            Self::TakenOver { .. } => "TakenOver",
            Self::ApiKeyCreated { .. } => "ApiKeyCreated",
            Self::ApiKeyRevoked { .. } => "ApiKeyRevoked",
            Self::RoleChanged { .. } => "RoleChanged",
            Self::Deactivated { .. } => "Deactivated",
            Self::Reactivated { .. } => "Reactivated",
            Self::Erased { .. } => "Erased",
        }
    }
}

impl DomainEvent for UserEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
