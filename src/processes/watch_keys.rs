//! Whenever a key was added or retired, this node goes on with what the file has; where that is older than what the
//! database knows, it makes nothing any more.

use std::time::Duration;

use tracing::{error, warn};

use crate::app::App;

/// How often the file is read: it is small, and a key that must go at once is known at once.
const EVERY: Duration = Duration::from_secs(5);

/// Reads the keys again, for ever.
pub(super) async fn run(app: &App) {
    loop {
        tokio::time::sleep(EVERY).await;
        read(app);
        if let Err(error) = look(app).await {
            warn!(error = %error, "whether keys were retired could not be looked up");
        }
    }
}

/// Looks whether keys were retired that this node still uses.
pub(super) async fn look(app: &App) -> sqlx::Result<()> {
    app.keys.look(app.db()).await?;
    if let Some(detail) = app.keys.too_old() {
        error!(detail, "this node writes nothing");
    }
    Ok(())
}

fn read(app: &App) {
    let renewed = app.keys.renew().and_then(|()| app.tokens.renew(&app.keys.access_tokens.all()));
    if let Err(error) = renewed {
        warn!(error = %error, "the keys could not be read again");
    }
}
