//! Proving the log: positions, streams, commands, hashes, signed heads, every rule of the domain,
//! replay, snapshots and read models, in one pass over one snapshot of the database.
//!
//! Writes may go on meanwhile. Memory grows by about a quarter of a kilobyte for each event, since
//! no command, debit or hold may come twice.

mod book;
mod chain;
mod events;
mod facts;
mod fold;
mod models;
mod report;
mod rows;
mod snapshots;

use std::time::Instant;

use aggregates::user::{User, UserEvent};
use aggregates::wallet::{Wallet, WalletEvent};
use cqrs_es::Aggregate;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, Row};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::store::Codec;
use crate::store::heads::{Head, Ring, SignedHead};
use chain::{Batch, Chain};
use events::Record;
use fold::Fold;
use models::{Event, History};
use rows::Rows;
use snapshots::Snapshots;

pub use report::{Credits, Finding, Kind, Report};

/// Findings that are told one by one; what follows is counted.
const TOLD: usize = 100;
/// Threads that decode events, at most: with more of them the fold is the longest.
const DECODERS: usize = 4;
/// Parts of a table that may be read ahead, for each of its readers.
const AHEAD: usize = 4;

/// Why a verification could not be carried out. What is wrong with the log is no error but a finding.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database failed.
    #[error("the database could not be read")]
    Database(#[from] sqlx::Error),
    /// Postgres sent what nobody asked for.
    #[error("the database sent rows of another shape: is its schema that of this version?")]
    Protocol,
    /// The verification itself broke.
    #[error("the verification broke")]
    Broken(#[from] tokio::task::JoinError),
}

/// How events change aggregates: what is on trial. Tests put in a wrong one.
#[derive(Clone, Copy)]
pub struct Subject {
    /// A wallet's `apply`.
    pub wallet: fn(&mut Wallet, WalletEvent),
    /// A person's `apply`.
    pub user: fn(&mut User, UserEvent),
}

impl Default for Subject {
    fn default() -> Self {
        Self { wallet: Wallet::apply, user: User::apply }
    }
}

/// What the log is held against, besides itself.
pub struct Evidence {
    /// Heads that were signed, kept outside the database.
    pub heads: Vec<SignedHead>,
    /// The keys that may have signed them.
    pub ring: Ring,
    /// Decrypts personal data.
    pub codec: Codec,
    /// How events change aggregates.
    pub subject: Subject,
}

/// How far each projection has come.
#[derive(Clone, Copy, Debug, Default)]
struct Checkpoints {
    balances: i64,
    transactions: i64,
    users: i64,
}

/// Verifies the log and all that follows from it.
pub async fn verify(options: &PgConnectOptions, evidence: Evidence) -> Result<Report, VerifyError> {
    let started = Instant::now();
    let mut report = Report::keeping(TOLD);
    let Evidence { heads, ring, codec, subject } = evidence;
    let mut db = options.connect().await?;
    let snapshot = share_snapshot(&mut db).await?;
    let head = Head::read(&mut db).await?;
    let checkpoints = checkpoints(&mut db).await?;
    let snapshots = Snapshots::read(&mut db).await?;
    let mut chain = Chain::new(head, &heads, &ring, &mut report);
    let mut fold = Fold::new(subject, codec, checkpoints, snapshots);

    let (batches, waiting_batches) = mpsc::channel(AHEAD);
    let (history, waiting_history) = mpsc::channel(AHEAD);
    // Readers have threads of their own beside the fold, which is the longest of all.
    let (mut readers, runtime) = (JoinSet::new(), Handle::current());
    let [of_batches, of_events, of_history] = [
        join_snapshot(options, &snapshot).await?,
        join_snapshot(options, &snapshot).await?,
        join_snapshot(options, &snapshot).await?,
    ];
    let here = runtime.clone();
    readers.spawn_blocking(move || here.block_on(read(of_batches, chain::COLUMNS, batches)));
    let here = runtime.clone();
    let (decoders, events) = Decoded::start(&mut readers);
    readers.spawn_blocking(move || here.block_on(read_events(of_events, decoders)));
    let here = runtime.clone();
    readers.spawn_blocking(move || here.block_on(read(of_history, models::HISTORY, history)));
    let history = History::new(waiting_history, checkpoints.transactions);
    let log = Log { batches: waiting_batches, events, history };
    follow(log, &mut chain, &mut fold, &mut report).await?;
    while let Some(read) = readers.join_next().await {
        read??;
    }
    chain.end(&mut report);
    fold.close(&mut report);
    report.check_credits();
    models::compare(&mut db, &fold, &mut report).await?;
    report.elapsed = started.elapsed();
    Ok(report)
}

/// The log, as it comes in.
struct Log {
    batches: mpsc::Receiver<Rows>,
    events: Decoded,
    history: History,
}

/// Events from decoders that have them in turn: threads of their own, so that what one allocates
/// stays near.
struct Decoded {
    pages: Vec<mpsc::Receiver<Vec<Record>>>,
    turn: usize,
}

impl Decoded {
    /// Starts the decoders; gives back their ways in, too.
    fn start(threads: &mut JoinSet<Result<(), VerifyError>>) -> (Vec<mpsc::Sender<Rows>>, Self) {
        let count = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, DECODERS));
        let start = |_| {
            let (to, mut waiting) = mpsc::channel::<Rows>(AHEAD);
            let (decoded, page) = mpsc::channel(AHEAD);
            threads.spawn_blocking(move || {
                while let Some(rows) = waiting.blocking_recv() {
                    // A receiver that has gone has failed, and says why itself.
                    let _ = decoded.blocking_send(events::decode(&rows)?);
                }
                Ok(())
            });
            (to, page)
        };
        let (to, pages) = (0..count).map(start).unzip();
        (to, Self { pages, turn: 0 })
    }

    async fn next(&mut self) -> Option<Vec<Record>> {
        let turn = self.turn;
        self.turn = (turn + 1) % self.pages.len();
        self.pages[turn].recv().await
    }
}

async fn follow(
    mut log: Log,
    chain: &mut Chain,
    fold: &mut Fold,
    report: &mut Report,
) -> Result<(), VerifyError> {
    while let Some(page) = log.events.next().await {
        for mut record in page {
            while chain.wants_batch(record.position) {
                let Some(rows) = log.batches.recv().await else { break };
                for batch in rows.read(Batch::read)? {
                    chain.batch(batch, report);
                }
            }
            chain.event(&record, report);
            let event = Event::of(&mut record);
            let expected = fold.follow(record, report).await;
            log.history.compare(&event, expected, report).await?;
        }
    }
    while let Some(rows) = log.batches.recv().await {
        for batch in rows.read(Batch::read)? {
            chain.batch(batch, report);
        }
    }
    log.history.end(report).await
}

/// Sends what a query selects; a receiver that has gone has failed, and says why itself.
async fn read(
    mut db: PgConnection,
    query: &'static str,
    to: mpsc::Sender<Rows>,
) -> Result<(), VerifyError> {
    rows::copy(&mut db, query, async |rows| {
        let _ = to.send(rows).await;
        Ok(())
    })
    .await
}

/// The same for events, some to each decoder in turn.
async fn read_events(mut db: PgConnection, to: Vec<mpsc::Sender<Rows>>) -> Result<(), VerifyError> {
    let mut to = to.iter().cycle();
    let query = format!("select {} from public.events order by position", events::COLUMNS);
    rows::copy(&mut db, &query, async |rows| {
        if let Some(decoder) = to.next() {
            let _ = decoder.send(rows).await;
        }
        Ok(())
    })
    .await
}

/// Begins to read the database as it is now; others may join under the name.
async fn share_snapshot(db: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::raw_sql("begin isolation level repeatable read read only").execute(&mut *db).await?;
    sqlx::query_scalar("select pg_export_snapshot()").fetch_one(db).await
}

async fn join_snapshot(options: &PgConnectOptions, name: &str) -> sqlx::Result<PgConnection> {
    let mut db = options.connect().await?;
    // The name is what Postgres itself has just told.
    let join = format!(
        "begin isolation level repeatable read read only; set transaction snapshot '{name}'"
    );
    sqlx::raw_sql(AssertSqlSafe(join)).execute(&mut db).await?;
    Ok(db)
}

async fn checkpoints(db: &mut PgConnection) -> sqlx::Result<Checkpoints> {
    let mut checkpoints = Checkpoints::default();
    let rows = sqlx::query("select name, position from projections.checkpoints");
    for row in rows.fetch_all(db).await? {
        let position = row.try_get("position")?;
        match row.try_get("name")? {
            "balances" => checkpoints.balances = position,
            "transactions" => checkpoints.transactions = position,
            "users" => checkpoints.users = position,
            _ => {}
        }
    }
    Ok(checkpoints)
}
