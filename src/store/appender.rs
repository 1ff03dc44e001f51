//! Group commit: while one batch is in flight, the next one gathers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use projections::tail::Tail;
use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{ConnectOptions, PgConnection, Row};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{error, warn};

use super::metrics::Metrics;
use super::unit::{SideRow, Unit};

/// Units that may wait. At 10,000 units a second this is less than half a second of work.
const QUEUE: usize = 4096;
/// Events in one batch: past this, a batch's time grows and its cost per event hardly falls.
const BATCH_EVENTS: usize = 512;
/// Bytes in one batch, so that large payloads do not hold the head for long.
const BATCH_BYTES: usize = 4 << 20;
/// How long a batch of unknown outcome is sent again before its callers are told.
const RESEND_FOR: Duration = Duration::from_secs(20);
/// The pause between two tries to reach the database.
const RESEND_PAUSE: Duration = Duration::from_millis(50);

/// What the log said to one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// In the log; its last event is at this position. Its streams are as it left them until
    /// another stranger than these is counted.
    Appended { last_position: i64, recorded_at: DateTime<Utc>, strangers: u64 },
    /// One of its commands is in the log already; nothing was written.
    Duplicate,
    /// A stream is not where the unit expects it; nothing was written.
    Conflict,
    /// An address belongs to somebody else; nothing was written.
    Claimed,
    /// A day's allowance is used up; nothing was written.
    Spent,
}

/// Why a unit got no verdict.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Too many units wait.
    #[error("the log is busy")]
    Busy,
    /// The log could not be reached; the unit may or may not be in it.
    #[error("the log could not be reached")]
    Unreachable,
    /// The database refuses the unit's content.
    #[error("the log refused the content of a unit")]
    Refused(#[source] Arc<sqlx::Error>),
}

struct Submission {
    unit: Unit,
    answer: oneshot::Sender<Result<Verdict, AppendError>>,
}

/// The way into the log.
#[derive(Clone)]
pub(super) struct Appender {
    queue: mpsc::Sender<Submission>,
    strangers: Arc<AtomicU64>,
}

impl Appender {
    /// Starts the one writer of this process. `tail` is told what it has appended.
    pub(super) fn start(options: PgConnectOptions, tail: Tail, metrics: Metrics) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let strangers = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&strangers);
        let writer =
            Writer { options, connection: None, tail, metrics, known: None, strangers: counted };
        #[expect(clippy::disallowed_methods, reason = "the writer lives as long as the process")]
        tokio::spawn(writer.run(waiting));
        Self { queue, strangers }
    }

    /// How often somebody else was seen to have written since this process last did. What was
    /// known of a stream at one count is not sure at another.
    pub(super) fn strangers(&self) -> u64 {
        self.strangers.load(Ordering::Acquire)
    }

    /// How many units wait to be sent, about.
    pub(super) fn waiting(&self) -> usize {
        QUEUE - self.queue.capacity()
    }

    /// Appends a unit, together with whatever else waits.
    pub(super) async fn append(&self, unit: Unit) -> Result<Verdict, AppendError> {
        let (answer, verdict) = oneshot::channel();
        self.queue.try_send(Submission { unit, answer }).map_err(|_| AppendError::Busy)?;
        verdict.await.unwrap_or(Err(AppendError::Unreachable))
    }
}

struct Writer {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    tail: Tail,
    metrics: Metrics,
    /// The hash of the log's head as this writer left it; none when that is not known.
    known: Option<Vec<u8>>,
    strangers: Arc<AtomicU64>,
}

impl Writer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Submission>) {
        while let Some(first) = waiting.recv().await {
            let mut events = first.unit.events.len();
            let mut bytes = first.unit.size();
            let mut batch = vec![first];
            while events < BATCH_EVENTS && bytes < BATCH_BYTES {
                let Ok(next) = waiting.try_recv() else { break };
                events += next.unit.events.len();
                bytes += next.unit.size();
                batch.push(next);
            }
            let began = Instant::now();
            self.write(batch).await;
            self.metrics.batch(events, began.elapsed());
        }
    }

    /// Writes a batch; when its content is refused, its units one by one, so that one bad unit
    /// never fails others.
    async fn write(&mut self, batch: Vec<Submission>) {
        let (units, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|submission| (submission.unit, submission.answer)).unzip();
        match self.send_until_answered(&self.columns(&units)).await {
            Ok(verdicts) => {
                // Who waits comes first: the read models gather what they are told anyway.
                for (answer, verdict) in answers.into_iter().zip(&verdicts) {
                    // A caller that has gone needs no answer.
                    let _ = answer.send(Ok(*verdict));
                }
                self.tell(units, &verdicts);
            }
            Err(AppendError::Refused(error)) if units.len() > 1 => {
                warn!(error = %error, units = units.len(), "a batch was refused; sending its units one by one");
                for (unit, answer) in units.into_iter().zip(answers) {
                    let columns = self.columns(std::slice::from_ref(&unit));
                    let verdicts = self.send_until_answered(&columns).await;
                    let verdict = verdicts.and_then(|verdicts| {
                        verdicts.first().copied().ok_or(AppendError::Unreachable)
                    });
                    if let Ok(verdict) = verdict {
                        self.tell(vec![unit], &[verdict]);
                    }
                    if verdict.is_err() {
                        self.metrics.failure();
                    }
                    let _ = answer.send(verdict);
                }
            }
            Err(error) => {
                self.metrics.failure();
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Tells the projections what the log has now.
    fn tell(&self, units: Vec<Unit>, verdicts: &[Verdict]) {
        let appended =
            units.into_iter().zip(verdicts).filter_map(|(unit, verdict)| match verdict {
                Verdict::Appended { last_position, recorded_at, .. } => {
                    Some(unit.recorded(*last_position, *recorded_at))
                }
                _ => None,
            });
        let appended: Vec<_> = appended.flatten().collect();
        self.metrics.appended(&appended);
        self.tail.push(appended);
    }

    fn columns<'a>(&self, units: &'a [Unit]) -> Columns<'a> {
        Columns::of(units, self.strangers.load(Ordering::Acquire))
    }

    /// Sends a batch. When the connection is lost its outcome is unknown: it is sent again, and
    /// what was committed answers as duplicate.
    async fn send_until_answered(
        &mut self,
        columns: &Columns<'_>,
    ) -> Result<Vec<Verdict>, AppendError> {
        let deadline = Instant::now() + RESEND_FOR;
        loop {
            let sent = self.send(columns).await;
            let lost = match sent {
                Ok(verdicts) => return Ok(verdicts),
                Err(error) if is_about_content(&error) => {
                    return Err(AppendError::Refused(Arc::new(error)));
                }
                Err(error) => error,
            };
            self.connection = None;
            self.known = None;
            if Instant::now() > deadline {
                error!(error = %lost, "the log could not be reached");
                return Err(AppendError::Unreachable);
            }
            self.metrics.retry();
            warn!(error = %lost, "the connection to the log was lost; sending the batch again");
            tokio::time::sleep(RESEND_PAUSE).await;
        }
    }

    async fn send(&mut self, columns: &Columns<'_>) -> Result<Vec<Verdict>, sqlx::Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.options.connect().await?),
        };
        let row = sqlx::query("select last_position, at, head, alone, duplicates, conflicts, claimed, spent from append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)")
            .bind(&columns.stream_unit)
            .bind(&columns.stream_type)
            .bind(&columns.stream_id)
            .bind(&columns.stream_expected)
            .bind(&columns.stream_sure)
            .bind(&columns.unit)
            .bind(&columns.aggregate_type)
            .bind(&columns.aggregate_id)
            .bind(&columns.sequence)
            .bind(&columns.event_type)
            .bind(&columns.event_version)
            .bind(&columns.payload)
            .bind(&columns.metadata)
            .bind(&columns.command_id)
            .bind(&columns.ordinal)
            .bind(&columns.leaf)
            .bind(columns.side.as_ref())
            .bind(self.known.as_ref())
            .fetch_one(connection)
            .await?;
        let strangers = self.learn(&row)?;
        columns.verdicts(&row, strangers)
    }

    /// Remembers the head, and counts who has written in between; gives back the count.
    fn learn(&mut self, row: &PgRow) -> Result<u64, sqlx::Error> {
        self.known = Some(row.try_get("head")?);
        let met = u64::from(!row.try_get::<bool, _>("alone")?);
        Ok(self.strangers.fetch_add(met, Ordering::AcqRel) + met)
    }
}

/// Whether the database refused what was sent (class 22: data, 23: integrity), so that sending the
/// same again cannot help.
fn is_about_content(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => {
            // Of the others, some are gone when it is tried again: connections, rollbacks, resources,
            // locks, operators, the system (classes 08, 40, 53, 55, 57, 58).
            let passing = ["08", "40", "53", "55", "57", "58"];
            database.code().is_some_and(|code| !passing.iter().any(|class| code.starts_with(class)))
        }
        sqlx::Error::Encode(_) | sqlx::Error::ColumnDecode { .. } => true,
        _ => false,
    }
}

/// A batch as the arrays of `append_events`.
struct Columns<'a> {
    /// How many events each unit has.
    lengths: Vec<i64>,
    stream_unit: Vec<i32>,
    stream_type: Vec<&'a str>,
    stream_id: Vec<&'a str>,
    stream_expected: Vec<i64>,
    stream_sure: Vec<bool>,
    unit: Vec<i32>,
    aggregate_type: Vec<&'a str>,
    aggregate_id: Vec<&'a str>,
    sequence: Vec<i64>,
    event_type: Vec<&'a str>,
    event_version: Vec<&'a str>,
    payload: Vec<&'a str>,
    metadata: Vec<&'a str>,
    command_id: Vec<uuid::Uuid>,
    ordinal: Vec<i16>,
    leaf: Vec<Vec<u8>>,
    side: Option<serde_json::Value>,
}

#[derive(Serialize)]
struct SideOfUnit<'a> {
    unit: usize,
    #[serde(flatten)]
    row: &'a SideRow,
}

impl<'a> Columns<'a> {
    /// `strangers` is the writer's count of them.
    fn of(units: &'a [Unit], strangers: u64) -> Self {
        let numbered = || (0_i32..).zip(units);
        let streams: Vec<_> =
            numbered().flat_map(|(n, unit)| unit.streams.iter().map(move |s| (n, s))).collect();
        let events: Vec<_> =
            numbered().flat_map(|(n, unit)| unit.events.iter().map(move |e| (n, e))).collect();
        let side: Vec<_> = units
            .iter()
            .enumerate()
            .flat_map(|(unit, u)| u.side.iter().map(move |row| SideOfUnit { unit, row }))
            .collect();
        Self {
            lengths: units.iter().map(Unit::length).collect(),
            stream_unit: streams.iter().map(|(n, _)| *n).collect(),
            stream_type: streams.iter().map(|(_, s)| s.aggregate_type).collect(),
            stream_id: streams.iter().map(|(_, s)| s.aggregate_id.as_str()).collect(),
            stream_expected: streams.iter().map(|(_, s)| s.expected).collect(),
            stream_sure: streams.iter().map(|(_, s)| s.strangers == Some(strangers)).collect(),
            unit: events.iter().map(|(n, _)| *n).collect(),
            aggregate_type: events.iter().map(|(_, e)| e.aggregate_type).collect(),
            aggregate_id: events.iter().map(|(_, e)| e.aggregate_id.as_str()).collect(),
            sequence: events.iter().map(|(_, e)| e.sequence).collect(),
            event_type: events.iter().map(|(_, e)| e.event_type.as_str()).collect(),
            event_version: events.iter().map(|(_, e)| e.event_version.as_str()).collect(),
            payload: events.iter().map(|(_, e)| e.payload.as_str()).collect(),
            metadata: events.iter().map(|(_, e)| e.metadata.as_str()).collect(),
            command_id: events.iter().map(|(_, e)| e.command_id.0).collect(),
            ordinal: events.iter().map(|(_, e)| e.ordinal).collect(),
            leaf: events.iter().map(|(_, e)| e.leaf().to_vec()).collect(),
            side: (!side.is_empty()).then(|| serde_json::json!(side)),
        }
    }

    /// What the answer of `append_events` says to each unit: those that are in none of its lists
    /// are in the log in their order, the last of them up to its end.
    fn verdicts(&self, row: &PgRow, strangers: u64) -> Result<Vec<Verdict>, sqlx::Error> {
        let mut refused = HashMap::new();
        for (list, verdict) in [
            ("spent", Verdict::Spent),
            ("claimed", Verdict::Claimed),
            ("conflicts", Verdict::Conflict),
            ("duplicates", Verdict::Duplicate),
        ] {
            let units: Option<Vec<i32>> = row.try_get(list)?;
            refused.extend(units.into_iter().flatten().map(|unit| (unit, verdict)));
        }
        let (end, recorded_at): (i64, _) = (row.try_get("last_position")?, row.try_get("at")?);
        let units = || (0_i32..).zip(&self.lengths);
        let appended = units().filter(|(unit, _)| !refused.contains_key(unit));
        let mut last_position = end - appended.map(|(_, length)| length).sum::<i64>();
        let verdict = |(unit, length): (i32, &i64)| {
            refused.get(&unit).copied().unwrap_or_else(|| {
                last_position += length;
                Verdict::Appended { last_position, recorded_at, strangers }
            })
        };
        Ok(units().map(verdict).collect())
    }
}
