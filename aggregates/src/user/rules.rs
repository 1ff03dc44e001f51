//! What may happen to an account, and when.

use chrono::{DateTime, Utc};

use super::command::{Ask, UserCommand};
use super::error::UserError;
use super::event::UserEvent;
use super::terms::{EndReason, Role};
use super::{Status, User};
use crate::id::SessionId;
use crate::pii::Pii;

/// Keys of one person that are good at once: enough for a key for each program, few enough to read.
const MOST_KEYS: usize = 50;

impl User {
    /// How many ways there are into the account: the password, codes to the address and to the
    /// telephone, providers.
    pub(super) fn ways_in(&self) -> usize {
        // A password is asked for with an address.
        usize::from(self.has_password && self.email().is_some())
            + usize::from(self.email_verified)
            + usize::from(self.phone_verified)
            + self.identities.len()
    }

    /// The rules, one row each. Pure: same state, same command, same answer.
    pub(super) fn decide(
        &self,
        UserCommand { now, ask }: UserCommand,
    ) -> Result<Vec<UserEvent>, UserError> {
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
            Status::Deactivated | Status::Barred => self.decide_resting(ask, now),
            Status::Erased => match ask {
                Ask::Erase | Ask::EndSession { .. } | Ask::RevokeApiKey { .. } => Ok(vec![]),
                _ => Err(UserError::NotActive),
            },
        }
    }

    /// What ends something is always right; for all else the account must be used.
    fn decide_resting(&self, ask: Ask, at: DateTime<Utc>) -> Result<Vec<UserEvent>, UserError> {
        let barred = self.status == Status::Barred;
        match ask {
            Ask::Register { .. } => Err(UserError::AlreadyRegistered),
            Ask::Deactivate { reason: reason @ Some(_) } if !barred => {
                Ok(vec![UserEvent::Deactivated { reason, at }])
            }
            Ask::Deactivate { .. } | Ask::EndSession { .. } | Ask::EndOtherSessions { .. } => {
                Ok(vec![])
            }
            Ask::Reactivate { reason: None } if barred => Err(UserError::Barred),
            Ask::Reactivate { reason } => Ok(vec![UserEvent::Reactivated { reason, at }]),
            Ask::Erase | Ask::RevokeApiKey { .. } | Ask::ChangeRole { role: Role::User, .. } => {
                self.decide_active(ask, at)
            }
            _ => Err(UserError::NotActive),
        }
    }

    fn decide_active(&self, ask: Ask, at: DateTime<Utc>) -> Result<Vec<UserEvent>, UserError> {
        use UserEvent as E;
        match ask {
            Ask::Register { .. } => Err(UserError::AlreadyRegistered),
            Ask::Reactivate { .. } => Ok(vec![]),
            // The way back is a link to the address; or an administrator.
            Ask::Deactivate { reason: None } if !self.email_verified => Err(UserError::NoWayBack),
            Ask::Deactivate { reason } => Ok(vec![E::Deactivated { reason, at }]),
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
            Ask::ChangeRole { role, .. } if self.role == role => Ok(vec![]),
            Ask::ChangeRole { role, reason } => Ok(vec![E::RoleChanged { role, reason, at }]),
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
}
