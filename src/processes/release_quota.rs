//! Whenever a part of a subscription's quota is due, it is released and put into the wallet.
//!
//! Any number of nodes may run this: the subscription decides what is due, and a grant's id derives
//! from what it is for, so that nothing comes twice.

use std::time::Duration;

use aggregates::id::SubscriptionId;
use chrono::TimeDelta;
use tracing::warn;

use crate::app::App;
use crate::billing::subscriptions;
use crate::clock;

/// How often what is due is looked for: how late it may come.
const EVERY: Duration = Duration::from_secs(1);
/// What was released for so long and is not in the wallet was left by somebody who died in between.
const LEFT: TimeDelta = TimeDelta::seconds(30);
/// Subscriptions of one round; the rest follows in the next.
const ROUND: i64 = 100;
/// How long what could not be released waits, with all others.
const AGAIN: Duration = Duration::from_secs(10);

/// Releases what is due, for ever.
pub(super) async fn run(app: &App) {
    loop {
        let pause = match round(app).await {
            Ok(true) => EVERY,
            Ok(false) => AGAIN,
            Err(error) => {
                warn!(error = %error, "due quota could not be looked for");
                AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Whether all that was due was released.
async fn round(app: &App) -> sqlx::Result<bool> {
    let now = clock::now();
    let mut all = true;
    for id in projections::billing::due(app.db(), now, now - LEFT, ROUND).await? {
        if let Err(problem) = subscriptions::complete(app, SubscriptionId(id)).await {
            warn!(subscription.id = %id, cause = problem.cause, "quota could not be released");
            all = false;
        }
    }
    Ok(all)
}
