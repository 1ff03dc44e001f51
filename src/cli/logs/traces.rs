//! Traces, sent to a collector: OTLP over HTTP. They are gathered in a thread of its own, and nobody waits for them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::Url;
use tokio::runtime::Handle;
use tracing::{info, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;

use super::Listener;
use crate::config::Environment;
use crate::traces::TRACES;

/// How long the collector may take, before a batch of spans is tried again, or lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a node that stops waits for its last spans to be sent.
const LAST: Duration = Duration::from_secs(2);

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TracesError {
    /// The HTTP client cannot be made.
    #[error("no HTTP client can be made: {0}")]
    Client(#[from] reqwest::Error),
    /// What is set besides is wrong.
    #[error(
        "traces cannot be sent: correct what is set in the environment as OTEL_EXPORTER_OTLP_…: {0}"
    )]
    Exporter(#[from] ExporterBuildError),
}

/// Who sends traces.
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends what spans tell to this address, in this runtime.
    pub(super) fn begin(
        collector: &Url,
        environment: Environment,
        runtime: Handle,
    ) -> Result<Self, TracesError> {
        let http = crate::clients::http().timeout(PATIENCE).build()?;
        let sender = Sender { http, runtime, is_away: Arc::default() };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(sender)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(collector.as_str())
            .with_timeout(PATIENCE)
            .build()?;
        let name = environment.to_possible_value();
        let name = name.map(|value| value.get_name().to_owned()).unwrap_or_default();
        let resource = Resource::builder()
            .with_service_name("saldo")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            // By its name of today, and by the one that most still look for.
            .with_attribute(KeyValue::new("deployment.environment.name", name.clone()))
            .with_attribute(KeyValue::new("deployment.environment", name))
            .build();
        let provider = SdkTracerProvider::builder();
        Ok(Self(provider.with_resource(resource).with_batch_exporter(exporter).build()))
    }

    /// Hears of spans that are for traces, and of nothing else.
    pub(super) fn layer(&self) -> Listener {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("saldo"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(filter_fn(|about| about.is_span() && about.target() == TRACES))
            .boxed()
    }

    /// Sends what there is left, unless that takes too long: then it is lost.
    pub(super) fn end(&self) {
        if self.0.shutdown_with_timeout(LAST).is_err() {
            warn!("the last traces could not be sent");
        }
    }
}

/// Sends by the client of the house, whose runtime is elsewhere than the thread that gathers spans.
struct Sender {
    http: reqwest::Client,
    runtime: Handle,
    /// Whether it was told already that nobody takes them.
    is_away: Arc<AtomicBool>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

impl HttpClient for Sender {
    fn send_bytes<'sender, 'sending>(
        &'sender self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sending>>
    where
        'sender: 'sending,
        Self: 'sending,
    {
        let sending = self.runtime.spawn(send(self.http.clone(), request));
        let is_away = Arc::clone(&self.is_away);
        Box::pin(async move {
            // It is cut where the node has ended meanwhile.
            let sent = sending.await?;
            tell(&is_away, &sent);
            sent
        })
    }
}

async fn send(
    http: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let answer = http.execute(request.try_into()?).await.map_err(reqwest::Error::without_url)?;
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        headers.clone_from(answer.headers());
    }
    Ok(response.body(answer.bytes().await?)?)
}

/// Tells of a collector that is away, and of one that is back: once each, however often it is tried.
fn tell(is_away: &AtomicBool, sent: &Result<Response<Bytes>, HttpError>) {
    let problem = match sent {
        Ok(response) if response.status().is_success() => None,
        Ok(response) => Some(format!("the collector answered {}", response.status())),
        Err(error) => Some(error.to_string()),
    };
    match (is_away.swap(problem.is_some(), Ordering::Relaxed), problem) {
        (false, Some(error)) => warn!(error, "traces cannot be sent"),
        (true, None) => info!("traces are sent again"),
        _ => {}
    }
}
