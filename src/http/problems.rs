//! The way out: request ids, problem bodies, one log line a request.

use std::time::{Duration, Instant};

use aggregates::id::CommandId;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::rate_limit::{Asker, Gate};
use super::visitor::ClientAddress;
use super::{REQUEST_ID, openai, security, traced};
use crate::app::App;
use crate::config::REQUESTS;
use crate::error::Problem;

/// The request's id: the caller's, where it is short and plain, else a new one.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub(super) String);

#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    problem: &'a Problem,
    request_id: &'a str,
}

/// Gives every request an id and every problem a body, logs the request once, and has a trace of it.
pub(super) async fn answer(State(app): State<App>, request: Request, next: Next) -> Response {
    let span = traced::span(&request);
    let response = respond(app, request, next).instrument(span.clone()).await;
    traced::end(&span, &response);
    response
}

async fn respond(app: App, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = id_of(&request);
    Span::current().record("saldo.request_id", id.as_str());
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = method(request.method());
    let path = request.uri().path();
    let (shape, mut guarded) = (Shape::of(path), HeaderMap::new());
    security::protect(&mut guarded, path, &app.settings);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let trusted = &app.settings.web.trusted_proxies;
    if let Some(client) = ClientAddress::find(request.extensions(), request.headers(), trusted) {
        request.extensions_mut().insert(client);
    }
    let gate = Gate::new(&app, &mut request);
    let mut response = match gate.enter().await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    if let Err(problem) = gate.leave(response.status()).await {
        response = problem.into_response();
    }
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        log(&problem, &id);
        response = shape.with_body(&response, &problem, &id);
    } else if response.status() == StatusCode::SERVICE_UNAVAILABLE
        && !response.headers().contains_key(CONTENT_TYPE)
    {
        let problem = Problem::busy(
            "the request took too long; with the same Idempotency-Key it can be asked again",
        );
        response = shape.with_body(&response, &problem, &id);
    }
    if response.status() == StatusCode::REQUEST_TIMEOUT {
        // What is still to come of the request is not waited for.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let headers = response.headers_mut();
    gate.tell(headers);
    headers.extend(guarded);
    finish(headers, &id);
    let answered = Answered {
        method,
        route: route.as_ref().map_or(UNKNOWN, MatchedPath::as_str),
        status: response.status().as_u16(),
        took: started.elapsed(),
        asker: gate.asker(),
    };
    answered.count(&app);
    answered.log(&id);
    response
}

/// Gives every request an id and every problem a body, and counts nothing: for those who operate a node.
pub(super) async fn tell(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = id_of(&request);
    let mut guarded = HeaderMap::new();
    security::forbid(&mut guarded, request.uri().path(), &app.settings);
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        log(&problem, &id);
        response = with_body(&response, &problem, &id);
    }
    response.headers_mut().extend(guarded);
    finish(response.headers_mut(), &id);
    response
}

/// The caller's id of the request, or a new one.
fn id_of(request: &Request) -> String {
    let id = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let id = id.filter(|id| acceptable(id));
    id.map_or_else(|| CommandId(Uuid::now_v7()).to_string(), str::to_owned)
}

/// What every answer says.
fn finish(headers: &mut HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    security::keep_nothing(headers);
}

/// The route of a path that is none, and of a method that is none.
pub(super) const UNKNOWN: &str = "unknown";
/// What is asked all the time by whoever watches: it has no line in the log but for those who look for faults.
pub(super) const WATCHED: [&str; 6] =
    ["/livez", "/readyz", "/healthz", "/healthz/{part}", "/health", "/metrics"];

/// A request, and what became of it; nothing of what it said.
struct Answered<'a> {
    method: &'static str,
    route: &'a str,
    status: u16,
    took: Duration,
    asker: Option<Asker>,
}

impl Answered<'_> {
    fn count(&self, app: &App) {
        app.counters.requests.note(self.method, self.route, self.status, self.took);
    }

    fn log(&self, id: &str) {
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: REQUESTS,
                    request_id = id,
                    method = self.method,
                    route = self.route,
                    status = self.status,
                    duration_ms = milliseconds(self.took),
                    user = self.asker.map(|asker| display(asker.user)),
                    api_key = self.asker.and_then(|asker| asker.key).map(display),
                    "answered"
                )
            };
        }
        if WATCHED.contains(&self.route) { line!(debug) } else { line!(info) }
    }
}

#[expect(clippy::float_arithmetic, reason = "a figure to look at, and to sort by")]
fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The method; one that nobody knows is nobody's.
pub(super) fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or(UNKNOWN)
}

/// How a route tells of problems.
#[derive(Clone, Copy)]
enum Shape {
    /// As RFC 9457 has it.
    Problem,
    /// As OpenAI's SDKs read it.
    OpenAi,
}

impl Shape {
    fn of(path: &str) -> Self {
        if path.starts_with("/v1/") { Self::OpenAi } else { Self::Problem }
    }

    fn with_body(self, response: &Response, problem: &Problem, request_id: &str) -> Response {
        match self {
            Self::Problem => with_body(response, problem, request_id),
            Self::OpenAi => allowing(response, openai::with_body(problem)),
        }
    }
}

/// Whether a caller's request id may stand in logs and in the log.
fn acceptable(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

fn log(problem: &Problem, request_id: &str) {
    if let Some(cause) = &problem.cause {
        tracing::error!(request_id, code = problem.code, cause, "a request failed");
    }
}

fn with_body(response: &Response, problem: &Problem, request_id: &str) -> Response {
    let body = axum::Json(Body { problem, request_id });
    let mut response = allowing(response, (problem.status(), body).into_response());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if problem.status() == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = problem.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The answer, with the methods that the one before it says the route knows.
fn allowing(before: &Response, mut answer: Response) -> Response {
    if let Some(allow) = before.headers().get(ALLOW) {
        answer.headers_mut().insert(ALLOW, allow.clone());
    }
    answer
}

/// 404 for a path that is no route.
pub(super) async fn no_such_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_such_route", "there is no such route: see /docs")
}

/// 405 for a method that the route does not know.
pub(super) async fn no_such_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "the route does not know this method: see the Allow header",
    )
}

/// 500 for a panic: a bug of ours, contained.
pub(super) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Problem::failed("a handler panicked").into_response()
}
