//! Traces: how a request, and what follows from it, is told to whoever collects that. Spans are `tracing`'s own, all
//! under one target, which nobody listens to unless a collector is set: then they cost nothing.

use axum::http::{HeaderMap, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub use projections::TRACES;

/// Which trace a request is part of, as W3C's Trace Context has it.
pub const TRACEPARENT: &str = "traceparent";

/// What a caller says of the trace that it is in. Its `tracestate` is not listened to: nobody knows what is in it,
/// and it would be told to everybody who is asked on the way.
struct Said<'a>(&'a HeaderMap);

impl Extractor for Said<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let header = (key == TRACEPARENT).then(|| self.0.get(TRACEPARENT))?;
        header.and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

/// Has a span that has just begun carry on its caller's trace, where there is one.
pub fn carry_on(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() || !headers.contains_key(TRACEPARENT) {
        return;
    }
    let caller =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Said(headers));
    // It has just begun, and somebody listens to it: it cannot be refused.
    let _ = span.set_parent(caller);
}

/// What is sent along for others to carry on this span's trace; nothing, where there is none.
#[must_use]
pub fn traceparent(span: &Span) -> Option<HeaderValue> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let span = span.span_context();
    let (trace, id, flags) = (span.trace_id(), span.span_id(), span.trace_flags().to_u8());
    let said = format!("00-{trace:032x}-{id:016x}-{flags:02x}");
    span.is_valid().then(|| HeaderValue::from_str(&said).ok()).flatten()
}

/// Has a span tell of others that it does the work of, too.
pub fn link<'a>(span: &Span, others: impl IntoIterator<Item = &'a Span>) {
    if !span.is_disabled() {
        for other in others {
            span.follows_from(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    /// What is sent along by somebody who was told this.
    fn sent_along(said: &str) -> String {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static(TRACEPARENT),
            said.parse().expect("a value"),
        )]);
        with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!(target: TRACES, "request");
            carry_on(&span, &headers);
            let sent = traceparent(&span).expect("a trace");
            sent.to_str().expect("text").to_owned()
        })
    }

    #[test]
    fn a_trace_is_carried_on_by_a_span_of_our_own() {
        let sent = sent_along(&format!("00-{TRACE}-00f067aa0ba902b7-01"));
        assert!(sent.starts_with(&format!("00-{TRACE}-")) && sent.ends_with("-01"), "{sent}");
        assert!(!sent.contains("00f067aa0ba902b7"), "{sent}");
    }

    #[test]
    fn what_nobody_wants_to_have_traced_is_not() {
        let sent = sent_along(&format!("00-{TRACE}-00f067aa0ba902b7-00"));
        assert!(sent.starts_with(&format!("00-{TRACE}-")) && sent.ends_with("-00"), "{sent}");
    }

    #[test]
    fn what_is_no_trace_begins_one() {
        for said in ["", "00", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
            let sent = sent_along(said);
            assert!(!sent.contains(TRACE) && sent.ends_with("-01"), "{sent}");
        }
    }

    #[test]
    fn where_nobody_listens_nothing_is_sent_along() {
        assert_eq!(traceparent(&tracing::info_span!(target: TRACES, "request")), None);
    }
}
