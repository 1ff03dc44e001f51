//! Process managers: whenever X, then Y. One file each, named Y.

mod expire_due;

use tokio::sync::watch;

use crate::app::App;

/// Starts every process manager; they end when `stop` turns true.
pub fn start(app: &App, stop: &watch::Receiver<bool>) {
    let (app, mut stop) = (app.clone(), stop.clone());
    #[expect(clippy::disallowed_methods, reason = "ends with the server")]
    tokio::spawn(async move {
        tokio::select! {
            () = expire_due::run(&app) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    });
}
