//! The person: who they are, and which sessions they have.

mod command;
mod error;
mod event;
#[cfg(test)]
mod tests;

pub use command::{Ask, UserCommand};
pub use error::UserError;
pub use event::{SignIn, UserEvent};

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::pii::Pii;

/// What the next decision about a person needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    name: Option<Pii<Option<String>>>,
}

impl User {
    /// Whether the person has an account.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.name.is_some()
    }

    /// The person's name, where there is one and it is readable.
    #[must_use]
    pub fn name(&self) -> Option<&String> {
        self.name.as_ref()?.as_clear()?.as_ref()
    }

    /// The rules, one row each. Pure: same state, same command, same answer.
    fn decide(&self, command: UserCommand) -> Result<Vec<UserEvent>, UserError> {
        let at = command.now;
        match command.ask {
            Ask::Register { .. } if self.is_registered() => Err(UserError::AlreadyRegistered),
            Ask::Register { email, name, by } => Ok(vec![UserEvent::Registered {
                email: Pii::Clear(email),
                name: Pii::Clear(name),
                by,
                at,
            }]),

            Ask::ChangeProfile { .. } | Ask::StartSession { .. } if !self.is_registered() => {
                Err(UserError::NotRegistered)
            }

            Ask::ChangeProfile { instead_of: Some(read), .. } if self.name() != read.as_ref() => {
                Err(UserError::ProfileMoved)
            }
            Ask::ChangeProfile { name, .. } if self.name == Some(Pii::Clear(name.clone())) => {
                Ok(vec![])
            }
            Ask::ChangeProfile { name, .. } => {
                Ok(vec![UserEvent::ProfileChanged { name: Pii::Clear(name), at }])
            }
            Ask::StartSession { session, by, expires_at } => {
                Ok(vec![UserEvent::SessionStarted { session, by, expires_at, at }])
            }
        }
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
            UserEvent::Registered { name, .. } | UserEvent::ProfileChanged { name, .. } => {
                self.name = Some(name);
            }
            UserEvent::SessionStarted { .. } => {}
        }
    }
}
