//! Spending over HTTP, against plain SQL; what it costs, and how closely the read models follow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use projections::runner;
use sqlx::{PgPool, Row};
use tokio::sync::watch;

use super::arena::{Arena, Server};
use super::figures::{Figures, Target, median};
use super::ground::{Ground, Scratch};
use super::load::{self, Done, Work};
use super::plain::{Form, Plain};
use super::{BenchError, Options, machine};

/// How often a server is started to see how long that takes.
const STARTS: usize = 5;
/// How often the lag of the read models is looked at under load.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a server rests before its memory is looked at.
const REST: Duration = Duration::from_secs(3);

/// What one load is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Case {
    /// A debit.
    Debit,
    /// A debit with an `Idempotency-Key`.
    KeyedDebit,
    /// A debit, all on one wallet.
    HotDebit,
    /// A hold and its capture.
    HoldAndCapture,
    /// An AI call of the local provider.
    PaidCall,
    /// The spend as one SQL statement.
    SingleStatement,
    /// The spend as a transaction with `FOR UPDATE`.
    ForUpdate,
    /// The one statement, all on one wallet.
    HotSingleStatement,
    /// The transaction, all on one wallet.
    HotForUpdate,
}

const CASES: [Case; 9] = [
    Case::Debit,
    Case::SingleStatement,
    Case::KeyedDebit,
    Case::ForUpdate,
    Case::HotDebit,
    Case::HotSingleStatement,
    Case::HoldAndCapture,
    Case::HotForUpdate,
    Case::PaidCall,
];

/// What was seen of the debits, besides their rate.
#[derive(Default)]
struct Cost {
    lags_ms: Vec<f64>,
    seen: Vec<Seen>,
}

/// What one load over HTTP cost.
struct Seen {
    p50_ms: f64,
    p99_ms: f64,
    /// Events in an append.
    batch: f64,
    /// Processor time of the server for an event.
    server_us: Option<f64>,
    /// Processor time of the database for an event.
    database_us: Option<f64>,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { p50_ms, p99_ms, batch, .. } = self;
        let [server, database] = [self.server_us, self.database_us].map(Option::unwrap_or_default);
        write!(
            f,
            "  {p50_ms:.1} ms median, {p99_ms:.1} ms at most for 99 of 100; {batch:.0} events an append; \
             {server:.0} µs of server and {database:.0} µs of database for an event"
        )
    }
}

/// Runs all loads.
pub(super) async fn measure(
    ground: &Ground,
    arena: &Arena,
    plain: &Scratch,
    options: &Options,
    figures: &mut Figures,
) -> Result<(), BenchError> {
    let plain = Plain::prepare(plain, &ground.folder).await?;
    let server = start(arena, figures).await?;
    let mut rates: BTreeMap<Case, Vec<f64>> = BTreeMap::new();
    let mut cost = Cost::default();
    let bench = Spending { arena, server: &server, plain, lasts: seconds(options) };
    bench.warm_up().await?;
    for round in 1..=options.rounds {
        for case in CASES {
            if options.only.is_empty() || options.only.contains(&case) {
                let rate = bench.run(case, &mut cost).await?;
                eprintln!("round {round}: {case:?} {rate:.0} a second");
                rates.entry(case).or_default().push(rate);
            }
        }
    }
    server.stop().await?;
    tell_rates(&rates, figures);
    cost.tell(figures);
    Ok(())
}

fn seconds(options: &Options) -> Duration {
    Duration::from_secs(options.seconds)
}

/// Starts the server several times, and lets the last one rest.
async fn start(arena: &Arena, figures: &mut Figures) -> Result<Server, BenchError> {
    let mut after = Vec::new();
    for _ in 1..STARTS {
        let server = arena.serve().await?;
        after.push(milliseconds(server.ready_after));
        server.stop().await?;
    }
    let server = arena.serve().await?;
    after.push(milliseconds(server.ready_after));
    arena.caught_up().await?;
    tokio::time::sleep(REST).await;
    let resident = machine::resident(server.process).and_then(|bytes| u32::try_from(bytes).ok());
    let megabytes = resident.map(|bytes| f64::from(bytes) / 1e6);
    let what = "start to the first 200, ms";
    figures.tell("start_to_first_200_ms", what, median(after), Target::None);
    let what = "resident memory idle, MB";
    figures.tell("resident_memory_idle_mb", what, megabytes, Target::AtMost(60.0));
    Ok(server)
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

struct Spending<'a> {
    arena: &'a Arena,
    server: &'a Server,
    plain: Plain,
    lasts: Duration,
}

impl Spending<'_> {
    /// Everybody's state and token are in memory, as they are in production.
    async fn warm_up(&self) -> Result<(), BenchError> {
        let spenders = self.arena.spenders()?;
        load::run(self.server.address, &spenders, Work::Debit, Duration::from_secs(2)).await?;
        self.plain.run(Form::SingleStatement, false, Duration::from_secs(2)).await?;
        Ok(())
    }

    /// Runs a case when all that was before it is done.
    async fn run(&self, case: Case, cost: &mut Cost) -> Result<f64, BenchError> {
        self.arena.caught_up().await?;
        match case {
            Case::Debit => self.http(Work::Debit, false, Some(cost)).await,
            Case::KeyedDebit => self.http(Work::KeyedDebit, false, None).await,
            Case::HotDebit => self.http(Work::Debit, true, None).await,
            Case::HoldAndCapture => self.http(Work::HoldAndCapture, false, None).await,
            Case::PaidCall => self.http(Work::PaidCall, false, None).await,
            Case::SingleStatement => self.plain.run(Form::SingleStatement, false, self.lasts).await,
            Case::ForUpdate => self.plain.run(Form::ForUpdate, false, self.lasts).await,
            Case::HotSingleStatement => {
                self.plain.run(Form::SingleStatement, true, self.lasts).await
            }
            Case::HotForUpdate => self.plain.run(Form::ForUpdate, true, self.lasts).await,
        }
    }

    /// Work over HTTP; what it costs is told on the way, and kept where `cost` is given.
    async fn http(
        &self,
        work: Work,
        hot: bool,
        cost: Option<&mut Cost>,
    ) -> Result<f64, BenchError> {
        let mut spenders = self.arena.spenders()?;
        if hot {
            spenders = Arc::from(&spenders[..1]);
        }
        let before = Spent::now(self.arena, self.server).await?;
        let (stop, stopped) = watch::channel(false);
        let looking = watch_lag(self.arena.database.pool.clone(), stopped);
        let loading = async {
            let done = load::run(self.server.address, &spenders, work, self.lasts).await;
            stop.send_replace(true);
            done
        };
        let (done, lags) = tokio::join!(loading, looking);
        let (done, after) = (done?, Spent::now(self.arena, self.server).await?);
        let seen = after.since(&before, &done);
        eprintln!("{seen}");
        if let Some(cost) = cost {
            cost.lags_ms.extend(lags?);
            cost.seen.push(seen);
        }
        Ok(done.per_second)
    }
}

/// How far the slowest read model is behind, in milliseconds, again and again.
async fn watch_lag(pool: PgPool, stopped: watch::Receiver<bool>) -> sqlx::Result<Vec<f64>> {
    let mut seen = Vec::new();
    while !*stopped.borrow() {
        let (_, lags) = runner::lag(&pool).await?;
        let slowest = lags.iter().map(|lag| lag.milliseconds).max().unwrap_or(0);
        seen.push(i32::try_from(slowest).map_or(f64::INFINITY, f64::from));
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(seen)
}

/// What was spent so far on events.
struct Spent {
    events: i64,
    batches: i64,
    server: Option<Duration>,
    database: Option<Duration>,
}

impl Spent {
    async fn now(arena: &Arena, server: &Server) -> Result<Self, BenchError> {
        let row = sqlx::query(
            "select (select position from log_head), (select count(*) from batches),
                 pg_backend_pid()",
        )
        .fetch_one(&arena.database.pool)
        .await?;
        let backend: i32 = row.try_get(2)?;
        let postmaster = u32::try_from(backend).ok().and_then(machine::postmaster_of);
        Ok(Self {
            events: row.try_get(0)?,
            batches: row.try_get(1)?,
            server: machine::processor_time(server.process),
            database: postmaster.and_then(machine::server_time),
        })
    }

    fn since(&self, before: &Self, done: &Done) -> Seen {
        let count = |now: i64, then: i64| i32::try_from(now - then).map_or(0.0, f64::from);
        let events = count(self.events, before.events);
        let each = |now: Option<Duration>, then: Option<Duration>| {
            Some(now?.saturating_sub(then?).as_secs_f64() * 1e6 / events)
        };
        Seen {
            p50_ms: milliseconds(done.percentile(50)),
            p99_ms: milliseconds(done.percentile(99)),
            batch: events / count(self.batches, before.batches),
            server_us: each(self.server, before.server),
            database_us: each(self.database, before.database),
        }
    }
}

impl Cost {
    fn tell(self, figures: &mut Figures) {
        let mut lags = self.lags_ms;
        lags.sort_by(f64::total_cmp);
        let p99 = lags.get(lags.len().saturating_sub(1) * 99 / 100).copied();
        let middle =
            |of: fn(&Seen) -> Option<f64>| median(self.seen.iter().filter_map(of).collect());
        for (key, what, value) in [
            (
                "debit_p50_ms",
                "a debit at 64 connections, median, ms",
                middle(|seen| Some(seen.p50_ms)),
            ),
            (
                "debit_p99_ms",
                "a debit at 64 connections, 99th percentile, ms",
                middle(|seen| Some(seen.p99_ms)),
            ),
            ("append_batch_events", "events in an append", middle(|seen| Some(seen.batch))),
            (
                "append_server_cpu_us_per_event",
                "CPU of the server for an event, µs",
                middle(|seen| seen.server_us),
            ),
            (
                "append_database_cpu_us_per_event",
                "CPU of the database for an event, projections with it, µs",
                middle(|seen| seen.database_us),
            ),
        ] {
            figures.tell(key, what, value, Target::None);
        }
        figures.tell(
            "projection_lag_p99_ms",
            "lag of the slowest read model under that load, 99th percentile, ms",
            p99,
            Target::AtMost(250.0),
        );
    }
}

fn tell_rates(rates: &BTreeMap<Case, Vec<f64>>, figures: &mut Figures) {
    let of = |case| rates.get(&case).cloned().unwrap_or_default();
    for (case, key, what) in [
        (Case::Debit, "debit_per_second", "debits a second"),
        (Case::KeyedDebit, "debit_keyed_per_second", "debits with an Idempotency-Key a second"),
        (Case::HotDebit, "debit_hot_per_second", "debits on one wallet a second"),
        (Case::HoldAndCapture, "hold_capture_per_second", "hold and capture a second"),
        (Case::PaidCall, "paid_call_per_second", "AI calls of the local provider a second"),
        (Case::SingleStatement, "single_statement_per_second", "SQL, single statement, a second"),
        (Case::ForUpdate, "for_update_per_second", "SQL, FOR UPDATE, a second"),
        (
            Case::HotSingleStatement,
            "single_statement_hot_per_second",
            "SQL, single statement, one wallet, a second",
        ),
        (Case::HotForUpdate, "for_update_hot_per_second", "SQL, FOR UPDATE, one wallet, a second"),
    ] {
        figures.tell(key, what, median(of(case)), Target::None);
    }
    for (one, other, key, what, target) in [
        (
            Case::Debit,
            Case::SingleStatement,
            "debit_over_single_statement",
            "a debit × the single statement",
            Target::AtLeast(1.0),
        ),
        (
            Case::Debit,
            Case::ForUpdate,
            "debit_over_for_update",
            "a debit × FOR UPDATE",
            Target::AtLeast(2.0),
        ),
        (
            Case::KeyedDebit,
            Case::SingleStatement,
            "debit_keyed_over_single_statement",
            "a debit with an Idempotency-Key × the single statement",
            Target::None,
        ),
        (
            Case::HotDebit,
            Case::HotForUpdate,
            "debit_hot_over_for_update",
            "a debit × FOR UPDATE, one wallet",
            Target::AtLeast(10.0),
        ),
        (
            Case::HotDebit,
            Case::HotSingleStatement,
            "debit_hot_over_single_statement",
            "a debit × the single statement, one wallet",
            Target::AtLeast(4.0),
        ),
        (
            Case::HoldAndCapture,
            Case::SingleStatement,
            "hold_capture_over_single_statement",
            "hold and capture, as one × the single statement",
            Target::AtLeast(0.5),
        ),
        (
            Case::PaidCall,
            Case::SingleStatement,
            "paid_call_over_single_statement",
            "an AI call with its result stored × the single statement",
            Target::None,
        ),
    ] {
        // Of the same round, since the machine may be busier in another.
        let ratios = of(one).into_iter().zip(of(other)).map(|(one, other)| one / other);
        figures.tell(key, what, median(ratios.collect()), target);
    }
}
