//! How fast Saldo is, against the same spend in plain SQL on the same Postgres in the same run.
//!
//! Loads are interleaved over several rounds and the figures are medians, since machines are noisy;
//! ratios are what to compare, since machines differ.
#![expect(clippy::float_arithmetic, reason = "figures are rates and ratios; nothing here is money")]

mod arena;
mod depth;
mod figures;
mod gateway;
mod ground;
mod inside;
mod litellm;
mod load;
mod machine;
mod plain;
mod provider;
mod spending;
mod unmetered;

use crate::config::Config;
use crate::keys::KeysError;
use crate::serve::StartError;

pub use figures::Figures;
pub use spending::Case;

use arena::Arena;
use ground::Ground;

/// Connections of every load.
const CONNECTIONS: usize = 64;
/// Wallets that a load spends from.
const WALLETS: usize = 1000;

/// How much to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How often each load is run; figures are medians.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// For how many seconds each.
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// Events in the large log.
    #[arg(long, default_value_t = 5_000_000)]
    pub events: i64,
    /// Only these loads, and nothing else.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Case>,
}

/// What is measured alone.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Part {
    /// What metering adds to an AI call whose provider takes 50 ms; ends with 1 when that is too much.
    Gateway(gateway::Options),
    /// The same call without metering, for `gateway` to compare with.
    #[command(hide = true)]
    Unmetered,
}

impl Part {
    /// Measures it, on a database of its own; says on stderr what it is at.
    pub async fn run(&self, config: &Config) -> Result<Figures, BenchError> {
        match self {
            Self::Gateway(options) => gateway::measure(config, options).await,
            Self::Unmetered => unmetered::serve(config).await.map(|()| Figures::default()),
        }
    }
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The database does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The keys are missing.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// Nothing to compare with.
    #[error(
        "there is no pgbench here to compare with: install it (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql@17)"
    )]
    NoPgbench,
    /// The comparison failed.
    #[error("pgbench failed: {0}")]
    Pgbench(String),
    /// The server or a file failed.
    #[error("the load could not be run: {0}")]
    Io(#[from] std::io::Error),
    /// The server did not do what was asked.
    #[error("the server did not do its work: {0}")]
    Answer(String),
    /// The write side, or a reader, failed.
    #[error("the log failed: {0}")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl BenchError {
    fn store(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Log(Box::new(error))
    }
}

/// Measures everything, on databases of its own; says on stderr what it is at.
pub async fn run(config: &Config, options: &Options) -> Result<Figures, BenchError> {
    let ground = Ground::find(config).await?;
    let (scratch, plain) = (ground.scratch().await?, ground.scratch().await?);
    let mut figures = Figures::default();
    eprintln!("opening {WALLETS} wallets");
    let arena = Arena::open(&scratch).await?;
    spending::measure(&ground, &arena, &plain, options, &mut figures).await?;
    if options.only.is_empty() {
        depth::measure(&ground, &arena, options, &mut figures).await?;
    }
    arena.database.pool.close().await;
    drop(arena);
    ground.discard(plain).await?;
    ground.discard(scratch).await?;
    Ok(figures)
}
