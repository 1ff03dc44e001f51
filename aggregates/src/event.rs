//! Any event of any aggregate, decoded by type and version.

use cqrs_es::Aggregate;
use serde_json::Value;

use crate::user::{User, UserEvent};
use crate::wallet::{Wallet, WalletEvent};

/// Any event of any aggregate.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A person's.
    User(UserEvent),
    /// A wallet's.
    Wallet(Box<WalletEvent>),
}

/// Why an event of the log cannot be read by this version of Saldo.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer Saldo, or not by Saldo.
    #[error("no {aggregate_type} event is called {event_type} in version {event_version}")]
    Unknown { aggregate_type: String, event_type: String, event_version: String },
    /// Not in the shape that its type and version promise.
    #[error("a {event_type} event does not have the shape of its version")]
    Malformed { event_type: String, source: serde_json::Error },
}

impl Event {
    /// Reads an event from its row in the log. Old forms are brought to today's here.
    pub fn decode(
        aggregate_type: &str,
        event_type: &str,
        event_version: &str,
        payload: Value,
    ) -> Result<Self, DecodeError> {
        let malformed =
            |source| DecodeError::Malformed { event_type: event_type.to_owned(), source };
        match (aggregate_type, event_version) {
            (User::TYPE, "1") => {
                serde_json::from_value(payload).map(Self::User).map_err(malformed)
            }
            (Wallet::TYPE, "1") => {
                serde_json::from_value(payload).map(Self::Wallet).map_err(malformed)
            }
            _ => Err(DecodeError::Unknown {
                aggregate_type: aggregate_type.to_owned(),
                event_type: event_type.to_owned(),
                event_version: event_version.to_owned(),
            }),
        }
    }
}
