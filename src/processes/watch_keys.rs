//! Whenever a key was added or retired, this node goes on with what the file has.

use std::time::Duration;

use tracing::warn;

use crate::app::App;

/// How often the file is read: it is small, and a key that must go at once is known at once.
const EVERY: Duration = Duration::from_secs(5);

/// Reads the keys again, for ever.
pub(super) async fn run(app: &App) {
    loop {
        tokio::time::sleep(EVERY).await;
        let renewed =
            app.keys.renew().and_then(|()| app.tokens.renew(&app.keys.access_tokens.all()));
        if let Err(error) = renewed {
            warn!(error = %error, "the keys could not be read again");
        }
    }
}
