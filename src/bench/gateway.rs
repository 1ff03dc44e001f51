//! What metering adds to an AI call: the same call through Saldo, and straight at its provider.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::BenchError;
use super::arena::Arena;
use super::figures::{Figures, Target, median, ratio};
use super::ground::{Ground, Scratch};
use super::inside::Inside;
use super::litellm::{self, LiteLlm};
use super::load::{self, Done, Spender, Work, percentile};
use super::machine::Span;
use super::provider::Provider;
use super::spending::milliseconds;
use super::unmetered::Unmetered;
use crate::config::Config;

/// People who call.
const CALLERS: usize = 256;
/// How long each way is used before it is measured.
const WARM_UP: Duration = Duration::from_secs(1);

/// One model, and one provider of it: nobody else is asked. A token costs a credit.
const MODELS: &str = r#"{
    "version": "bench",
    "fixed": { "summarize": 10, "analyze": 25 },
    "tiers": {
        "free": { "models": ["bench"], "chat_messages_per_day": 5 },
        "basic": { "models": ["bench"] }, "pro": { "models": ["bench"] }
    },
    "models": [
        { "id": "bench", "tier": "free", "input_per_million": 1000000, "output_per_million": 1000000,
          "max_output_tokens": 1000, "routes": [{ "provider": "openai", "model": "bench" }] }
    ]
}"#;

/// How much to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How often each way is measured; figures are medians.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// For how many seconds each.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// LiteLLM's proxy, to compare with; by default the one on PATH, where one is.
    #[arg(long)]
    litellm: Option<PathBuf>,
}

/// A way from a caller to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// Without any gateway.
    Straight,
    /// Through one that meters nothing.
    Unmetered,
    /// Through Saldo.
    Saldo,
    /// The same, all from one wallet.
    Hot,
    LiteLlm,
}

/// What one way came to in one round.
struct Round {
    p50_ms: f64,
    p99_ms: f64,
    per_second: f64,
    /// Of the processors' time, what other guests of the machine's host had, in percent; none where nobody says.
    taken: Option<f64>,
}

/// Measures it on a database of its own; says on stderr what it is at.
pub(super) async fn measure(config: &Config, options: &Options) -> Result<Figures, BenchError> {
    let ground = Ground::find(config).await?;
    ground.make_wal_ahead().await?;
    let scratch = ground.scratch().await?;
    let (mut figures, arena) = on(&ground, &scratch, options).await?;
    arena.database.pool.close().await;
    drop(arena);
    figures.tell(
        "wal_segments_ahead",
        "segments of WAL made ahead that were not needed",
        ground.wal_ahead().await?,
        Target::None,
    );
    ground.discard(scratch).await?;
    Ok(figures)
}

async fn on(
    ground: &Ground,
    scratch: &Scratch,
    options: &Options,
) -> Result<(Figures, Arena), BenchError> {
    let provider = Provider::start().await?;
    let mut arena = Arena::open(scratch).await?;
    let models = scratch.data.join("models.json");
    std::fs::write(&models, MODELS)?;
    arena.config.meter.models = Some(models);
    arena.config.ai.openai_base_url = Some(provider.url());
    let server = arena.serve().await?;
    let unmetered = Unmetered::start(&provider.url()).await?;
    let callers: Arc<[_]> = Arc::from(&arena.spenders()?[..CALLERS]);
    let one = Arc::from(&callers[..1]);
    let mut ways = vec![
        (Way::Straight, provider.address, Arc::clone(&callers)),
        (Way::Unmetered, unmetered.address, Arc::clone(&callers)),
        (Way::Saldo, server.address, callers),
        (Way::Hot, server.address, one),
    ];
    let litellm = match options.litellm.clone().or_else(litellm::find) {
        Some(program) => {
            eprintln!("starting {}", program.display());
            Some(LiteLlm::start(&program, &ground.folder, &provider.url()).await?)
        }
        None => None,
    };
    ways.extend(
        litellm.iter().map(|proxy| (Way::LiteLlm, proxy.address, Arc::from([LiteLlm::spender()]))),
    );
    let figures = rounds(&ways, options).await?;
    server.stop().await?;
    Ok((figures, arena))
}

async fn rounds(
    ways: &[(Way, SocketAddr, Arc<[Spender]>)],
    options: &Options,
) -> Result<Figures, BenchError> {
    for (_, address, callers) in ways {
        load::run(*address, callers, Work::Completion, WARM_UP).await?;
    }
    let (mut seen, mut inside) = (BTreeMap::<Way, Vec<Round>>::new(), vec![]);
    for round in 1..=options.rounds {
        for (way, address, callers) in ways {
            let lasts = Duration::from_secs(options.seconds);
            let span = Span::begin();
            let done = load::run(*address, callers, Work::Completion, lasts).await?;
            let came_to = Round::of(&done, span.taken_by_others());
            eprintln!("round {round}: {way:?} {came_to}");
            seen.entry(*way).or_default().push(came_to);
            if *way == Way::Saldo {
                inside.extend(done.inside);
            }
        }
    }
    let mut figures = Figures::default();
    tell_added(&seen, &mut figures);
    tell_inside(&inside, &mut figures);
    tell_litellm(&seen, &mut figures);
    Ok(figures)
}

impl Round {
    fn of(done: &Done, taken: Option<f64>) -> Self {
        Self {
            p50_ms: milliseconds(done.percentile(50)),
            p99_ms: milliseconds(done.percentile(99)),
            per_second: done.per_second,
            taken,
        }
    }
}

impl Display for Round {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { p50_ms, p99_ms, per_second, taken } = self;
        write!(f, "{p50_ms:.1} ms, {p99_ms:.1} ms, {per_second:.0} a second")?;
        taken.map_or(Ok(()), |taken| write!(f, ", {taken:.1} % taken by others"))
    }
}

type Seen = BTreeMap<Way, Vec<Round>>;

/// The middle of what a way came to.
fn middle(seen: &Seen, way: Way, of: fn(&Round) -> f64) -> Option<f64> {
    median(seen.get(&way).into_iter().flatten().map(of).collect())
}

/// The middle of what one way took longer than another in the same round, since the machine may be busier in
/// another.
fn added(seen: &Seen, way: Way, over: Way, of: fn(&Round) -> f64) -> Option<f64> {
    let over = seen.get(&over).into_iter().flatten();
    let through = seen.get(&way).into_iter().flatten();
    median(through.zip(over).map(|(through, over)| of(through) - of(over)).collect())
}

/// The middle of what others had of the processors while calls went through Saldo.
fn taken_meanwhile(seen: &Seen) -> Option<f64> {
    let rounds = seen.get(&Way::Saldo).into_iter().flatten();
    median(rounds.filter_map(|round| round.taken).collect())
}

const P50: fn(&Round) -> f64 = |round| round.p50_ms;
const P99: fn(&Round) -> f64 = |round| round.p99_ms;

fn tell_added(seen: &Seen, figures: &mut Figures) {
    let rate: fn(&Round) -> f64 = |round| round.per_second;
    for (key, what, value, target) in [
        (
            "gateway_added_p50_ms",
            "metering adds to a call, median, ms",
            added(seen, Way::Saldo, Way::Unmetered, P50),
            Target::AtMost(5.0),
        ),
        (
            "gateway_added_p99_ms",
            "metering adds to a call, 99th percentile, ms",
            added(seen, Way::Saldo, Way::Unmetered, P99),
            Target::AtMost(25.0),
        ),
        (
            "gateway_hot_added_p50_ms",
            "the same, all from one wallet, median, ms",
            added(seen, Way::Hot, Way::Unmetered, P50),
            Target::None,
        ),
        (
            "gateway_hot_added_p99_ms",
            "the same, all from one wallet, 99th percentile, ms",
            added(seen, Way::Hot, Way::Unmetered, P99),
            Target::None,
        ),
        (
            "gateway_over_straight_p50_ms",
            "Saldo, with the way through it, adds, median, ms",
            added(seen, Way::Saldo, Way::Straight, P50),
            Target::None,
        ),
        (
            "gateway_over_straight_p99_ms",
            "the same, 99th percentile, ms",
            added(seen, Way::Saldo, Way::Straight, P99),
            Target::None,
        ),
        (
            "taken_by_others_percent",
            "of the processors, other guests of the host had meanwhile, %",
            taken_meanwhile(seen),
            Target::None,
        ),
    ] {
        figures.tell(key, what, value, target);
    }
    for (key, what, value) in [
        ("straight_p50_ms", "straight, median, ms", middle(seen, Way::Straight, P50)),
        ("straight_p99_ms", "straight, 99th percentile, ms", middle(seen, Way::Straight, P99)),
        ("unmetered_p50_ms", "without metering, median, ms", middle(seen, Way::Unmetered, P50)),
        ("unmetered_p99_ms", "without, 99th percentile, ms", middle(seen, Way::Unmetered, P99)),
        ("straight_calls_per_second", "straight, a second", middle(seen, Way::Straight, rate)),
        ("gateway_p50_ms", "through Saldo, median, ms", middle(seen, Way::Saldo, P50)),
        ("gateway_p99_ms", "through Saldo, 99th percentile, ms", middle(seen, Way::Saldo, P99)),
        ("gateway_calls_per_second", "through Saldo, a second", middle(seen, Way::Saldo, rate)),
        (
            "gateway_hot_calls_per_second",
            "all from one wallet, a second",
            middle(seen, Way::Hot, rate),
        ),
    ] {
        figures.tell(key, what, value, Target::None);
    }
}

/// What the server itself says of it: without the way there and back, and the queue before its door.
fn tell_inside(inside: &[Inside], figures: &mut Figures) {
    let sorted = |of: fn(&Inside) -> Duration| {
        let mut took: Vec<_> = inside.iter().map(of).collect();
        took.sort_unstable();
        [50, 99].map(|percent| percentile(&took, percent).map(milliseconds))
    };
    let hold = sorted(|inside| inside.hold);
    let capture = sorted(|inside| inside.capture);
    let both = sorted(|inside| inside.hold + inside.capture);
    for (key, what, value) in [
        ("hold_p50_ms", "inside: the hold, median, ms", hold[0]),
        ("hold_p99_ms", "inside: the hold, 99th percentile, ms", hold[1]),
        ("capture_p50_ms", "inside: the capture, median, ms", capture[0]),
        ("capture_p99_ms", "inside: the capture, 99th percentile, ms", capture[1]),
        ("hold_capture_p50_ms", "inside: both of one call, median, ms", both[0]),
        ("hold_capture_p99_ms", "inside: both of one call, 99th percentile, ms", both[1]),
    ] {
        figures.tell(key, what, value, Target::None);
    }
}

fn tell_litellm(seen: &Seen, figures: &mut Figures) {
    if !seen.contains_key(&Way::LiteLlm) {
        return;
    }
    let [p50, p99] = [P50, P99].map(|of| added(seen, Way::LiteLlm, Way::Straight, of));
    let over = |theirs, of| ratio(theirs, added(seen, Way::Saldo, Way::Straight, of));
    let rate = middle(seen, Way::LiteLlm, |round| round.per_second);
    for (key, what, value) in [
        ("litellm_added_p50_ms", "LiteLLM's proxy adds, median, ms", p50),
        ("litellm_added_p99_ms", "LiteLLM's proxy adds, 99th percentile, ms", p99),
        ("litellm_calls_per_second", "through LiteLLM's proxy, a second", rate),
        (
            "litellm_over_gateway_p50",
            "what it adds × what Saldo adds over straight, median",
            over(p50, P50),
        ),
        ("litellm_over_gateway_p99", "the same, 99th percentile", over(p99, P99)),
    ] {
        figures.tell(key, what, value, Target::None);
    }
}
