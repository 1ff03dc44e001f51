//! Whenever a spend leaves a wallet with less than its owner wants, it is recharged; and whenever what
//! pays for that has come to its end, the recharge knows.
//!
//! Any number of nodes may run this: ids derive from the person and the recharge's number, and the
//! aggregate decides whether one begins.

use std::time::Duration;

use aggregates::id::UserId;
use projections::billing as rows;
use tracing::warn;

use crate::app::App;
use crate::billing::recharge;
use crate::clock;

/// How often wallets are looked for.
const EVERY: Duration = Duration::from_secs(1);
/// Wallets of one round; the rest follows in the next.
const ROUND: i64 = 200;
/// Before every position of the log.
const START: i64 = i64::MIN;

/// Looks for them, for ever; nothing is to do where nothing is sold.
pub(super) async fn run(app: &App) {
    let mut reached = START;
    while app.stripe.is_some() {
        reached = round(app, reached).await.unwrap_or_else(|error| {
            warn!(error = %error, "wallets that run low could not be looked for");
            START
        });
        tokio::time::sleep(EVERY).await;
    }
}

/// Looks at the wallets whose last spend is behind this position of the log; how far that was. Those
/// that only the log says are not to be recharged, such as frozen ones, are found in each round:
/// however many there are, the next round goes on behind them, and after the last from the start.
async fn round(app: &App, reached: i64) -> sqlx::Result<i64> {
    for user in rows::recharges_over(app.db(), ROUND).await? {
        if let Err(problem) = recharge::follow(app, UserId(user)).await {
            warn!(cause = problem.cause, user.id = %user, "a recharge could not be told of its end");
        }
    }
    let mut last = START;
    for (user, spent) in rows::to_recharge(app.db(), clock::now(), reached, ROUND).await? {
        if let Err(problem) = recharge::trigger(app, UserId(user), spent).await {
            warn!(cause = problem.cause, user.id = %user, "a recharge could not begin");
        }
        last = spent;
    }
    Ok(last)
}
