//! A standby that follows the database by streaming, and answers queries of read models: never with less than the
//! caller has to see, and where it has less, or is away, the database itself is asked.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use projections::projector;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

/// How long a query waits for the standby to have what its caller must see: as long as it takes on a good day.
const PATIENCE: Duration = Duration::from_millis(250);
/// The pause between two looks at it.
const LOOKS: Duration = Duration::from_millis(20);
/// How old, in any case, what it answers with may be: between once and twice this, whoever asks.
const AGE: Duration = Duration::from_secs(5);
/// For how long it is not asked when it has failed, and not waited for when it was behind.
const AWAY: Duration = Duration::from_secs(2);

/// Which database this is: the same of a standby, and of no other.
pub const INSTALLATION: &str = "select system_identifier::text || '-' || oid::text
    from pg_control_system(), pg_database where datname = current_database()";

/// What came of looking at the standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has what is to be seen.
    Ready,
    /// It has less.
    Behind,
    /// It does not answer.
    Away,
}

impl Standing {
    /// How metrics call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Behind => "behind",
            Self::Away => "away",
        }
    }
}

/// The standby.
pub struct Replica {
    pool: PgPool,
    state: Mutex<State>,
}

struct State {
    away_until: Option<Instant>,
    /// Read models that it had too little of: until then, nobody waits for it to have more.
    behind_until: HashMap<&'static str, Instant>,
    /// How long the log was, not long ago, and before that.
    lately: Mark,
    before: Mark,
}

#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    position: i64,
}

impl Replica {
    /// Nothing is asked yet: a node starts without it, too. Each connection makes sure that this is a standby of
    /// `installation`, and of no other house; `head` is how long the log is now.
    #[must_use]
    pub fn new(options: PgConnectOptions, connections: u32, installation: &str, head: i64) -> Self {
        let installation = installation.to_owned();
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| {
                let expected = installation.clone();
                Box::pin(async move {
                    let found: String =
                        sqlx::query_scalar(INSTALLATION).fetch_one(connection).await?;
                    if found == expected {
                        return Ok(());
                    }
                    let what = "SALDO_REPLICA_DATABASE_URL is no standby of DATABASE_URL";
                    Err(sqlx::Error::Configuration(what.into()))
                })
            })
            .connect_lazy_with(options);
        let mark = Mark { at: Instant::now(), position: head };
        Self {
            pool,
            state: Mutex::new(State {
                away_until: None,
                behind_until: HashMap::new(),
                lately: mark,
                before: mark,
            }),
        }
    }

    /// Its connections.
    #[must_use]
    pub fn db(&self) -> &PgPool {
        &self.pool
    }

    /// Whether it has so much of a read model, or has it in a moment; `head` is how long the log is now.
    pub async fn has(&self, model: &'static str, wanted: i64, head: i64) -> Standing {
        let Some(wanted) = self.begin(wanted, head) else { return Standing::Away };
        let began = Instant::now();
        let until = if self.is_behind(model, began) { began } else { began + PATIENCE };
        loop {
            match timeout(PATIENCE, projector::checkpoint(&self.pool, model)).await {
                Ok(Ok(position)) if position >= wanted => {
                    self.answered(model);
                    return Standing::Ready;
                }
                Ok(Ok(_)) if Instant::now() >= until => {
                    self.state().behind_until.insert(model, Instant::now() + AWAY);
                    return Standing::Behind;
                }
                Ok(Ok(_)) => sleep(LOOKS).await,
                Ok(Err(error)) => {
                    self.failed(&error);
                    return Standing::Away;
                }
                Err(_) => {
                    self.failed(&sqlx::Error::PoolTimedOut);
                    return Standing::Away;
                }
            }
        }
    }

    /// What must be seen, since nothing is to be too old; none, while it is away.
    fn begin(&self, wanted: i64, head: i64) -> Option<i64> {
        let (mut state, now) = (self.state(), Instant::now());
        if state.away_until.is_some_and(|until| now < until) {
            return None;
        }
        if now.duration_since(state.lately.at) >= AGE {
            state.before = state.lately;
            state.lately = Mark { at: now, position: head };
            // Nobody has asked for long: what was the end of the log then is not new.
            if now.duration_since(state.before.at) >= AGE * 2 {
                state.before.position = head;
            }
        }
        Some(wanted.max(state.before.position))
    }

    fn is_behind(&self, model: &str, now: Instant) -> bool {
        self.state().behind_until.get(model).is_some_and(|until| now < *until)
    }

    /// It is not asked for a while.
    pub fn failed(&self, error: &sqlx::Error) {
        let mut state = self.state();
        let was_away = state.away_until.replace(Instant::now() + AWAY).is_some();
        if !was_away {
            warn!(error = %error, "the replica does not answer; queries go to the database meanwhile");
        }
    }

    fn answered(&self, model: &str) {
        let mut state = self.state();
        state.behind_until.remove(model);
        if state.away_until.take().is_some() {
            info!("the replica answers again");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
