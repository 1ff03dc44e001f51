//! What may be asked of a person's account.

use chrono::{DateTime, Utc};

use super::terms::{EndReason, Provider, Role, Scope, SignIn};
use crate::id::{ApiKeyId, IdentityId, SessionId};

/// What may be asked of a person's account, at the time `now`.
#[derive(Clone, Debug, PartialEq)]
pub struct UserCommand {
    /// The time the events will carry.
    pub now: DateTime<Utc>,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked. Secrets live beside the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Create the account.
    Register { email: Option<String>, name: Option<String>, by: SignIn },
    /// Change the name; none removes it. Where the caller has read another one, given as
    /// `instead_of`, only if that is still the name.
    ChangeProfile { name: Option<String>, instead_of: Option<Option<String>> },
    /// Note that the person proved to be reached at this address.
    VerifyEmail { email: String },
    /// Note that the person proved to have this telephone.
    VerifyPhone { phone: String },
    /// Note that there is a password, or another one; all sessions but this one end.
    SetPassword { keep: Option<SessionId> },
    /// Note that a provider vouches for the person.
    LinkIdentity { identity: IdentityId, provider: Provider },
    /// Note that it does so no more.
    UnlinkIdentity { identity: IdentityId },
    /// Note that the person signed in; where what they proved was read before, as of that epoch.
    StartSession { session: SessionId, by: SignIn, expires_at: DateTime<Utc>, as_of: Option<u32> },
    /// End one session.
    EndSession { session: SessionId, why: EndReason },
    /// End all sessions but one.
    EndOtherSessions { keep: SessionId },
    /// Give the account to whoever has proved to be reached at its address, before anybody else.
    TakeOver { by: SignIn },
    /// Note a key for programs.
    CreateApiKey { key: ApiKeyId, name: String, scopes: Vec<Scope> },
    /// Note that a key is good no more.
    RevokeApiKey { key: ApiKeyId },
    /// Change what the person may do; an administrator says why.
    ChangeRole { role: Role, reason: Option<String> },
    /// Let the account rest. An administrator says why, and the person has no way back then.
    Deactivate { reason: Option<String> },
    /// Use it again. An administrator says why.
    Reactivate { reason: Option<String> },
    /// Forget the person.
    Erase,
}
