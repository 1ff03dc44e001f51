//! What handlers and background work share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aggregates::id::UserId;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgPool;
use tokio::sync::watch;

use crate::calls::Calls;
use crate::clients::llm::Llm;
use crate::clients::oauth::Providers;
use crate::clients::redis::Redis;
use crate::clients::stripe::Stripe;
use crate::clients::webhooks::Webhooks;
use crate::closings::Closings;
use crate::config::Settings;
use crate::counters::Counters;
use crate::declines::Declines;
use crate::error::{Problem, Result};
use crate::health::Probes;
use crate::keys::Keys;
use crate::models::{KnownTiers, Models};
use crate::passwords::Passwords;
use crate::rates::Rates;
use crate::replica::{Replica, Standing};
use crate::store::Store;
use crate::tokens::Tokens;
use crate::wakes::Wakes;
use projections::runner::Runner;

/// How long a query waits for what its caller has just written.
const WAIT: Duration = Duration::from_secs(2);
/// How long requests that are under way may take when the node is told to stop: with what comes after,
/// less than the half minute after which operators' tools kill. Less than what comes after may take, too: that
/// begins at once where nobody is connected, and charges what is late.
const LEAVING: Duration = Duration::from_secs(10);
/// Callers whose last write is remembered; past it, all are forgotten, which costs freshness only.
const WRITERS: usize = 100_000;

/// What handlers and background work share; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of [`App`].
pub struct Parts {
    /// Commands.
    pub store: Store,
    /// Where the read models are.
    pub projections: Runner,
    /// Who answers queries of them, besides, where there is a standby.
    pub replica: Option<Replica>,
    /// Signs and checks tokens.
    pub tokens: Tokens,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// The keys of the house.
    pub keys: Keys,
    /// What was configured.
    pub settings: Settings,
    /// With whose accounts people can sign in.
    pub providers: Providers,
    /// Which sessions are over.
    pub closings: Closings,
    /// Who takes money, where something is sold.
    pub stripe: Option<Stripe>,
    /// What proves that a webhook is Stripe's: two, while one replaces the other.
    pub stripe_secrets: Vec<SecretString>,
    /// Who tells customers' own systems.
    pub webhooks: Webhooks,
    /// Who answers AI calls.
    pub llm: Llm,
    /// With which models, at which price.
    pub models: Models,
    /// What nodes keep together, where there is a Redis.
    pub redis: Option<Redis>,
    /// Who has which tier, as it was looked up a moment ago.
    pub tiers: KnownTiers,
    /// How often somebody has asked lately.
    pub rates: Rates,
    /// What this node has counted.
    pub counters: Counters,
    /// Spends that this node has refused lately.
    pub declines: Declines,
    /// How the parts of this node were when they were last asked.
    pub probes: Probes,
    /// Since when this node runs.
    pub started_at: DateTime<Utc>,
    /// Who waits on this node for news of chats.
    pub wakes: Wakes,
    /// AI calls that this process makes.
    pub calls: Calls,
    /// Turns true when this node is about to stop: whoever keeps a connection open lets it go.
    pub leaving: watch::Sender<bool>,
    /// The last position that each caller wrote on this node.
    pub written: Mutex<HashMap<UserId, i64>>,
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Keys and secrets are never printed.
impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

impl App {
    /// The parts, shared.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Connections for queries.
    #[must_use]
    pub fn db(&self) -> &PgPool {
        self.store.pool()
    }

    /// Ends when this node is about to stop.
    pub async fn told_to_stop(&self) {
        // Whoever could tell is gone only with the server.
        let _ = self.leaving.subscribe().wait_for(|leaving| *leaving).await;
    }

    /// Ends when this node is about to stop, and what was under way then has had its time.
    pub async fn overdue(&self) {
        self.told_to_stop().await;
        tokio::time::sleep(LEAVING).await;
    }

    /// Remembers the caller's last write, so that the caller's next query sees it.
    pub fn wrote(&self, user: UserId, position: i64) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() >= WRITERS {
            written.clear();
        }
        let last = written.entry(user).or_default();
        *last = position.max(*last);
    }

    /// Waits until the read model has what the caller wrote on this node, and `at_least`, where
    /// the caller names a position of any node. Gives back the position that the caller must see.
    pub async fn caught_up(
        &self,
        model: &'static str,
        user: UserId,
        at_least: Option<i64>,
    ) -> Result<i64> {
        let wanted = self.wanted(user, at_least).await?;
        self.reached(model, wanted).await?;
        Ok(wanted)
    }

    /// Asks something of a read model once it is caught up as [`Self::caught_up`] has it: of the replica, where
    /// that is so there, or else of the database.
    pub async fn read<T, F: Future<Output = sqlx::Result<T>>>(
        &self,
        model: &'static str,
        user: UserId,
        at_least: Option<i64>,
        query: impl Fn(PgPool) -> F,
    ) -> Result<T> {
        let wanted = self.wanted(user, at_least).await?;
        if let Some(replica) = &self.replica {
            let standing = replica.has(model, wanted, self.store.head()).await;
            self.counters.replica.add([standing.name()], 1);
            if standing == Standing::Ready {
                // A standby may end a query, so as to go on following.
                match query(replica.db().clone()).await {
                    Ok(found) => return Ok(found),
                    Err(error) => replica.failed(&error),
                }
            }
        }
        self.reached(model, wanted).await?;
        Ok(query(self.db().clone()).await?)
    }

    /// The position that a caller's query must see.
    async fn wanted(&self, user: UserId, at_least: Option<i64>) -> Result<i64> {
        let own = {
            let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            written.get(&user).copied().unwrap_or(0)
        };
        if let Some(position) = at_least {
            self.is_in_the_log(position).await?;
        }
        Ok(own.max(at_least.unwrap_or(0)))
    }

    /// Nobody was given a position that the log has not reached, whichever node wrote: waiting for it is in vain.
    async fn is_in_the_log(&self, position: i64) -> Result<()> {
        if position <= self.store.head()
            || position <= projections::journal::head(self.db()).await?
        {
            return Ok(());
        }
        Err(Problem::field(
            "X-Min-Position",
            "is beyond the end of the log: send what X-Event-Position said",
        ))
    }

    /// Waits until the read model has what is in the log up to a position.
    pub async fn reached(&self, model: &'static str, wanted: i64) -> Result<()> {
        if self.projections.reached(model, wanted, WAIT).await {
            return Ok(());
        }
        Err(Problem::busy(format!("the read models have not reached position {wanted}; try again")))
    }
}
