//! Whenever a session was ended or a person erased on any node, this node knows.

use std::time::Duration;

use aggregates::user::User;
use tracing::warn;

use crate::app::App;

/// How often: a session that ended elsewhere is refused here after this long.
const EVERY: Duration = Duration::from_millis(250);

/// Looks once: what this node forgets, it forgets before it serves.
pub(super) async fn look(app: &App) -> sqlx::Result<()> {
    for user in app.closings.look(app.db()).await? {
        app.store.codec().evict(user);
        app.store.forget::<User>(user);
    }
    Ok(())
}

/// Looks, for ever.
pub(super) async fn run(app: &App) {
    loop {
        if let Err(error) = look(app).await {
            warn!(error = %error, "which sessions are over could not be read");
        }
        tokio::time::sleep(EVERY).await;
    }
}
