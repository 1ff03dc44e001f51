//! Whenever anything is told of a chat, on any node, whoever waits for it here looks.

use std::time::Duration;

use sqlx::postgres::PgListener;
use tracing::warn;
use uuid::Uuid;

use crate::app::App;

/// After how long a lost connection is made again.
const AGAIN: Duration = Duration::from_secs(1);

/// Hears, for ever.
pub(super) async fn run(app: &App) {
    loop {
        if let Err(error) = hear(app).await {
            warn!(error = %error, "what is told of chats could not be heard; who waits looks by itself");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

async fn hear(app: &App) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(app.db()).await?;
    listener.listen("chat").await?;
    loop {
        // What was told before, or while the connection was lost, was not heard.
        app.wakes.wake_all();
        while let Some(told) = listener.try_recv().await? {
            if let Ok(chat) = told.payload().parse::<Uuid>() {
                app.wakes.wake(chat);
            }
        }
    }
}
