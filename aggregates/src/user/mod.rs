//! The person: who they are, their ways in, their sessions and keys.

mod command;
mod error;
mod event;
mod rules;
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

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// There is none.
    #[default]
    Unregistered,
    /// It is used.
    Active,
    /// It rests, as the person wanted.
    Deactivated,
    /// It rests, as an administrator decided: the person has no way back.
    Barred,
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

    /// Whether the key is good.
    #[must_use]
    pub fn has_api_key(&self, key: ApiKeyId) -> bool {
        self.api_keys.contains(&key)
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
            UserEvent::Deactivated { reason, .. } => {
                self.status = match reason {
                    Some(_) => Status::Barred,
                    None => Status::Deactivated,
                };
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
