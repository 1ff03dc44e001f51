//! Group commit: while one batch is in flight, the next one gathers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use projections::tail::Tail;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{ConnectOptions, PgConnection, Row};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{Instrument, Span, error, warn};

use super::batch::{Columns, Verdict};
use super::metrics::Metrics;
use super::traced;
use super::unit::Unit;

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
    /// Its part of a trace.
    span: Span,
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
    ///
    /// It has a thread of its own: all writes wait for its answers, and among the tasks of requests its
    /// turn comes late when there are many.
    pub(super) fn start(
        options: PgConnectOptions,
        tail: Tail,
        metrics: Metrics,
    ) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let strangers = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&strangers);
        let audience = Audience { tail, metrics: metrics.clone() };
        let writer = Writer {
            options,
            connection: None,
            audience,
            metrics,
            known: None,
            strangers: counted,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // It ends when nobody can send any more, after what was sent.
        std::thread::Builder::new()
            .name("saldo-appender".into())
            .spawn(move || runtime.block_on(writer.run(waiting)))?;
        Ok(Self { queue, strangers })
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
        let span = traced::append(&unit);
        let submission = Submission { unit, span: span.clone(), answer };
        self.queue.try_send(submission).map_err(|_| AppendError::Busy)?;
        let verdict = verdict.await.unwrap_or(Err(AppendError::Unreachable));
        if let Ok(Verdict::Appended { last_position, .. }) = verdict {
            span.record("saldo.position", last_position);
        }
        verdict
    }
}

struct Writer {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    audience: Audience,
    metrics: Metrics,
    /// The hash of the log's head as this writer left it; none when that is not known.
    known: Option<Vec<u8>>,
    strangers: Arc<AtomicU64>,
}

/// A batch that the log has answered, before anybody knows.
struct Written {
    units: Vec<Unit>,
    answers: Vec<oneshot::Sender<Result<Verdict, AppendError>>>,
    verdicts: Vec<Verdict>,
}

impl Writer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Submission>) {
        let audience = self.audience.clone();
        let mut written = None;
        loop {
            let first = if let Ok(first) = waiting.try_recv() {
                first
            } else {
                audience.hear(written.take());
                let Some(first) = waiting.recv().await else { return };
                first
            };
            let batch = gather(first, &mut waiting);
            // The callers of one batch are told while the log works on the next.
            let telling = async { audience.hear(written.take()) };
            let (next, ()) = tokio::join!(self.write(batch), telling);
            written = next;
        }
    }

    /// Writes a batch; when its content is refused, its units one by one, so that one bad unit
    /// never fails others.
    async fn write(&mut self, batch: Vec<Submission>) -> Option<Written> {
        let began = Instant::now();
        let span = traced::batch(batch.iter().map(|submission| &submission.span));
        let (units, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|submission| (submission.unit, submission.answer)).unzip();
        let sent = self.send_until_answered(&self.columns(&units)).instrument(span).await;
        let events = units.iter().map(|unit| unit.events.len()).sum();
        self.metrics.batch(events, began.elapsed());
        match sent {
            Ok(verdicts) => Some(Written { units, answers, verdicts }),
            Err(AppendError::Refused(error)) if units.len() > 1 => {
                warn!(error = %error, units = units.len(), "a batch was refused; sending its units one by one");
                for (unit, answer) in units.into_iter().zip(answers) {
                    self.write_alone(unit, answer).await;
                }
                None
            }
            Err(error) => {
                self.metrics.failure();
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
                None
            }
        }
    }

    async fn write_alone(
        &mut self,
        unit: Unit,
        answer: oneshot::Sender<Result<Verdict, AppendError>>,
    ) {
        let sent = self.send_until_answered(&self.columns(std::slice::from_ref(&unit))).await;
        match sent {
            Ok(verdicts) => {
                self.audience.hear(Some(Written {
                    units: vec![unit],
                    answers: vec![answer],
                    verdicts,
                }));
            }
            Err(error) => {
                self.metrics.failure();
                let _ = answer.send(Err(error));
            }
        }
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
        let row = columns.append(self.known.as_deref(), connection).await?;
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

/// A batch: what waits, as far as it may go together.
fn gather(first: Submission, waiting: &mut mpsc::Receiver<Submission>) -> Vec<Submission> {
    let mut events = first.unit.events.len();
    let mut bytes = first.unit.size();
    let mut batch = vec![first];
    while events < BATCH_EVENTS && bytes < BATCH_BYTES {
        let Ok(next) = waiting.try_recv() else { break };
        events += next.unit.events.len();
        bytes += next.unit.size();
        batch.push(next);
    }
    batch
}

/// Who is told what the log has now.
#[derive(Clone)]
struct Audience {
    tail: Tail,
    metrics: Metrics,
}

impl Audience {
    /// Tells the callers, and then the projections, which gather what they are told anyway.
    fn hear(&self, written: Option<Written>) {
        let Some(Written { units, answers, verdicts }) = written else { return };
        for (answer, verdict) in answers.into_iter().zip(&verdicts) {
            // A caller that has gone needs no answer.
            let _ = answer.send(Ok(*verdict));
        }
        let appended =
            units.into_iter().zip(&verdicts).filter_map(|(unit, verdict)| match verdict {
                Verdict::Appended { last_position, recorded_at, .. } => {
                    Some(unit.recorded(*last_position, *recorded_at))
                }
                _ => None,
            });
        let appended: Vec<_> = appended.flatten().collect();
        self.metrics.appended(&appended);
        self.tail.push(appended);
    }
}

/// Whether the database refused what was sent (class 22: data, 23: integrity), so that sending the
/// same again cannot help.
fn is_about_content(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => {
            // What triggers raise is among it, and what is too long for an index. All else may be gone when it is
            // tried again, by another connection: a server that has become a standby only reads (25006).
            let content = ["22", "23", "54", "P0"];
            database.code().is_some_and(|code| content.iter().any(|class| code.starts_with(class)))
        }
        sqlx::Error::Encode(_) | sqlx::Error::ColumnDecode { .. } => true,
        _ => false,
    }
}
