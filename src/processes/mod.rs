//! Process managers: whenever X, then Y. One file each, named Y.

mod expire_due;
mod recharge;
mod sign_heads;
mod watch_closings;
mod watch_keys;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

use crate::app::App;

pub use sign_heads::Signer;
pub use watch_closings::look;

/// How long after a panic a process manager goes on.
const AGAIN: Duration = Duration::from_secs(1);

/// Starts every process manager; they end when `stop` turns true. `keys` is the folder of the keys
/// of the house.
pub fn start(app: &App, signer: &Signer, keys: PathBuf, stop: &watch::Receiver<bool>) {
    let (one, other, third, fourth) = (app.clone(), app.clone(), app.clone(), app.clone());
    let signer = signer.clone();
    keep(stop, move || {
        let app = one.clone();
        async move { expire_due::run(&app).await }
    });
    keep(stop, move || {
        let signer = signer.clone();
        async move { signer.run().await }
    });
    keep(stop, move || {
        let app = other.clone();
        async move { watch_closings::run(&app).await }
    });
    keep(stop, move || {
        let (app, keys) = (third.clone(), keys.clone());
        async move { watch_keys::run(&app, &keys).await }
    });
    keep(stop, move || {
        let app = fourth.clone();
        async move { recharge::run(&app).await }
    });
}

/// Runs one in a task of its own: a panic in it is a bug of ours, and stops neither it nor the others.
fn keep<F>(stop: &watch::Receiver<bool>, run: impl Fn() -> F + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut stop = stop.clone();
    #[expect(clippy::disallowed_methods, reason = "ends when `stop` turns true")]
    tokio::spawn(async move {
        let running = async {
            while AssertUnwindSafe(run()).catch_unwind().await.is_err() {
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
