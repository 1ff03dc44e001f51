//! How the parts of a node are. What has to be asked is asked once in a while, however many want to know.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::clock;

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// For how long an answer is good.
const GOOD: Duration = Duration::from_secs(1);

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is well.
    Ok,
    /// It is there, and not all of it works.
    Degraded,
    /// It does not answer.
    Down,
    /// It is not configured, and nobody misses it.
    Off,
}

/// What was found of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub state: State,
    /// What is wrong, in words that have no secret.
    pub detail: Option<String>,
    /// When that was found.
    pub at: DateTime<Utc>,
}

impl Finding {
    /// Found now.
    #[must_use]
    pub fn now(state: State, detail: Option<String>) -> Self {
        Self { state, detail, at: clock::now() }
    }
}

/// Something that has to be asked for, and what it was last.
#[derive(Debug)]
pub struct Lately<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Lately<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Lately<T> {
    /// What was found lately, or else is found now; `late`, where that takes too long. Whoever comes meanwhile
    /// waits for the same answer.
    pub async fn find(
        &self,
        good: Duration,
        ask: impl Future<Output = T>,
        late: impl FnOnce() -> T,
    ) -> T {
        let mut last = self.0.lock().await;
        if let Some((at, found)) = &*last
            && at.elapsed() < good
        {
            return found.clone();
        }
        let found = timeout(PATIENCE, ask).await.unwrap_or_else(|_| late());
        *last = Some((Instant::now(), found.clone()));
        found
    }
}

/// A part that has to be asked, and what it said last.
#[derive(Debug, Default)]
pub struct Probe(Lately<Finding>);

impl Probe {
    /// What was found lately, or else is found now. Whoever comes meanwhile waits for the same answer.
    pub async fn find(&self, ask: impl Future<Output = Finding>) -> Finding {
        let late = || Finding::now(State::Down, Some("it does not answer in time".to_owned()));
        self.0.find(GOOD, ask, late).await
    }
}

/// Connections for those who watch: one that is slow to answer keeps no other waiting.
const CONNECTIONS: u32 = 2;

/// The parts of a node that have to be asked.
#[derive(Debug)]
pub struct Probes {
    /// Connections of their own: a node whose requests wait for one another is not down.
    pub db: PgPool,
    /// Postgres.
    pub database: Probe,
    /// Redis.
    pub redis: Probe,
    /// What Postgres says to those who measure, in their format.
    pub metrics: Lately<Arc<str>>,
}

impl Probes {
    /// Nothing was asked yet, and nobody is connected.
    #[must_use]
    pub fn new(options: PgConnectOptions) -> Self {
        let options = options.application_name("saldo probes");
        let db = PgPoolOptions::new().max_connections(CONNECTIONS).connect_lazy_with(options);
        Self { db, database: Probe::default(), redis: Probe::default(), metrics: Lately::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn a_part_is_asked_once_a_second_however_many_want_to_know() {
        let (probe, asked, began) = (Probe::default(), AtomicUsize::new(0), Instant::now());
        let ask = || async {
            asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Finding::now(State::Ok, None)
        };
        join_all((0..100).map(|_| probe.find(ask()))).await;
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        while asked.load(Ordering::SeqCst) == 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            probe.find(ask()).await;
        }
        assert!(began.elapsed() >= GOOD, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_part_that_does_not_answer_is_down() {
        let found = Probe::default().find(std::future::pending()).await;
        assert_eq!(found.state, State::Down);
    }
}
