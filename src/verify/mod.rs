//! Proving the log: positions, streams, commands, hashes, signed heads, every rule of the domain,
//! replay, snapshots and read models, in one pass over one snapshot of the database.
//!
//! Writes may go on meanwhile. Memory grows by up to a quarter of a kilobyte for each event, since
//! no command, debit or hold may come twice.

mod beside;
mod book;
mod chain;
mod chats;
mod events;
mod facts;
mod fold;
mod history;
mod models;
mod offers;
mod once;
mod people;
mod plain;
mod plans;
mod purchases;
mod recharges;
mod report;
mod rows;
mod shop;
mod snapshots;
mod trade;
mod usage;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use aggregates::user::{User, UserEvent};
use aggregates::wallet::{Wallet, WalletEvent};
use cqrs_es::Aggregate;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, Row};
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::store::Codec;
use crate::store::heads::{Head, Ring, SignedHead};
use chain::{Batch, Chain};
use events::{Link, Seen, Shard};
use fold::Fold;
use history::{Event, History};
use rows::Rows;
use snapshots::Snapshots;

pub use report::{Credits, Finding, Kind, Report};

/// Findings that are told one by one; what follows is counted.
const TOLD: usize = 100;
/// Shards of streams, each followed by a thread of its own, at most.
const SHARDS: usize = 8;
/// Parts of a table that may be read ahead, for each of its readers.
const AHEAD: usize = 4;

/// Why a verification could not be carried out. What is wrong with the log is no error but a
/// finding.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database failed.
    #[error("the database could not be read")]
    Database(#[from] sqlx::Error),
    /// Postgres sent what nobody asked for.
    #[error("the database sent rows of another shape: is its schema that of this version?")]
    Protocol,
    /// The machine gave no thread its means.
    #[error("the verification could not start to read")]
    Start(#[from] std::io::Error),
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
    billing: i64,
    chats: i64,
    transactions: i64,
    usage: i64,
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
    let codec = codec.as_seen_by(&mut db).await?;
    let mut chain = Chain::new(head, &heads, &ring, &mut report);
    let fold = Fold::new(subject, codec, checkpoints, snapshots);
    let mut pass = Pass::default();
    let (events, batches) = (pass.lane(events::TABLE), pass.lane(chain::TABLE));
    let fold = pass.deal(fold);
    pass.read(options, &snapshot);
    link(events, batches, &mut chain, &mut report).await?;
    let mut fold = pass.end(fold, &mut report).await?;
    chain.end(&mut report);
    fold.close(&mut report);
    report.check_credits();
    models::compare(&mut db, &fold, &mut report).await?;
    usage::compare(&mut db, &fold, &mut report).await?;
    beside::compare(&mut db, &fold, &mut report).await?;
    chats::compare(&mut db, &fold, &mut report).await?;
    report.elapsed = started.elapsed();
    Ok(report)
}

/// Part of a table as it comes in, for all who want it.
type Lane = mpsc::Receiver<Arc<Rows>>;

/// One pass over the log and the credit history. Readers and shards have threads of their own.
#[derive(Default)]
struct Pass {
    /// Who wants what of the database.
    lanes: HashMap<&'static str, Vec<mpsc::Sender<Arc<Rows>>>>,
    readers: JoinSet<Result<(), VerifyError>>,
    shards: JoinSet<Result<(Fold, Report), VerifyError>>,
}

impl Pass {
    /// What a query selects, when it is read.
    fn lane(&mut self, query: &'static str) -> Lane {
        let (sender, receiver) = mpsc::channel(AHEAD);
        self.lanes.entry(query).or_default().push(sender);
        receiver
    }

    /// Deals all streams to as many shards as there are processors; what follows them is given back
    /// empty.
    fn deal(&mut self, mut fold: Fold) -> Fold {
        let of = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, SHARDS));
        for shard in (0..of).map(|number| Shard { number, of }) {
            let (events, history) = (self.lane(events::TABLE), self.lane(history::TABLE));
            let part = fold.split(shard);
            let here = Handle::current();
            let follow = move || here.block_on(follow(shard, part, events, history));
            self.shards.spawn_blocking(follow);
        }
        fold
    }

    /// Begins to read, each table once.
    fn read(&mut self, options: &PgConnectOptions, snapshot: &str) {
        for (query, to) in self.lanes.drain() {
            let (options, snapshot) = (options.clone(), snapshot.to_owned());
            self.readers.spawn_blocking(move || {
                // With a runtime of its own: the common one would wake two threads for each packet.
                let alone = Builder::new_current_thread().enable_all().build()?;
                alone.block_on(read(&options, &snapshot, query, to))
            });
        }
    }

    /// Waits for everybody, and puts together what the shards have.
    async fn end(mut self, mut fold: Fold, report: &mut Report) -> Result<Fold, VerifyError> {
        while let Some(followed) = self.shards.join_next().await {
            let (part, found) = followed??;
            fold.join(part);
            report.join(found);
        }
        while let Some(read) = self.readers.join_next().await {
            read??;
        }
        Ok(fold)
    }
}

/// Checks the order and the hashes of all events.
async fn link(
    mut events: Lane,
    mut batches: Lane,
    chain: &mut Chain,
    report: &mut Report,
) -> Result<(), VerifyError> {
    while let Some(rows) = events.recv().await {
        for event in rows.each(Link::read) {
            let event = event?;
            report.at(event.position);
            while chain.wants_batch(event.position) {
                let Some(rows) = batches.recv().await else { break };
                for batch in rows.each(Batch::read) {
                    chain.batch(batch?, report);
                }
            }
            chain.event(&event, report);
        }
    }
    while let Some(rows) = batches.recv().await {
        for batch in rows.each(Batch::read) {
            chain.batch(batch?, report);
        }
    }
    Ok(())
}

/// Follows the events of a shard.
async fn follow(
    shard: Shard,
    mut fold: Fold,
    mut events: Lane,
    history: Lane,
) -> Result<(Fold, Report), VerifyError> {
    let mut report = Report::keeping(TOLD);
    let mut history = History::new(history, shard, fold.checkpoints.transactions);
    while let Some(rows) = events.recv().await {
        let mut passed = None;
        for seen in rows.each(|fields| Seen::read(fields, shard)) {
            match seen? {
                Seen::Passed(position) => passed = Some(position),
                Seen::Mine(mut record) => {
                    report.at(record.position);
                    let event = Event::of(&mut record);
                    let expected = fold.follow(record, &mut report).await;
                    history.compare(&event, expected, &mut report).await?;
                }
            }
        }
        // The history comes at the pace of the slowest: whoever has no use for it lets it pass.
        if let Some(position) = passed {
            history.pass(position, &mut report).await?;
        }
    }
    history.pass(i64::MAX, &mut report).await?;
    Ok((fold, report))
}

/// Sends what a query selects to everybody; a receiver that has gone has failed, and says why
/// itself.
async fn read(
    options: &PgConnectOptions,
    snapshot: &str,
    query: &str,
    to: Vec<mpsc::Sender<Arc<Rows>>>,
) -> Result<(), VerifyError> {
    let mut db = join_snapshot(options, snapshot).await?;
    let mut sent = VecDeque::new();
    rows::copy(&mut db, query, async |rows| {
        let rows = Arc::new(rows);
        for lane in &to {
            let _ = lane.send(Arc::clone(&rows)).await;
        }
        sent.push_back(rows);
        // The oldest, if everybody is through with it.
        let over = sent.pop_front_if(|oldest| Arc::get_mut(oldest).is_some());
        Ok(over.and_then(Arc::into_inner).unwrap_or_default())
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
            "billing" => checkpoints.billing = position,
            "chats" => checkpoints.chats = position,
            "transactions" => checkpoints.transactions = position,
            "usage" => checkpoints.usage = position,
            "users" => checkpoints.users = position,
            _ => {}
        }
    }
    Ok(checkpoints)
}
