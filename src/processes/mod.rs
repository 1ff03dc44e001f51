//! Process managers: whenever X, then Y. One file each, named Y.

mod expire_due;
mod sign_heads;

use tokio::sync::watch;

use crate::app::App;

pub use sign_heads::Signer;

/// Starts every process manager; they end when `stop` turns true.
pub fn start(app: &App, signer: &Signer, stop: &watch::Receiver<bool>) {
    let (app, signer, mut stop) = (app.clone(), signer.clone(), stop.clone());
    #[expect(clippy::disallowed_methods, reason = "ends with the server")]
    tokio::spawn(async move {
        tokio::select! {
            () = expire_due::run(&app) => {}
            () = signer.run() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    });
}
