//! What may be asked of a person's account.

use chrono::{DateTime, Utc};

use super::event::SignIn;
use crate::id::SessionId;

/// What may be asked of a person's account, at the time `now`.
#[derive(Clone, Debug, PartialEq)]
pub struct UserCommand {
    /// The time the events will carry.
    pub now: DateTime<Utc>,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Create the account.
    Register { email: String, name: Option<String>, by: SignIn },
    /// Change the name; none removes it. Where the caller has read another one, given as
    /// `instead_of`, only if that is still the name.
    ChangeProfile { name: Option<String>, instead_of: Option<Option<String>> },
    /// Note that the person signed in. The session's secrets live beside the log.
    StartSession { session: SessionId, by: SignIn, expires_at: DateTime<Utc> },
}
