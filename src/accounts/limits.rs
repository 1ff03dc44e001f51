//! How often something may be tried, over all nodes: one atomic statement reads, decides and counts,
//! so that a hundred who try at once are counted as a hundred.
//!
//! The generic cell rate algorithm (ITU-T I.371): a bucket empties at a steady pace, and what would
//! overflow it is refused.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;

use crate::app::App;
use crate::error::{Problem, Result};

/// How often something may be tried.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    name: &'static str,
    /// How often at once, after a long time of nothing.
    burst: i32,
    /// After how long once more.
    every: TimeDelta,
    /// Whether an operator may switch it off for load tests.
    optional: bool,
}

const fn per_minute(name: &'static str, times: i32) -> Limit {
    let every = TimeDelta::seconds(60 / times as i64);
    Limit { name, burst: times, every, optional: true }
}

/// Signing in and up, from one address of the network.
pub const FROM_ADDRESS: Limit = per_minute("address", 5);
/// Signing in to one account.
pub const TO_ACCOUNT: Limit = per_minute("account", 5);
/// Refreshing one session: a client needs one in a quarter of an hour, or ten at once.
pub const REFRESHES: Limit = per_minute("refresh", 30);
/// Asking a provider what it knows of one person.
pub const PROVIDER: Limit = per_minute("provider", 5);
/// Orders of one person.
pub const CHECKOUTS: Limit = per_minute("checkouts", 10);
/// Changes of one person's subscription and auto-recharge.
pub const CHANGES: Limit = per_minute("changes", 10);
/// What is asked of Stripe for one person besides: it answers a house so many times a second, and no more.
pub const STRIPE: Limit = per_minute("stripe", 30);
/// Looking at what became of one purchase at Stripe.
pub const LOOKS: Limit = per_minute("looks", 30);
/// Changes of one person's endpoints of webhooks.
pub const WEBHOOK_CHANGES: Limit = per_minute("webhook changes", 20);
/// What one person has sent to their endpoints by hand: it is our server that knocks there.
pub const WEBHOOK_SENDS: Limit = per_minute("webhook sends", 10);
/// Wrong passwords of one account: who guesses that often is not answered any more, right or wrong.
pub const WRONG_PASSWORDS: Limit =
    Limit { name: "wrong password", burst: 10, every: TimeDelta::minutes(6), optional: false };
/// Codes and links sent to one address or telephone.
pub const SENT_TO: Limit =
    Limit { name: "sent to", burst: 5, every: TimeDelta::minutes(12), optional: false };
/// Codes and links asked for from one address of the network.
pub const ASKED_FROM: Limit =
    Limit { name: "asked from", burst: 20, every: TimeDelta::minutes(3), optional: true };
/// Codes and links sent to one address or telephone, one after the other.
pub const RESENT: Limit =
    Limit { name: "resent", burst: 1, every: TimeDelta::seconds(30), optional: false };

impl Limit {
    /// After how long once more.
    #[must_use]
    pub const fn every(self) -> TimeDelta {
        self.every
    }

    /// Counts one try of `what`; 429 when it is one too many.
    pub async fn count(self, app: &App, what: &str) -> Result<()> {
        if self.optional && !app.settings.rate_limits {
            return Ok(());
        }
        match self.try_once(app.db(), &self.bucket(app, what)).await? {
            Verdict::Free => Ok(()),
            Verdict::Full { free_at } => {
                let wait = (free_at - crate::clock::now()).num_seconds().clamp(1, 3600);
                let mut problem = Problem::new(
                    axum::http::StatusCode::TOO_MANY_REQUESTS,
                    "too_many_attempts",
                    "this was tried too often: wait, then try again",
                );
                problem.retry_after = u32::try_from(wait).ok();
                Err(problem)
            }
        }
    }

    /// Counts one try of `what`; whether there was room for it.
    pub async fn has_room(self, app: &App, what: &str) -> Result<bool> {
        let verdict = self.try_once(app.db(), &self.bucket(app, what)).await?;
        Ok(matches!(verdict, Verdict::Free))
    }

    /// Forgets all tries of `what`.
    pub async fn forget(self, app: &App, what: &str) -> Result<()> {
        let bucket = self.bucket(app, what);
        sqlx::query("delete from limits where bucket = $1").bind(bucket).execute(app.db()).await?;
        Ok(())
    }

    /// Addresses are personal data: the bucket is a keyed hash.
    fn bucket(self, app: &App, what: &str) -> Vec<u8> {
        app.keys.lookup.hash(&format!("limit\n{}\n{what}", self.name)).to_vec()
    }

    async fn try_once(self, db: &PgPool, bucket: &[u8]) -> sqlx::Result<Verdict> {
        let interval = |span: TimeDelta| PgInterval {
            microseconds: span.num_microseconds().unwrap_or(i64::MAX),
            ..PgInterval::default()
        };
        let counted: Option<DateTime<Utc>> = sqlx::query_scalar(
            "insert into limits (bucket, empty_at) values ($1, clock_timestamp() + $2)
             on conflict (bucket) do update
             set empty_at = greatest(limits.empty_at, clock_timestamp()) + $2
             where greatest(limits.empty_at, clock_timestamp()) + $2 <= clock_timestamp() + $3
             returning empty_at",
        )
        .bind(bucket)
        .bind(interval(self.every))
        .bind(interval(self.every * self.burst))
        .fetch_optional(db)
        .await?;
        if counted.is_some() {
            return Ok(Verdict::Free);
        }
        let empty_at: Option<DateTime<Utc>> =
            sqlx::query_scalar("select empty_at from limits where bucket = $1")
                .bind(bucket)
                .fetch_optional(db)
                .await?;
        let empty_at = empty_at.unwrap_or_else(crate::clock::now);
        Ok(Verdict::Full { free_at: empty_at - self.every * (self.burst - 1) })
    }
}

enum Verdict {
    Free,
    /// There is room again from then on.
    Full {
        free_at: DateTime<Utc>,
    },
}
