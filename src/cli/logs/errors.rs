//! Errors of the log as events of Sentry's, sent by the client of the house. Nothing but what a line says is told: no
//! request, no person, no name of the machine, and no text of a panic.

use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use sentry::types::Dsn;
use sentry::{
    ClientInitGuard, ClientOptions, Envelope, Transport, TransportFactory, TransportOptions,
};
use sentry_tracing::ErrorLayer;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{Level, Metadata, debug};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::{EnvFilter, Layer};

use super::Listener;
use crate::config::Environment;

/// How long Sentry may take to take an event; then it is lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a node that stops waits for its last events to be sent.
const LAST: Duration = Duration::from_secs(2);
/// Events that are sent at once; past it they are lost: whoever has so many errors has the first.
const AT_ONCE: usize = 32;

/// Who sends errors; sends what there is left when it is dropped.
pub(super) struct Errors {
    _client: ClientInitGuard,
}

impl Errors {
    /// Sends errors there, in this runtime. For the thread that the program began in, before others log.
    pub(super) fn begin(
        dsn: Dsn,
        environment: Environment,
        runtime: Handle,
    ) -> Result<Self, reqwest::Error> {
        let http = crate::clients::http().timeout(PATIENCE).build()?;
        let name = environment.to_possible_value();
        let mut options = ClientOptions::new();
        options.dsn = Some(dsn);
        options.default_integrations = false;
        options.environment = name.map(|value| value.get_name().to_owned().into());
        options.release = Some(concat!("saldo@", env!("CARGO_PKG_VERSION")).into());
        options.max_breadcrumbs = 0;
        options.shutdown_timeout = LAST;
        options.transport = Some(Arc::new(Sending { http, runtime }));
        Ok(Self { _client: sentry::init(options) })
    }

    /// Hears of those errors that the log has a line of: others may say what no line does.
    pub(super) fn layer(log: EnvFilter) -> Listener {
        let is_error = |about: &Metadata<'_>| about.is_event() && *about.level() == Level::ERROR;
        ErrorLayer::new().with_filter(log.and(filter_fn(is_error))).boxed()
    }
}

/// Makes transports.
struct Sending {
    http: reqwest::Client,
    runtime: Handle,
}

impl TransportFactory for Sending {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        let Self { http, runtime } = self;
        let TransportOptions { dsn, user_agent, .. } = options;
        Arc::new(Sender {
            http: http.clone(),
            runtime: runtime.clone(),
            url: dsn.envelope_api_url().to_string(),
            authorization: dsn.to_auth(Some(&user_agent)).to_string(),
            under_way: watch::Sender::new(0),
        })
    }
}

/// Sends each event in a task of its own.
struct Sender {
    http: reqwest::Client,
    runtime: Handle,
    url: String,
    authorization: String,
    under_way: watch::Sender<usize>,
}

impl Transport for Sender {
    fn send_envelope(&self, envelope: Envelope) {
        let mut body = Vec::new();
        if *self.under_way.borrow() >= AT_ONCE || envelope.to_writer(&mut body).is_err() {
            return;
        }
        let request = self.http.post(&self.url).header("x-sentry-auth", &self.authorization);
        let request = request.header("content-type", "application/x-sentry-envelope").body(body);
        self.under_way.send_modify(|count| *count += 1);
        let under_way = self.under_way.clone();
        self.runtime.spawn(async move {
            let sent = request.send().await.and_then(reqwest::Response::error_for_status);
            // Not as an error, which would be sent again.
            if let Err(error) = sent {
                debug!(error = %error.without_url(), "an error could not be told");
            }
            under_way.send_modify(|count| *count -= 1);
        });
    }

    fn flush(&self, patience: Duration) -> bool {
        let mut under_way = self.under_way.subscribe();
        let sent =
            async { timeout(patience, under_way.wait_for(|count| *count == 0)).await.is_ok() };
        self.runtime.block_on(sent)
    }
}
