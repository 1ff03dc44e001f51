//! What each person used: calls, credits and tokens by day (UTC), feature and model.
//!
//! A capture and a debit count as a call each. What a reversed debit gives back is taken off on the day on
//! which it comes back, so that a day that is over does not change; the call stays.

mod changes;

use std::sync::Arc;

use aggregates::credits::Credits;
use aggregates::event::Event;
use aggregates::id::WalletId;
use aggregates::wallet::Usage as Used;
use chrono::NaiveDate;
use futures_util::future::BoxFuture;
use sqlx::{FromRow, PgConnection, PgPool};

use crate::journal::Recorded;
use crate::projector::Projection;
use changes::Changes;

/// Tokens of a call, at most: what a provider says beyond it is no number of tokens.
const TOKENS: u64 = u32::MAX as u64;

/// Follows the log into `usage`.
pub struct Usage;

impl Projection for Usage {
    fn name(&self) -> &'static str {
        "usage"
    }

    fn streams(&self) -> &'static [&'static str] {
        &["wallet"]
    }

    fn project<'a>(
        &'a self,
        db: &'a mut PgConnection,
        recorded: &'a [Arc<Recorded>],
    ) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            let mut changes = Changes::begin(db, recorded).await?;
            for recorded in recorded {
                if let Event::Wallet(event) = &recorded.event {
                    changes.follow(recorded.aggregate_id, event);
                }
            }
            changes.write(db).await
        })
    }
}

/// What was used of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromRow)]
pub struct Figures {
    /// Captures and debits.
    pub calls: i64,
    /// What they cost, less what came back.
    pub credits: i64,
    /// Tokens read, as far as anybody knows.
    pub input_tokens: i64,
    /// Tokens written, as far as anybody knows.
    pub output_tokens: i64,
    /// Calls that were charged by our estimate.
    pub estimated: i64,
}

impl Figures {
    fn of_call(charged: Credits, usage: Option<&Used>) -> Self {
        let tokens = |count: Option<u64>| {
            let count = count.unwrap_or_default().min(TOKENS);
            i64::try_from(count).unwrap_or_default()
        };
        Self {
            calls: 1,
            credits: charged.get(),
            input_tokens: tokens(usage.and_then(|usage| usage.input_tokens)),
            output_tokens: tokens(usage.and_then(|usage| usage.output_tokens)),
            estimated: usage.is_some_and(|usage| usage.estimated).into(),
        }
    }

    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.credits += other.credits;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.estimated += other.estimated;
    }
}

/// By what usage is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// By day.
    Day,
    /// By what it was for.
    Feature,
    /// By who answered.
    Model,
}

/// What was used of one day, feature or model.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Share {
    /// The day, feature or model; a model that nobody named is ''.
    pub name: String,
    /// What was used of it.
    #[sqlx(flatten)]
    pub figures: Figures,
}

/// What the wallet's owner used from one day to another, both included, by day, feature or model, in
/// their order.
pub async fn between(
    db: &PgPool,
    wallet: WalletId,
    (from, to): (NaiveDate, NaiveDate),
    by: Grouping,
) -> sqlx::Result<Vec<Share>> {
    let by = match by {
        Grouping::Day => "day",
        Grouping::Feature => "feature",
        Grouping::Model => "model",
    };
    sqlx::query_as(
        "select case $4 when 'day' then day::text when 'feature' then feature else model end as name,
             sum(calls)::bigint as calls, sum(credits)::bigint as credits,
             sum(input_tokens)::bigint as input_tokens,
             sum(output_tokens)::bigint as output_tokens, sum(estimated)::bigint as estimated
         from days
         where wallet_id = $1 and day between $2 and $3
         group by 1
         order by 1",
    )
    .bind(wallet.0)
    .bind(from)
    .bind(to)
    .bind(by)
    .fetch_all(db)
    .await
}

/// What all shares are together.
#[must_use]
pub fn total(shares: &[Share]) -> Figures {
    let mut total = Figures::default();
    for share in shares {
        total.add(share.figures);
    }
    total
}
