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

/// How often wallets are looked for: how late a recharge may begin.
const EVERY: Duration = Duration::from_secs(1);
/// Wallets of one round; the rest follows in the next.
const ROUND: i64 = 200;

/// Looks for them, for ever; nothing is to do where nothing is sold.
pub(super) async fn run(app: &App) {
    while app.stripe.is_some() {
        if let Err(error) = round(app).await {
            warn!(error = %error, "wallets that run low could not be looked for");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn round(app: &App) -> sqlx::Result<()> {
    for user in rows::recharges_over(app.db(), ROUND).await? {
        if let Err(problem) = recharge::follow(app, UserId(user)).await {
            warn!(cause = problem.cause, user.id = %user, "a recharge could not be told of its end");
        }
    }
    for (user, spent) in rows::to_recharge(app.db(), clock::now(), ROUND).await? {
        if let Err(problem) = recharge::trigger(app, UserId(user), spent).await {
            warn!(cause = problem.cause, user.id = %user, "a recharge could not begin");
        }
    }
    Ok(())
}
