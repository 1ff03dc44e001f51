//! Several new aggregates in one unit: all of them come to be, or none.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use cqrs_es::event_sink::EventSink;
use uuid::Uuid;

use super::batch::Verdict;
use super::executor::Failure;
use super::unit::{Stream, Unit};
use super::{Envelope, ExecuteError, Store, Stored};

/// A unit of new streams, under one command id.
#[must_use]
pub struct Creation<'a> {
    store: &'a Store,
    envelope: Envelope,
    unit: Unit,
}

/// Where the log has the new streams.
#[derive(Clone, Copy, Debug)]
pub struct Created {
    /// The position of the unit's last event.
    pub position: i64,
    /// When the log took them.
    pub recorded_at: DateTime<Utc>,
}

impl<'a> Creation<'a> {
    pub(super) fn new(store: &'a Store, envelope: Envelope) -> Self {
        let unit = Unit { side: envelope.side.clone(), ..Unit::default() };
        Self { store, envelope, unit }
    }

    /// A new aggregate, by these commands.
    pub async fn with<A: Stored>(
        mut self,
        id: impl Into<Uuid>,
        commands: impl IntoIterator<Item = A::Command> + Send,
    ) -> Result<Self, Failure> {
        let (id, mut state, mut sequence) = (id.into(), A::default(), 0);
        let commands: Vec<_> = commands.into_iter().collect();
        for command in commands {
            let sink = EventSink::default();
            state
                .handle(command, &(), &sink)
                .await
                .map_err(|refusal| ExecuteError::Failed(Arc::new(refusal)))?;
            for event in sink.collect().await {
                sequence += 1;
                let ordinal = i16::try_from(self.unit.events.len())
                    .map_err(|error| ExecuteError::Failed(Arc::new(error)))?;
                let event =
                    self.store.encode::<A>(id, sequence, &self.envelope, ordinal, &event).await?;
                self.unit.events.push(event);
            }
        }
        let (aggregate_type, aggregate_id) = (A::TYPE, id.to_string());
        self.unit.streams.push(Stream {
            aggregate_type,
            aggregate_id,
            expected: 0,
            strangers: None,
        });
        Ok(self)
    }

    /// Appends the unit. `Claimed` when a side row's address is somebody else's, `Spent` when
    /// the allowance that one counts is used up.
    pub async fn append(self) -> Result<Created, Failure> {
        match self.store.appender().append(self.unit).await? {
            Verdict::Appended { last_position, recorded_at, .. } => {
                Ok(Created { position: last_position, recorded_at })
            }
            Verdict::Claimed => Err(ExecuteError::Claimed),
            Verdict::Spent => Err(ExecuteError::Spent),
            Verdict::Duplicate | Verdict::Conflict => Err(ExecuteError::Busy),
        }
    }
}
