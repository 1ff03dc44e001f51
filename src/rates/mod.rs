//! How often somebody may ask: so many requests within any stretch of time, over all nodes where they share a
//! Redis, on each by itself where they do not.
//!
//! A window slides: it is counted in steps, and a step counts until the whole of it is over. So there are never
//! more requests within any stretch of its length than it allows, however many come at once, and what was used
//! comes back step by step.

mod local;
mod shared;

use std::time::Duration;

use crate::clients::redis::Redis;

use local::Local;

/// Steps of a window: what was used comes back with the precision of a thirtieth of it.
const STEPS: u64 = 30;

/// How many requests are allowed within any stretch of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// What it is called in headers.
    pub name: &'static str,
    /// How many.
    pub most: u32,
    /// Within how long.
    pub within: Duration,
}

impl Window {
    /// So many within this time.
    #[must_use]
    pub const fn new(name: &'static str, most: u32, within: Duration) -> Self {
        Self { name, most, within }
    }

    /// The length of a step, in milliseconds.
    fn step(&self) -> u64 {
        let within = u64::try_from(self.within.as_millis()).unwrap_or(u64::MAX);
        within.div_ceil(STEPS).max(1)
    }
}

/// How far a window is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub window: Window,
    /// Requests that are left.
    pub left: u32,
    /// After how long more are.
    pub more_in: Duration,
}

/// What is said to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether there was room in every window. Where there was not, none counts it.
    pub passes: bool,
    /// How far each window is used up now.
    pub standings: Vec<Standing>,
}

impl Verdict {
    /// After how long there is room again in every window.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        let full = self.standings.iter().filter(|standing| standing.left == 0);
        full.map(|standing| standing.more_in).max().unwrap_or_default()
    }
}

/// What a node counts, and what it shares.
pub struct Rates {
    local: Local,
    redis: Option<Redis>,
}

impl Rates {
    /// Nothing was counted yet.
    #[must_use]
    pub fn new(redis: Option<Redis>) -> Self {
        Self { local: Local::default(), redis }
    }

    /// Counts a request of somebody's in all windows, or in none. Where Redis is away, each node counts by
    /// itself.
    pub async fn count(&self, who: &str, windows: &[Window]) -> Verdict {
        if let Some(redis) = &self.redis
            && let Ok(verdict) = shared::count(redis, who, windows).await
        {
            return verdict;
        }
        self.local.count(who, windows)
    }
}

impl Rates {
    /// Counts on this node alone: what protects the node itself.
    pub fn count_here(&self, who: &str, window: Window) {
        self.local.count(who, &[window]);
    }

    /// How long until there is room again on this node, where there is none; this is not counted.
    #[must_use]
    pub fn full_here(&self, who: &str, window: Window) -> Option<Duration> {
        self.local.full(who, window)
    }
}

/// The standing of a window, by what each step still counts and when it ends, the oldest first.
fn standing(window: Window, used: u64, next: Option<u64>, now: u64) -> Standing {
    let left = u64::from(window.most).saturating_sub(used);
    Standing {
        window,
        left: u32::try_from(left).unwrap_or(u32::MAX),
        more_in: Duration::from_millis(next.map_or(0, |next| next.saturating_sub(now))),
    }
}
