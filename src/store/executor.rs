//! Commands of one aggregate run in order against its cached state; all that wait are decided back
//! to back and appended as one unit, so a hot wallet is as fast as a thousand cold ones.

use std::collections::HashMap;

use aggregates::id::{CommandId, UserId};
use aggregates::pii::CLEAR;
use cqrs_es::DomainEvent;
use cqrs_es::event_sink::EventSink;
use tokio::sync::oneshot;
use tracing::{Instrument, warn};
use uuid::Uuid;

use super::batch::Verdict;
use super::codec::place;
use super::lane::{Answer, Shift, Waiting};
use super::loading::{self, Known, Loaded};
use super::unit::{NewEvent, Stream, Told, Unit};
use super::{Envelope, ExecuteError, Outcome, Store, Stored, traced};
use crate::detach::DetachOnDrop;

/// How often a unit is decided again because other nodes wrote first. Each try loses only to
/// somebody else's success, so this many in a row mean a stampede.
const ATTEMPTS: usize = 50;

/// A command that nothing was appended for, and what was decided of it.
type Unsettled<A> = (Waiting<A>, Decision<A>);

type Decision<A> = Result<Vec<<A as cqrs_es::Aggregate>::Event>, <A as cqrs_es::Aggregate>::Error>;

/// Executes a command to its end: a caller that hangs up cannot stop it half-way. Whoever comes first does the
/// work of all that wait for the same aggregate, until their own command is answered.
pub(super) async fn execute<A: Stored>(
    store: &Store,
    id: Uuid,
    envelope: Envelope,
    command: A::Command,
) -> Answer<A> {
    let (answer, mut outcome) = oneshot::channel();
    let span = traced::command::<A>();
    let waiting = Waiting { envelope, command, span: span.clone(), answer };
    let answer = if A::lane(store).push(id, waiting) {
        let store = store.clone();
        let turns = DetachOnDrop::new(async move {
            let _shift = Shift::begin(A::lane(&store), id);
            while let Some((waiting, cached)) = A::lane(&store).take(id) {
                let kept = Turn { store: &store, id, waiting, cached }.run().await;
                A::lane(&store).keep(id, kept);
            }
        });
        tokio::select! {
            biased;
            () = turns => outcome.await,
            outcome = &mut outcome => outcome,
        }
    } else {
        outcome.await
    };
    let answer = answer.unwrap_or(Err(ExecuteError::Unavailable));
    span.record("saldo.outcome", traced::became(&answer));
    answer
}

/// What the log says the command did, where it knows it.
pub(super) async fn known<A: Stored>(
    store: &Store,
    id: Uuid,
    envelope: &Envelope,
) -> Result<Option<Outcome<A>>, ExecuteError<A::Error>> {
    let ids = [envelope.command_id.0];
    let known = loading::known::<A>(store.pool(), store.codec(), id, &ids).await?.pop();
    known.map(|(_, known)| again(known, envelope)).transpose()
}

/// All commands that waited for an aggregate, taken at once.
struct Turn<'a, A: Stored> {
    store: &'a Store,
    id: Uuid,
    waiting: Vec<Waiting<A>>,
    cached: Option<Loaded<A>>,
}

/// What was decided of a turn's commands, in their order.
struct Decided<A: Stored> {
    loaded: Loaded<A>,
    decisions: Vec<Decision<A>>,
    unit: Unit,
}

impl<A: Stored> Turn<'_, A> {
    /// Answers every command; gives back the state, where it is known to be that of the log.
    async fn run(mut self) -> Option<Loaded<A>> {
        for _ in 0..ATTEMPTS {
            let fresh = self.cached.is_none();
            let (first, deciding) = traced::turn(&self.waiting);
            let decided = match self.decide().instrument(deciding).await {
                Ok(decided) => decided,
                Err(error) => return self.fail(&error),
            };
            if decided.unit.events.is_empty() {
                match self.confirm_refusals(&decided, fresh).await {
                    Ok(true) => return self.answer(decided, None).await,
                    Ok(false) => continue,
                    Err(error) => return self.fail(&error),
                }
            }
            let Decided { mut loaded, decisions, unit } = decided;
            match self.store.appender().append(unit).instrument(first).await {
                Ok(Verdict::Appended { last_position, recorded_at, strangers }) => {
                    loaded.strangers = strangers;
                    let decided = Decided { loaded, decisions, unit: Unit::default() };
                    return self.answer(decided, Some((last_position, recorded_at))).await;
                }
                Ok(Verdict::Conflict) => self.store.metrics().conflict(),
                Ok(Verdict::Duplicate) => {
                    self.store.metrics().duplicate();
                    if let Err(error) = self.answer_known(&decisions).await {
                        return self.fail(&error);
                    }
                    if self.waiting.is_empty() {
                        return None;
                    }
                }
                Ok(Verdict::Claimed) => return self.fail(&ExecuteError::Claimed),
                Ok(Verdict::Spent) => return self.fail(&ExecuteError::Spent),
                Err(error) => return self.fail(&error.into()),
            }
        }
        self.fail(&ExecuteError::Busy)
    }

    /// Decides the commands one after the other, on the cached state or on a loaded one.
    async fn decide(&mut self) -> Result<Decided<A>, Failure> {
        let mut loaded = if let Some(loaded) = self.cached.take() {
            loaded
        } else {
            let strangers = self.store.appender().strangers();
            loading::load::<A>(self.store.pool(), self.store.codec(), self.id, strangers).await?
        };
        let aggregate_id = self.id.to_string();
        let mut decisions = Vec::with_capacity(self.waiting.len());
        let mut unit = Unit {
            streams: vec![Stream {
                aggregate_type: A::TYPE,
                aggregate_id: aggregate_id.clone(),
                expected: loaded.version,
                strangers: Some(loaded.strangers),
            }],
            ..Unit::default()
        };
        for Waiting { envelope, command, .. } in &self.waiting {
            let sink = EventSink::default();
            let decision = loaded.state.handle(command.clone(), &(), &sink).await;
            let events = match decision {
                Ok(()) => sink.collect().await,
                Err(error) => {
                    decisions.push(Err(error));
                    continue;
                }
            };
            for (ordinal, event) in (0..).zip(&events) {
                loaded.version += 1;
                let event = self
                    .store
                    .encode::<A>(self.id, loaded.version, envelope, ordinal, event)
                    .await?;
                unit.events.push(event);
            }
            if !events.is_empty() {
                unit.side.extend(envelope.side.iter().cloned());
            }
            decisions.push(Ok(events));
        }
        Ok(Decided { loaded, decisions, unit })
    }

    /// Whether refusals may be given: from a cached state only when no other node has written
    /// since. A command that the log knows is answered as it was the first time.
    async fn confirm_refusals(
        &mut self,
        decided: &Decided<A>,
        fresh: bool,
    ) -> Result<bool, Failure> {
        let before = self.waiting.len();
        self.answer_known(&decided.decisions).await?;
        if self.waiting.len() < before {
            // Decisions are by place; decide the rest again.
            return Ok(false);
        }
        if fresh {
            return Ok(true);
        }
        let version = loading::version::<A>(self.store.pool(), self.id).await?;
        Ok(version == decided.loaded.version)
    }

    /// Answers those commands that the log knows, as it did the first time. `decisions` are what was decided of all
    /// that wait.
    async fn answer_known(&mut self, decisions: &[Decision<A>]) -> Result<(), Failure> {
        let ids: Vec<_> = self.waiting.iter().map(|w| w.envelope.command_id.0).collect();
        let known =
            loading::known::<A>(self.store.pool(), self.store.codec(), self.id, &ids).await?;
        let mut known: HashMap<CommandId, Known<A>> = known.into_iter().collect();
        for (waiting, decision) in std::mem::take(&mut self.waiting).into_iter().zip(decisions) {
            match known.remove(&waiting.envelope.command_id) {
                Some(mut known) => {
                    known.outcome.replayed = !known.is(decision, &waiting.envelope);
                    send(waiting.answer, again(known, &waiting.envelope));
                }
                None => self.waiting.push(waiting),
            }
        }
        Ok(())
    }

    /// Hands out what was decided. Refusals beside an appended unit need no second look: the unit
    /// was appended because the state was the log's. A refused command that the log knows may
    /// still be among them.
    async fn answer(
        mut self,
        decided: Decided<A>,
        appended: Option<(i64, chrono::DateTime<chrono::Utc>)>,
    ) -> Option<Loaded<A>> {
        let Decided { loaded, decisions, .. } = decided;
        let total: usize = decisions.iter().flatten().map(Vec::len).sum();
        let mut sequence = loaded.version - to_i64(total);
        let mut left = total;
        let mut unsettled = Vec::new();
        for (waiting, decision) in std::mem::take(&mut self.waiting).into_iter().zip(decisions) {
            match (decision, appended) {
                (Ok(events), Some((last_position, recorded_at))) if !events.is_empty() => {
                    sequence += to_i64(events.len());
                    left -= events.len();
                    let position = last_position - to_i64(left);
                    let outcome = Outcome {
                        events,
                        version: sequence,
                        position,
                        recorded_at,
                        replayed: false,
                    };
                    send(waiting.answer, Ok(outcome));
                }
                (decision, Some(_)) => unsettled.push((waiting, decision)),
                (decision, None) => send(waiting.answer, self.nothing(decision, sequence)),
            }
        }
        if !unsettled.is_empty() {
            self.settle(unsettled, loaded.version).await;
        }
        Some(self.snapshot_when_due(loaded))
    }

    /// Answers refusals and no-ops that stood beside appended commands.
    async fn settle(&mut self, unsettled: Vec<Unsettled<A>>, version: i64) {
        let (waiting, decisions): (Vec<_>, Vec<_>) = unsettled.into_iter().unzip();
        let ids: Vec<_> = waiting.iter().map(|w: &Waiting<A>| w.envelope.command_id.0).collect();
        match loading::known::<A>(self.store.pool(), self.store.codec(), self.id, &ids).await {
            Ok(known) => {
                let mut known: HashMap<CommandId, Known<A>> = known.into_iter().collect();
                for (waiting, decision) in waiting.into_iter().zip(decisions) {
                    let answer = match known.remove(&waiting.envelope.command_id) {
                        Some(known) => again(known, &waiting.envelope),
                        None => self.nothing(decision, version),
                    };
                    send(waiting.answer, answer);
                }
            }
            Err(error) => {
                let error = Failure::from(error);
                self.waiting = waiting;
                self.fail_waiting(&error);
            }
        }
    }

    /// The answer to a command that wrote nothing.
    fn nothing(&self, decision: Decision<A>, version: i64) -> Answer<A> {
        match decision {
            Ok(_) => Ok(Outcome {
                events: vec![],
                version,
                position: self.store.head(),
                recorded_at: crate::clock::now(),
                replayed: false,
            }),
            Err(refusal) => Err(ExecuteError::Refused(refusal)),
        }
    }

    /// Writes a snapshot in the background when enough has happened since the last.
    fn snapshot_when_due(&self, mut loaded: Loaded<A>) -> Loaded<A> {
        if loaded.version - loaded.snapshot < A::SNAPSHOT_EVERY {
            return loaded;
        }
        loaded.snapshot = loaded.version;
        let (store, id, version) = (self.store.clone(), self.id, loaded.version);
        match serde_json::to_value(&loaded.state) {
            Ok(state) => {
                #[expect(clippy::disallowed_methods, reason = "a lost snapshot costs time only")]
                tokio::spawn(async move {
                    let written = loading::write_snapshot::<A>(
                        store.pool(),
                        store.codec(),
                        id,
                        version,
                        state,
                    );
                    if let Err(error) = written.await {
                        warn!(error = %error, aggregate.id = %id, "a snapshot was not written");
                    }
                });
            }
            Err(error) => warn!(error = %error, aggregate.id = %id, "a state is not serialisable"),
        }
        loaded
    }

    /// Tells every caller that it failed. The state is dropped: it may hold what was not written.
    fn fail(mut self, error: &Failure) -> Option<Loaded<A>> {
        self.fail_waiting(error);
        None
    }

    fn fail_waiting(&mut self, error: &Failure) {
        // Not all that is known of it: a database's error has the beginning of the row that it refused.
        if let ExecuteError::Failed(cause) = error {
            tracing::error!(error = %cause, aggregate.id = %self.id, "commands failed");
        }
        for waiting in self.waiting.drain(..) {
            send(waiting.answer, Err(error.shared()));
        }
    }
}

/// A failure that is no refusal.
pub(super) type Failure = ExecuteError<std::convert::Infallible>;

impl<A: Stored> Known<A> {
    /// Whether it is what was decided just now, and not what somebody did before under the same id: the writer sends
    /// again what it got no answer to, and is told that the log has it.
    fn is(&self, decision: &Decision<A>, envelope: &Envelope) -> bool {
        self.metadata == envelope.metadata
            && decision.as_ref().is_ok_and(|events| *events == self.outcome.events)
    }
}

/// The first outcome of a command, unless its key was used for something else.
fn again<A: Stored>(known: Known<A>, envelope: &Envelope) -> Answer<A> {
    let (then, now) = (&known.metadata.request_hash, &envelope.metadata.request_hash);
    if then == now { Ok(known.outcome) } else { Err(ExecuteError::KeyReused) }
}

/// A caller that has gone needs no answer: what was decided stands.
fn send<T>(answer: oneshot::Sender<T>, value: T) {
    let _ = answer.send(value);
}

fn to_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Store {
    /// An event as the log stores it: JSON, personal data sealed.
    pub(super) async fn encode<A: Stored>(
        &self,
        id: Uuid,
        sequence: i64,
        envelope: &Envelope,
        ordinal: i16,
        event: &A::Event,
    ) -> Result<NewEvent, Failure> {
        let aggregate_id = id.to_string();
        let mut payload = serde_json::to_string(event)?;
        if payload.contains(CLEAR) {
            let place = place(A::TYPE, &aggregate_id, sequence);
            payload = self.seal(UserId(id), &place, envelope, &payload).await?;
        }
        Ok(NewEvent {
            aggregate_type: A::TYPE,
            aggregate_id,
            sequence,
            event_type: event.event_type(),
            event_version: event.event_version(),
            payload,
            metadata: serde_json::to_string(&envelope.metadata)?,
            command_id: envelope.command_id,
            ordinal,
            told: Told {
                event: event.clone().into(),
                id,
                request_id: envelope.metadata.request_id.clone(),
            },
        })
    }

    async fn seal(
        &self,
        user: UserId,
        place: &str,
        envelope: &Envelope,
        payload: &str,
    ) -> Result<String, Failure> {
        let mut payload = serde_json::from_str(payload)?;
        match &envelope.person_key {
            Some(key) => super::codec::seal_with(key, place, &mut payload),
            None => self.codec().seal(user, place, &mut payload).await,
        }?;
        Ok(payload.to_string())
    }
}
