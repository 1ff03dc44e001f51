//! Whenever what is left of a grant will soon be over, those of its owner's endpoints are told that
//! listen to it.
//!
//! Any number of nodes may run this: an endpoint is told of a grant once.

use std::time::Duration;

use tracing::warn;

use crate::app::App;
use crate::webhooks;

/// How often grants are looked for: of three days, nobody misses some seconds.
const EVERY: Duration = Duration::from_secs(5);

/// Looks for them, for ever.
pub(super) async fn run(app: &App) {
    loop {
        match webhooks::tell_expiries(app).await {
            Ok(true) => {}
            Ok(false) => tokio::time::sleep(EVERY).await,
            Err(problem) => {
                let cause = problem.cause.unwrap_or(problem.detail);
                warn!(cause, "grants that will expire could not be looked for");
                tokio::time::sleep(EVERY).await;
            }
        }
    }
}
