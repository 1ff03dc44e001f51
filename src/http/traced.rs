//! Requests as spans, for whoever collects traces: their routes, never what they said.

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use tracing::Span;
use tracing::field::Empty;

use super::problems::{UNKNOWN, WATCHED, method};
use crate::traces::{self, TRACES};

/// The span of a request, in its caller's trace. What is asked by whoever watches all the time has none.
pub(super) fn span(request: &Request) -> Span {
    let route = request.extensions().get::<MatchedPath>().map_or(UNKNOWN, MatchedPath::as_str);
    if WATCHED.contains(&route) {
        return Span::none();
    }
    let method = method(request.method());
    let span = tracing::info_span!(
        target: TRACES,
        parent: None,
        "request",
        otel.name = %format_args!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        saldo.request_id = Empty,
    );
    traces::carry_on(&span, request.headers());
    span
}

/// What became of it.
pub(super) fn end(span: &Span, response: &Response) {
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}
