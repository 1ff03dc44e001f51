//! Events: what Stripe says has changed. What it is now, the object says.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;
use stripe_core::event::{ListEvent, RetrieveEvent};
use stripe_types::RangeQueryTs;

use super::Stripe;
use super::error::StripeError;
use super::fields::Fields;
use super::send::{PAGE, id};

/// What an event says of itself. The object in it has the shape of whichever version its sender
/// was set to, and does not print.
#[derive(Clone, PartialEq)]
pub struct EventEnvelope {
    /// `evt_…`: the same when it is sent again.
    pub id: String,
    /// What happened, such as `invoice.paid`.
    pub kind: String,
    /// When, in whole seconds.
    pub created: DateTime<Utc>,
    /// Whether money moves.
    pub livemode: bool,
    /// In which version of the API the object is.
    pub api_version: Option<String>,
    /// Whose, where it is a connected account's.
    pub account: Option<String>,
    /// Which object. A few have no id, such as the balance.
    pub object_id: Option<String>,
    /// What kind of object.
    pub object_type: String,
    /// The object, as it was then.
    pub object: Value,
}

/// An event that is not as events are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event cannot be understood: {field}")]
pub struct Malformed {
    /// What is missing or wrong in it.
    pub field: String,
}

/// An event of the list.
#[derive(Clone)]
pub struct ListedEvent {
    /// As it is, to be kept.
    pub raw: String,
    /// As it is understood.
    pub envelope: Result<EventEnvelope, Malformed>,
}

/// A page of the list of events.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// The oldest first.
    pub events: Vec<ListedEvent>,
    /// What the next page begins after, which has older ones; none where there is no other.
    pub next: Option<String>,
}

impl EventEnvelope {
    /// Reads an event whose origin is known.
    pub fn read(event: &[u8]) -> Result<Self, Malformed> {
        let event = serde_json::from_slice(event);
        let event = event.map_err(|_| Malformed { field: "object".to_owned() })?;
        Self::of(&event)
    }

    fn of(event: &Value) -> Result<Self, Malformed> {
        Self::fields(event).map_err(|error| match error {
            StripeError::Unusable { field } => Malformed { field },
            other => Malformed { field: other.to_string() },
        })
    }

    fn fields(event: &Value) -> Result<Self, StripeError> {
        let fields = Fields::of(event)?;
        let data = fields.object("data")?;
        let object = data.object("object")?;
        Ok(Self {
            id: fields.id()?,
            kind: fields.required("type")?,
            created: fields.required("created")?,
            livemode: fields.required("livemode")?,
            api_version: fields.optional("api_version")?,
            account: fields.maybe_reference("account")?,
            object_id: object.maybe_reference("id")?,
            object_type: object.required("object")?,
            object: data.required::<&Value>("object")?.clone(),
        })
    }
}

impl Stripe {
    /// The events since a time, page by page from the newest one on; Stripe keeps them for thirty
    /// days. One that cannot be understood is there too.
    pub async fn events_since(
        &self,
        since: DateTime<Utc>,
        after: Option<String>,
    ) -> Result<EventPage, StripeError> {
        let list = ListEvent::new().created(RangeQueryTs::gte(since.timestamp())).limit(PAGE);
        let (events, next) = match after {
            Some(after) => self.page(&list.starting_after(after)).await?,
            None => self.page(&list).await?,
        };
        let listed = |event: Value| ListedEvent {
            raw: event.to_string(),
            envelope: EventEnvelope::of(&event),
        };
        Ok(EventPage { events: events.into_iter().rev().map(listed).collect(), next })
    }

    /// An event.
    pub async fn event(&self, event: &str) -> Result<EventEnvelope, StripeError> {
        let answer = self.read(&RetrieveEvent::new(id("event", event)?)).await?;
        EventEnvelope::fields(&answer)
    }
}

impl fmt::Debug for EventEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut event = f.debug_struct("EventEnvelope");
        event.field("id", &self.id).field("kind", &self.kind).field("created", &self.created);
        event.field("livemode", &self.livemode).field("api_version", &self.api_version);
        event.field("object_id", &self.object_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for ListedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListedEvent").field("envelope", &self.envelope).finish_non_exhaustive()
    }
}
