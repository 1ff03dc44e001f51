//! How AI calls are metered.

use std::path::PathBuf;

use chrono::TimeDelta;

/// How AI calls are metered.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct MeterConfig {
    /// A file that says which models are on offer, for whom and at which price; see `docs/models.md`.
    #[arg(long, env = "SALDO_MODELS")]
    pub models: Option<PathBuf>,
    /// For how many seconds the credits of a call stay held when the server that makes it dies; 180 by
    /// default.
    #[arg(long, env = "SALDO_CALL_HOLD_S", value_parser = clap::value_parser!(u16).range(2..=3600))]
    pub call_hold_s: Option<u16>,
    /// For how many seconds the credits of a call that waits to be made stay held; an hour by default. A call
    /// that is not begun by then fails, and costs nothing.
    #[arg(long, env = "SALDO_QUEUED_HOLD_S", value_parser = clap::value_parser!(u32).range(2..=86_400))]
    pub queued_hold_s: Option<u32>,
}

/// A server that lives keeps its holds open; longer than it takes to find somebody who answers.
const CALL_HOLD_S: u16 = 180;
/// Longer than a queue is on a bad day; nobody wants their answer later than that.
const QUEUED_HOLD_S: u32 = 3600;

impl MeterConfig {
    /// For how long the credits of a call are held at a time.
    pub(super) fn call_hold(&self) -> TimeDelta {
        TimeDelta::seconds(self.call_hold_s.unwrap_or(CALL_HOLD_S).into())
    }

    /// For how long the credits of a call that waits to be made are held.
    pub(super) fn queued_hold(&self) -> TimeDelta {
        TimeDelta::seconds(self.queued_hold_s.unwrap_or(QUEUED_HOLD_S).into())
    }
}
