//! Process managers: whenever X, then Y. One file each, named Y.

mod drop_chat_lists;
mod expire_due;
mod hear_chats;
mod keep_declines;
mod recharge;
mod release_quota;
mod send_webhooks;
mod sign_heads;
mod tell_expiries;
mod watch_closings;
mod watch_keys;
mod write_letters;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

use crate::app::App;

pub use keep_declines::keep_declines;
pub use sign_heads::Signer;

/// How long after a panic a process manager goes on.
const AGAIN: Duration = Duration::from_secs(1);

/// What must be known before anybody is served.
pub async fn prepare(app: &App) -> sqlx::Result<()> {
    drop_chat_lists::begin(app).await?;
    watch_keys::look(app).await?;
    watch_closings::look(app).await
}

/// Starts every process manager; they end when `stop` turns true.
pub fn start(app: &App, signer: &Signer, stop: &watch::Receiver<bool>) {
    keep(stop, app, |app| async move { expire_due::run(&app).await });
    keep(stop, app, |app| async move { release_quota::run(&app).await });
    keep(stop, app, |app| async move { recharge::run(&app).await });
    keep(stop, app, |app| async move { write_letters::run(&app).await });
    keep(stop, app, |app| async move { hear_chats::run(&app).await });
    keep(stop, app, |app| async move { drop_chat_lists::run(&app).await });
    keep(stop, app, |app| async move { send_webhooks::run(&app).await });
    keep(stop, app, |app| async move { tell_expiries::run(&app).await });
    keep(stop, app, |app| async move { watch_closings::run(&app).await });
    keep(stop, signer, |signer| async move { signer.run().await });
    keep(stop, app, |app| async move { watch_keys::run(&app).await });
    keep(stop, app, |app| async move { keep_declines::run(&app).await });
}

/// Runs one in a task of its own: a panic in it is a bug of ours, and stops neither it nor the others.
fn keep<T, F>(stop: &watch::Receiver<bool>, parts: &T, run: impl Fn(T) -> F + Send + Sync + 'static)
where
    T: Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (mut stop, parts) = (stop.clone(), parts.clone());
    #[expect(clippy::disallowed_methods, reason = "ends when `stop` turns true")]
    tokio::spawn(async move {
        let running = async {
            while AssertUnwindSafe(run(parts.clone())).catch_unwind().await.is_err() {
                tracing::error!("a process manager panicked; it goes on");
                tokio::time::sleep(AGAIN).await;
            }
        };
        tokio::select! {
            () = running => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    });
}
