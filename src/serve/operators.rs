//! A listener for those who operate a node, beside the API or without it.

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Room, StartError, connections, listen as bind};
use crate::app::App;
use crate::config::Config;
use crate::http;

/// Answers until it is dropped.
pub(super) struct Answering(JoinHandle<()>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens, where that is configured; whoever comes early waits.
pub(super) async fn listen(config: &Config) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = config.watch.metrics_listen else { return Ok(None) };
    let (listener, address) = bind("SALDO_METRICS_LISTEN", address).await?;
    tracing::info!(%address, "metrics are told here");
    Ok(Some(listener))
}

/// Answers who comes there.
pub(super) fn answer(app: &App, listener: TcpListener) -> Answering {
    let router = http::operators(app.clone());
    let answering =
        connections::serve(listener, router, Room::for_operators(), std::future::pending());
    #[expect(clippy::disallowed_methods, reason = "ends when `Answering` is dropped")]
    Answering(tokio::spawn(answering))
}
