//! How often something may be tried, over all nodes: one atomic statement reads, decides and counts,
//! so that a hundred who try at once are counted as a hundred.
//!
//! Windows slide: a bucket has the times of what was tried, as many as may be, and what is refused is not counted.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;

use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};

/// How often something may be tried.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    name: &'static str,
    /// How often within any window.
    most: i32,
    /// How long that is.
    within: TimeDelta,
    /// Whether an operator may switch it off for load tests.
    optional: bool,
}

const fn per_minute(name: &'static str, most: i32) -> Limit {
    Limit { name, most, within: TimeDelta::minutes(1), optional: true }
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
    Limit { name: "wrong password", most: 10, within: TimeDelta::hours(1), optional: false };
/// Codes and links sent to one address or telephone.
pub const SENT_TO: Limit =
    Limit { name: "sent to", most: 5, within: TimeDelta::hours(1), optional: false };
/// Codes and links asked for from one address of the network.
pub const ASKED_FROM: Limit =
    Limit { name: "asked from", most: 20, within: TimeDelta::hours(1), optional: true };
/// Codes and links sent to one address or telephone, one after the other.
pub const RESENT: Limit =
    Limit { name: "resent", most: 1, within: TimeDelta::seconds(30), optional: false };

impl Limit {
    /// How long a window is.
    #[must_use]
    pub const fn within(self) -> TimeDelta {
        self.within
    }

    /// Counts one try of `what`; 429 when it is one too many.
    pub async fn count(self, app: &App, what: &str) -> Result<()> {
        if self.optional && !app.settings.rate_limits {
            return Ok(());
        }
        match self.try_once(app.db(), &self.bucket(app, what)).await? {
            Verdict::Free => Ok(()),
            Verdict::Full { free_at } => {
                // Whoever comes back as told is let in: a second that has begun is a whole one.
                let wait = (free_at - clock::now()).num_seconds().saturating_add(1).clamp(1, 3600);
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
        let window = PgInterval {
            microseconds: self.within.num_microseconds().unwrap_or(i64::MAX),
            ..PgInterval::default()
        };
        // What is looked at is the row as it is once nobody else has it; the clock is read after that.
        let counted = sqlx::query(
            "insert into limits (bucket, tried_at, empty_at)
             values ($1, array[clock_timestamp()], clock_timestamp() + $2)
             on conflict (bucket) do update
             set tried_at = array(select tried from unnest(limits.tried_at) tried
                     where tried > clock_timestamp() - $2 order by tried) || clock_timestamp(),
                 empty_at = clock_timestamp() + $2
             where (select count(*) from unnest(limits.tried_at) tried
                 where tried > clock_timestamp() - $2) < $3",
        )
        .bind(bucket)
        .bind(window)
        .bind(i64::from(self.most))
        .execute(db)
        .await?;
        if counted.rows_affected() > 0 {
            return Ok(Verdict::Free);
        }
        let first: Option<DateTime<Utc>> = sqlx::query_scalar(
            "select tried_at[cardinality(tried_at) - $2 + 1] from limits where bucket = $1",
        )
        .bind(bucket)
        .bind(self.most)
        .fetch_optional(db)
        .await?
        .flatten();
        Ok(Verdict::Full { free_at: first.map_or_else(clock::now, |first| first + self.within) })
    }
}

enum Verdict {
    Free,
    /// There is room again from then on.
    Full {
        free_at: DateTime<Utc>,
    },
}
