//! What does not change with the length of a stream or of the log; and how fast the log is read.

use std::time::{Duration, Instant};

use aggregates::id::{UserId, WalletId};
use aggregates::wallet::Wallet;
use projections::runner;
use secrecy::ExposeSecret;

use super::arena::{Arena, Server};
use super::figures::{Figures, Target, median, ratio};
use super::ground::Ground;
use super::load::{self, Client, Spender, Work};
use super::spending::milliseconds;
use super::{BenchError, Options};
use crate::store::{Codec, replay};
use crate::verify::{self, Evidence, Subject};

/// Events of a wallet that is long.
const LONG: i64 = 100_000;
/// Debits on each wallet whose latency is compared.
const ASKED: usize = 500;
/// Times that the long log is verified; the first has autovacuum beside it, which passes over what
/// was filled.
const VERIFIED: usize = 3;
/// Servers that are started to see the first debit on a long wallet.
const COLD: usize = 5;

/// Measures the long wallet on `arena`, and the long log on one of its own.
pub(super) async fn measure(
    ground: &Ground,
    arena: &Arena,
    options: &Options,
    figures: &mut Figures,
) -> Result<(), BenchError> {
    eprintln!("a wallet of {LONG} events");
    long_wallet(arena, figures).await?;
    eprintln!("a log of {} events", options.events);
    let scratch = ground.scratch().await?;
    let long = Arena::open(&scratch).await?;
    long_log(arena, &long, options, figures).await?;
    long.database.pool.close().await;
    drop(long);
    ground.discard(scratch).await
}

async fn long_wallet(arena: &Arena, figures: &mut Figures) -> Result<(), BenchError> {
    let (long, fresh) = (arena.sign_up().await?, arena.sign_up().await?);
    arena.fill(&[long], LONG).await?;
    let server = arena.serve().await?;
    arena.caught_up().await?;
    let pair = [arena.spender(long)?, arena.spender(fresh)?];
    let [long_ms, fresh_ms] = latencies(&server, &pair).await?;
    server.stop().await?;
    figures.tell(
        "wallet_100k_latency_over_fresh",
        "a debit on a wallet of 100,000 events × on a fresh one, time",
        ratio(long_ms, fresh_ms),
        Target::AtMost(1.3),
    );
    let [long_ms, fresh_ms] = first_latencies(arena, &pair).await?;
    figures.tell(
        "wallet_100k_first_latency_over_fresh",
        "the same, the first after a start",
        ratio(long_ms, fresh_ms),
        Target::None,
    );
    let rate = replay_rate(arena, long).await?;
    let what = "replay of a stream through postgres-es, events a second";
    figures.tell("replay_events_per_second", what, Some(rate), Target::None);
    Ok(())
}

/// The median latencies of debits, one after the other, in turn on both wallets.
async fn latencies(server: &Server, pair: &[Spender; 2]) -> Result<[Option<f64>; 2], BenchError> {
    let mut client = Client::connect(server.address).await?;
    let mut took = [vec![], vec![]];
    for _ in 0..ASKED {
        for (spender, took) in pair.iter().zip(&mut took) {
            took.push(milliseconds(timed(&mut client, spender).await?));
        }
    }
    Ok(took.map(median))
}

/// The same for the first debit that a server does on them, over several servers.
async fn first_latencies(
    arena: &Arena,
    pair: &[Spender; 2],
) -> Result<[Option<f64>; 2], BenchError> {
    let mut took = [vec![], vec![]];
    for _ in 0..COLD {
        let server = arena.serve().await?;
        let mut client = Client::connect(server.address).await?;
        // Not the first command at all, which connects the writer.
        client.work(&arena.spender(arena.users()[0])?, Work::Debit).await?;
        for (spender, took) in pair.iter().zip(&mut took) {
            took.push(milliseconds(timed(&mut client, spender).await?));
        }
        server.stop().await?;
    }
    Ok(took.map(median))
}

async fn timed(client: &mut Client, spender: &Spender) -> Result<Duration, BenchError> {
    let began = Instant::now();
    client.work(spender, Work::Debit).await?;
    Ok(began.elapsed())
}

async fn replay_rate(arena: &Arena, user: UserId) -> Result<f64, BenchError> {
    let began = Instant::now();
    let (pool, url) = (&arena.database.pool, arena.database.url.expose_secret());
    let replayed = replay::replay::<Wallet>(pool, url, WalletId::from(user), |_, _| {})
        .await
        .map_err(BenchError::store)?;
    Ok(per_second(replayed.events, began.elapsed()))
}

fn per_second(events: i64, time: Duration) -> f64 {
    i32::try_from(events).map_or(f64::INFINITY, f64::from) / time.as_secs_f64()
}

async fn long_log(
    empty: &Arena,
    long: &Arena,
    options: &Options,
    figures: &mut Figures,
) -> Result<(), BenchError> {
    let began = Instant::now();
    long.fill(long.users(), options.events).await?;
    eprintln!("filled in {:.0} s", began.elapsed().as_secs_f64());
    let rate = rebuild_rate(long).await?;
    let what = "rebuild of a read model, the slower of two, events a second";
    figures.tell("rebuild_events_per_second", what, Some(rate), Target::None);
    let mut rates = vec![];
    for turn in 1..=VERIFIED {
        let rate = verify_rate(long).await?;
        eprintln!("verify {turn}: {rate:.0} events a second");
        rates.push(rate);
    }
    let what = "verify, everything, events a second";
    figures.tell("verify_events_per_second", what, median(rates), Target::AtLeast(200_000.0));
    let (one, other) = (long.serve().await?, empty.serve().await?);
    long.caught_up().await?;
    let mut ratios = vec![];
    for round in 1..=options.rounds {
        let mut rates = [None; 2];
        for ((arena, server), rate) in [(long, &one), (empty, &other)].iter().zip(&mut rates) {
            arena.caught_up().await?;
            let (spenders, lasts) = (arena.spenders()?, Duration::from_secs(options.seconds));
            let done = load::run(server.address, &spenders, Work::Debit, lasts).await?;
            eprintln!("round {round}: {:.0} a second", done.per_second);
            *rate = Some(done.per_second);
        }
        // Of the same round, since the machine may be busier in another.
        ratios.extend(ratio(rates[0], rates[1]));
    }
    one.stop().await?;
    other.stop().await?;
    figures.tell(
        "log_5m_throughput_over_empty",
        "debits a second with 5,000,000 events in the log × in a small one",
        median(ratios),
        Target::AtLeast(0.9),
    );
    Ok(())
}

/// Rebuilds the two read models that have a row for wallets and for events.
async fn rebuild_rate(arena: &Arena) -> Result<f64, BenchError> {
    let mut slowest = f64::INFINITY;
    for projection in runner::all() {
        if projection.name() == "users" {
            continue;
        }
        let began = Instant::now();
        let pool = &arena.database.pool;
        let events = projections::rebuild::rebuild(pool, &*projection, arena.store.codec())
            .await
            .map_err(BenchError::store)?;
        let rate = per_second(events, began.elapsed());
        eprintln!("rebuild of {}: {rate:.0} events a second", projection.name());
        slowest = slowest.min(rate);
    }
    Ok(slowest)
}

async fn verify_rate(arena: &Arena) -> Result<f64, BenchError> {
    let evidence = Evidence {
        heads: vec![],
        ring: arena.keys.head_ring(),
        codec: Codec::new(arena.database.pool.clone(), arena.keys.wrapping()),
        subject: Subject::default(),
    };
    let began = Instant::now();
    let report =
        verify::verify(&arena.database.options, evidence).await.map_err(BenchError::store)?;
    let rate = per_second(arena.head().await?, began.elapsed());
    if report.is_clean() {
        return Ok(rate);
    }
    Err(BenchError::Answer(format!("the log is not true: {report}")))
}
