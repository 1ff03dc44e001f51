//! Where the time of AI calls went.

use super::Histogram;

/// How long the calls took that were charged, by their parts.
#[derive(Debug)]
pub struct CallTimes {
    /// Holding credits.
    pub hold: Histogram,
    /// Waiting for the provider.
    pub provider: Histogram,
    /// Charging.
    pub capture: Histogram,
    /// Hold and capture of one call, together: what metering added to it.
    pub added: Histogram,
}

impl Default for CallTimes {
    fn default() -> Self {
        Self {
            hold: Histogram::of_times(),
            provider: Histogram::of_times(),
            capture: Histogram::of_times(),
            added: Histogram::of_times(),
        }
    }
}
