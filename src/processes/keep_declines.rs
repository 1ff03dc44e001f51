//! Whenever spends were refused, they are written down.

use std::time::Duration;

use tracing::warn;

use crate::app::App;

/// How often: what repeats in between is one row.
const EVERY: Duration = Duration::from_secs(1);

/// Writes them down, for ever.
pub(super) async fn run(app: &App) {
    loop {
        tokio::time::sleep(EVERY).await;
        keep_declines(app).await;
    }
}

/// Writes down what there is, as a node does last.
pub async fn keep_declines(app: &App) {
    if let Err(error) = app.declines.write(app.db()).await {
        warn!(error = %error, "refused spends could not be written down");
    }
}
