//! A collector of traces: takes OTLP over HTTP as OpenTelemetry's own does, and keeps what it was told.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use saldo::store::hex;
use tokio::net::TcpListener;

/// A running collector; its task ends with the test's runtime.
#[derive(Clone)]
pub struct Collector {
    pub url: String,
    told: Arc<Mutex<Vec<Told>>>,
}

/// A span, and whose it is.
#[derive(Clone, Debug)]
pub struct Told {
    pub span: Span,
    resource: Vec<KeyValue>,
}

impl Told {
    /// An attribute, as text.
    pub fn attribute(&self, key: &str) -> Option<String> {
        find(&self.span.attributes, key)
    }

    /// What is told of the server, as text.
    pub fn resource(&self, key: &str) -> Option<String> {
        find(&self.resource, key)
    }

    pub fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }

    pub fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    pub fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    /// 0 where nothing is said of it, 2 for an error.
    pub fn status(&self) -> i32 {
        self.span.status.as_ref().map_or(0, |status| status.code)
    }
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let told = Arc::<Mutex<Vec<Told>>>::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&told));
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, told }
    }

    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes spans, and says so with an empty message; what is no such message is refused.
async fn take(
    State(told): State<Arc<Mutex<Vec<Told>>>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(axum::http::HeaderName, &'static str); 1]) {
    let kind = [(CONTENT_TYPE, "application/x-protobuf")];
    let is_protobuf = headers.get(CONTENT_TYPE).is_some_and(|is| is == kind[0].1);
    let (true, Ok(message)) = (is_protobuf, ExportTraceServiceRequest::decode(body)) else {
        return (StatusCode::BAD_REQUEST, kind);
    };
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    for spans in message.resource_spans {
        let resource = spans.resource.unwrap_or_default().attributes;
        let spans = spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
        told.extend(spans.map(|span| Told { span, resource: resource.clone() }));
    }
    (StatusCode::OK, kind)
}

fn find(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.clone() {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => Some(text),
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}
