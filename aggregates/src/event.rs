//! Any event of any aggregate, decoded by type and version.

use cqrs_es::Aggregate;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::catalogue::{OfferEvent, Pack, PackTerms, Plan, PlanTerms};
use crate::chat::{Chat, ChatEvent};
use crate::purchase::{Purchase, PurchaseEvent};
use crate::recharge::{Recharge, RechargeEvent};
use crate::subscription::{Subscription, SubscriptionEvent};
use crate::user::{User, UserEvent};
use crate::wallet::{Wallet, WalletEvent};

/// Any event of any aggregate.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A person's.
    User(UserEvent),
    /// A wallet's.
    Wallet(Box<WalletEvent>),
    /// A purchase's.
    Purchase(PurchaseEvent),
    /// A subscription's.
    Subscription(Box<SubscriptionEvent>),
    /// A pack's.
    Pack(OfferEvent<PackTerms>),
    /// A plan's.
    Plan(OfferEvent<PlanTerms>),
    /// Of a person's auto-recharge.
    Recharge(Box<RechargeEvent>),
    /// Of a chat.
    Chat(Box<ChatEvent>),
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

impl From<UserEvent> for Event {
    fn from(event: UserEvent) -> Self {
        Self::User(event)
    }
}

impl From<WalletEvent> for Event {
    fn from(event: WalletEvent) -> Self {
        Self::Wallet(Box::new(event))
    }
}

impl From<PurchaseEvent> for Event {
    fn from(event: PurchaseEvent) -> Self {
        Self::Purchase(event)
    }
}

impl From<SubscriptionEvent> for Event {
    fn from(event: SubscriptionEvent) -> Self {
        Self::Subscription(Box::new(event))
    }
}

impl From<OfferEvent<PackTerms>> for Event {
    fn from(event: OfferEvent<PackTerms>) -> Self {
        Self::Pack(event)
    }
}

impl From<OfferEvent<PlanTerms>> for Event {
    fn from(event: OfferEvent<PlanTerms>) -> Self {
        Self::Plan(event)
    }
}

impl From<RechargeEvent> for Event {
    fn from(event: RechargeEvent) -> Self {
        Self::Recharge(Box::new(event))
    }
}

impl From<ChatEvent> for Event {
    fn from(event: ChatEvent) -> Self {
        Self::Chat(Box::new(event))
    }
}

impl Event {
    /// Reads an event from its row in the log. Old forms are brought to today's here.
    pub fn decode(
        aggregate_type: &str,
        event_type: &str,
        event_version: &str,
        payload: Value,
    ) -> Result<Self, DecodeError> {
        Self::read(aggregate_type, event_type, event_version, payload)
    }

    /// The same from the stored text, without a tree in between.
    pub fn decode_text(
        aggregate_type: &str,
        event_type: &str,
        event_version: &str,
        payload: &str,
    ) -> Result<Self, DecodeError> {
        let mut payload = serde_json::Deserializer::from_str(payload);
        Self::read(aggregate_type, event_type, event_version, &mut payload)
    }

    fn read<'de>(
        aggregate_type: &str,
        event_type: &str,
        event_version: &str,
        payload: impl Deserializer<'de, Error = serde_json::Error>,
    ) -> Result<Self, DecodeError> {
        let malformed =
            |source| DecodeError::Malformed { event_type: event_type.to_owned(), source };
        match (aggregate_type, event_version) {
            (User::TYPE, "1") => UserEvent::deserialize(payload).map(Self::from).map_err(malformed),
            (Wallet::TYPE, "1") => {
                WalletEvent::deserialize(payload).map(Self::from).map_err(malformed)
            }
            (Purchase::TYPE, "1") => {
                PurchaseEvent::deserialize(payload).map(Self::from).map_err(malformed)
            }
            (Subscription::TYPE, "1") => {
                SubscriptionEvent::deserialize(payload).map(Self::from).map_err(malformed)
            }
            (Pack::TYPE, "1") => {
                OfferEvent::<PackTerms>::deserialize(payload).map(Self::from).map_err(malformed)
            }
            (Plan::TYPE, "1") => {
                OfferEvent::<PlanTerms>::deserialize(payload).map(Self::from).map_err(malformed)
            }
            (Recharge::TYPE, "1") => {
                RechargeEvent::deserialize(payload).map(Self::from).map_err(malformed)
            }
            (Chat::TYPE, "1") => ChatEvent::deserialize(payload).map(Self::from).map_err(malformed),
            _ => Err(DecodeError::Unknown {
                aggregate_type: aggregate_type.to_owned(),
                event_type: event_type.to_owned(),
                event_version: event_version.to_owned(),
            }),
        }
    }
}
