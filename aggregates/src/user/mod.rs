//! The person: who they are, their ways in, their sessions and keys.

mod command;
mod error;
mod event;
mod terms;
#[cfg(test)]
mod tests;

pub use command::{Ask, UserCommand};
pub use error::UserError;
pub use event::UserEvent;
pub use terms::{EndReason, Provider, Role, Scope, SignIn};

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::id::{ApiKeyId, IdentityId, SessionId};
use crate::pii::Pii;

/// Keys of one person that are good at once: enough for a key for each program, few enough to read.
const MOST_KEYS: usize = 50;

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// There is none.
    #[default]
    Unregistered,
    /// It is used.
    Active,
    /// It rests.
    Deactivated,
    /// The person is gone.
    Erased,
}

/// What the next decision about a person needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    status: Status,
    role: Role,
    name: Pii<Option<String>>,
    email: Pii<Option<String>>,
    email_verified: bool,
    phone: Pii<Option<String>>,
    phone_verified: bool,
    has_password: bool,
    /// How often a way in was changed or shut: what was proved before proves nothing after.
    epoch: u32,
    identities: BTreeMap<IdentityId, Provider>,
    /// Open ones, and until when at the latest.
    sessions: BTreeMap<SessionId, DateTime<Utc>>,
    api_keys: BTreeSet<ApiKeyId>,
}

impl User {
    /// Whether the account may be used.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// What the person may do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The person's name, where there is one and it is readable.
    #[must_use]
    pub fn name(&self) -> Option<&String> {
        self.name.as_clear()?.as_ref()
    }

    /// Where the person is reached, where there is an address and it is readable.
    #[must_use]
    pub fn email(&self) -> Option<&String> {
        self.email.as_clear()?.as_ref()
    }

    /// Whether the person has proved to be reached there.
    #[must_use]
    pub fn email_verified(&self) -> bool {
        self.email_verified
    }

    /// The person's telephone, where there is one and it is readable.
    #[must_use]
    pub fn phone(&self) -> Option<&String> {
        self.phone.as_clear()?.as_ref()
    }

    /// Whether there is a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.has_password
    }

    /// How often a way in was changed or shut.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether the session is open.
    #[must_use]
    pub fn has_session(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// Whether a provider vouches for the person by this identity.
    #[must_use]
    pub fn has_identity(&self, identity: IdentityId) -> bool {
        self.identities.contains_key(&identity)
    }

    /// Who vouches for the person by this identity.
    #[must_use]
    pub fn provider_of(&self, identity: IdentityId) -> Option<Provider> {
        self.identities.get(&identity).copied()
    }

    /// How many ways there are into the account: the password, codes to the address and to the
    /// telephone, providers.
    fn ways_in(&self) -> usize {
        // A password is asked for with an address.
        usize::from(self.has_password && self.email().is_some())
            + usize::from(self.email_verified)
            + usize::from(self.phone_verified)
            + self.identities.len()
    }

    /// The rules, one row each. Pure: same state, same command, same answer.
    fn decide(&self, UserCommand { now, ask }: UserCommand) -> Result<Vec<UserEvent>, UserError> {
        match self.status {
            Status::Unregistered => match ask {
                Ask::Register { email, name, by } => Ok(vec![UserEvent::Registered {
                    email: Pii::Clear(email),
                    name: Pii::Clear(name),
                    by,
                    at: now,
                }]),
                _ => Err(UserError::NotRegistered),
            },
            Status::Active => self.decide_active(ask, now),
            // What ends something is always right; for all else the account must be used.
            Status::Deactivated => match ask {
                Ask::Register { .. } => Err(UserError::AlreadyRegistered),
                Ask::Deactivate | Ask::EndSession { .. } | Ask::EndOtherSessions { .. } => {
                    Ok(vec![])
                }
                Ask::Reactivate => Ok(vec![UserEvent::Reactivated { at: now }]),
                Ask::Erase | Ask::RevokeApiKey { .. } => self.decide_active(ask, now),
                _ => Err(UserError::NotActive),
            },
            Status::Erased => match ask {
                Ask::Erase | Ask::EndSession { .. } | Ask::RevokeApiKey { .. } => Ok(vec![]),
                _ => Err(UserError::NotActive),
            },
        }
    }

    fn decide_active(&self, ask: Ask, at: DateTime<Utc>) -> Result<Vec<UserEvent>, UserError> {
        use UserEvent as E;
        match ask {
            Ask::Register { .. } => Err(UserError::AlreadyRegistered),
            Ask::Reactivate => Ok(vec![]),
            // The way back is a link to the address.
            Ask::Deactivate if !self.email_verified => Err(UserError::NoWayBack),
            Ask::Deactivate => Ok(vec![E::Deactivated { at }]),
            Ask::Erase => Ok(vec![E::Erased { at }]),

            Ask::ChangeProfile { instead_of: Some(read), .. } if self.name() != read.as_ref() => {
                Err(UserError::ProfileMoved)
            }
            Ask::ChangeProfile { name, .. } if self.name() == name.as_ref() => Ok(vec![]),
            Ask::ChangeProfile { name, .. } => {
                Ok(vec![E::ProfileChanged { name: Pii::Clear(name), at }])
            }

            Ask::VerifyEmail { email } if self.email_verified && self.email() == Some(&email) => {
                Ok(vec![])
            }
            Ask::VerifyEmail { email } => {
                Ok(vec![E::EmailVerified { email: Pii::Clear(email), at }])
            }
            Ask::VerifyPhone { phone } if self.phone() == Some(&phone) => Ok(vec![]),
            Ask::VerifyPhone { phone } => {
                Ok(vec![E::PhoneVerified { phone: Pii::Clear(phone), at }])
            }
            Ask::TakeOver { .. } if self.email_verified => Err(UserError::AlreadyVerified),
            Ask::TakeOver { by } => Ok(vec![E::TakenOver { by, at }]),

            Ask::SetPassword { keep } => {
                let ended = self.end_all_but(keep, EndReason::PasswordSet, at);
                Ok(std::iter::once(E::PasswordSet { at }).chain(ended).collect())
            }
            Ask::LinkIdentity { identity, .. } if self.has_identity(identity) => Ok(vec![]),
            Ask::LinkIdentity { identity, provider } => {
                Ok(vec![E::IdentityLinked { identity, provider, at }])
            }
            Ask::UnlinkIdentity { identity } if !self.has_identity(identity) => {
                Err(UserError::UnknownIdentity)
            }
            Ask::UnlinkIdentity { .. } if self.ways_in() == 1 => Err(UserError::LastWayIn),
            Ask::UnlinkIdentity { identity } => Ok(vec![E::IdentityUnlinked { identity, at }]),

            Ask::StartSession { as_of: Some(as_of), .. } if as_of != self.epoch => {
                Err(UserError::WayInChanged)
            }
            Ask::StartSession { session, by, expires_at, .. } => {
                Ok(vec![E::SessionStarted { session, by, expires_at, at }])
            }
            Ask::EndSession { session, .. } if !self.has_session(session) => Ok(vec![]),
            Ask::EndSession { session, why } => {
                Ok(vec![E::SessionsEnded { sessions: vec![session], why, at }])
            }
            Ask::EndOtherSessions { keep } => {
                Ok(self.end_all_but(Some(keep), EndReason::Ended, at).into_iter().collect())
            }

            Ask::CreateApiKey { key, .. } if self.api_keys.contains(&key) => Ok(vec![]),
            Ask::CreateApiKey { .. } if self.api_keys.len() >= MOST_KEYS => {
                Err(UserError::TooManyKeys)
            }
            Ask::CreateApiKey { key, name, scopes } => {
                Ok(vec![E::ApiKeyCreated { key, name: Pii::Clear(name), scopes, at }])
            }
            Ask::RevokeApiKey { key } if !self.api_keys.contains(&key) => Ok(vec![]),
            Ask::RevokeApiKey { key } => Ok(vec![E::ApiKeyRevoked { key, at }]),
            Ask::ChangeRole { role } if self.role == role => Ok(vec![]),
            Ask::ChangeRole { role } => Ok(vec![E::RoleChanged { role, at }]),
        }
    }

    fn end_all_but(
        &self,
        keep: Option<SessionId>,
        why: EndReason,
        at: DateTime<Utc>,
    ) -> Option<UserEvent> {
        let sessions: Vec<_> =
            self.sessions.keys().copied().filter(|session| Some(*session) != keep).collect();
        (!sessions.is_empty()).then_some(UserEvent::SessionsEnded { sessions, why, at })
    }

    /// All ways in are gone but for the address, and all that came in by them.
    fn shut(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.has_password = false;
        (self.phone, self.phone_verified) = (Pii::Clear(None), false);
        self.role = Role::User;
        self.identities.clear();
        self.sessions.clear();
        self.api_keys.clear();
    }
}

impl Aggregate for User {
    const TYPE: &'static str = "user";
    type Command = UserCommand;
    type Event = UserEvent;
    type Error = UserError;
    type Services = ();

    async fn handle(
        &mut self,
        command: UserCommand,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), UserError> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: UserEvent) {
        match event {
            UserEvent::Registered { email, name, by, .. } => {
                self.status = Status::Active;
                (self.email, self.name) = (email, name);
                self.has_password = by == SignIn::Password;
            }
            UserEvent::ProfileChanged { name, .. } => self.name = name,
            UserEvent::EmailVerified { email, .. } => {
                (self.email, self.email_verified) = (email.map(Some), true);
            }
            UserEvent::PhoneVerified { phone, .. } => {
                (self.phone, self.phone_verified) = (phone.map(Some), true);
            }
            UserEvent::PasswordSet { .. } => {
                self.has_password = true;
                self.epoch = self.epoch.wrapping_add(1);
            }
            UserEvent::IdentityLinked { identity, provider, .. } => {
                self.identities.insert(identity, provider);
            }
            UserEvent::IdentityUnlinked { identity, .. } => {
                self.identities.remove(&identity);
                self.epoch = self.epoch.wrapping_add(1);
            }
            UserEvent::SessionStarted { session, expires_at, at, .. } => {
                self.sessions.retain(|_, until| *until > at);
                self.sessions.insert(session, expires_at);
            }
            UserEvent::SessionsEnded { sessions, .. } => {
                self.sessions.retain(|session, _| !sessions.contains(session));
            }
            UserEvent::TakenOver { .. } => self.shut(),
            UserEvent::ApiKeyCreated { key, .. } => {
                self.api_keys.insert(key);
            }
            UserEvent::ApiKeyRevoked { key, .. } => {
                self.api_keys.remove(&key);
            }
            UserEvent::RoleChanged { role, .. } => self.role = role,
            UserEvent::Deactivated { .. } => {
                self.status = Status::Deactivated;
                self.epoch = self.epoch.wrapping_add(1);
                self.sessions.clear();
            }
            UserEvent::Reactivated { .. } => self.status = Status::Active,
            UserEvent::Erased { .. } => {
                *self = Self { status: Status::Erased, ..Self::default() };
            }
        }
    }
}
