//! Process managers: whenever X, then Y. One file each, named Y.

mod expire_due;
mod sign_heads;
mod watch_closings;
mod watch_keys;

use std::path::PathBuf;

use tokio::sync::watch;

use crate::app::App;

pub use sign_heads::Signer;
pub use watch_closings::look;

/// Starts every process manager; they end when `stop` turns true. `keys` is the folder of the keys
/// of the house.
pub fn start(app: &App, signer: &Signer, keys: PathBuf, stop: &watch::Receiver<bool>) {
    let (app, signer, mut stop) = (app.clone(), signer.clone(), stop.clone());
    #[expect(clippy::disallowed_methods, reason = "ends with the server")]
    tokio::spawn(async move {
        tokio::select! {
            () = expire_due::run(&app) => {}
            () = signer.run() => {}
            () = watch_closings::run(&app) => {}
            () = watch_keys::run(&app, &keys) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    });
}
