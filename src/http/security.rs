//! What browsers are told, so that no other site reads or frames what is here, and who is sent to HTTPS.
//!
//! The headers are those of OWASP's HTTP Headers and REST Security cheat sheets.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, ETAG, LOCATION,
    REFERRER_POLICY, RETRY_AFTER, STRICT_TRANSPORT_SECURITY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::visitor::is_from_proxy;
use crate::app::App;
use crate::config::Settings;

/// Answers are data: nothing of them is to be run, loaded or framed.
const DATA: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// The page that tries the API runs what comes with it, and loads nothing from elsewhere.
const PAGES: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
);
/// `ReDoc` searches in a worker that it makes of a part of itself.
const READER: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; worker-src blob:; connect-src 'self'; img-src data:; \
     style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// Two years, as browsers' lists want it.
const ONLY_HTTPS: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");
/// What no page of ours needs.
const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");
const NO_PERMISSIONS: HeaderValue =
    HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=()");
/// Other sites may not load it, hold on to its window, or have it load from them.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const EMBEDDER_POLICY: HeaderName = HeaderName::from_static("cross-origin-embedder-policy");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
/// Neither may documents of Adobe's.
const CROSS_DOMAIN: HeaderName = HeaderName::from_static("x-permitted-cross-domain-policies");
/// How long a browser may remember what a site may ask: an hour.
const REMEMBERED: Duration = Duration::from_hours(1);

/// Tells browsers what not to do, and to come by TLS alone where there is some.
pub(super) fn protect(headers: &mut HeaderMap, path: &str, settings: &Settings) {
    forbid(headers, path, settings);
    if settings.public_url.starts_with("https://") {
        headers.insert(STRICT_TRANSPORT_SECURITY, ONLY_HTTPS);
    }
}

/// Tells browsers what not to do. What comes without TLS must not speak of it (RFC 6797, 7.2).
pub(super) fn forbid(headers: &mut HeaderMap, path: &str, settings: &Settings) {
    let policy = match path {
        "/redoc" => READER,
        _ if path.starts_with("/docs") => PAGES,
        _ => DATA,
    };
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(PERMISSIONS, NO_PERMISSIONS);
    headers.insert(OPENER_POLICY, SAME_ORIGIN);
    headers.insert(EMBEDDER_POLICY, HeaderValue::from_static("require-corp"));
    headers.insert(CROSS_DOMAIN, HeaderValue::from_static("none"));
    if settings.web.cors_origins.is_empty() {
        headers.insert(RESOURCE_POLICY, SAME_ORIGIN);
    }
}

/// What nobody but the guest may keep.
pub(super) fn keep_nothing(headers: &mut HeaderMap) {
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Lets scripts of these sites ask, with their cookies and whatever headers, and read what stands in ours.
pub(super) fn cors(origins: &[HeaderValue]) -> CorsLayer {
    let named = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        // Clients bring headers of their own: OpenAI's tells by a dozen of them what it runs on.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            ALLOW,
            CONTENT_DISPOSITION,
            ETAG,
            LOCATION,
            RETRY_AFTER,
            WWW_AUTHENTICATE,
            named("credits-charged"),
            named("credits-remaining"),
            named("idempotency-replayed"),
            named("preference-applied"),
            named("ratelimit"),
            named("ratelimit-policy"),
            named("server-timing"),
            named("x-event-position"),
            named("x-request-id"),
            named("x-should-retry"),
        ])
        .max_age(REMEMBERED)
}

/// Protects what is answered before any route is: what a browser asks before its script may.
pub(super) async fn preflight(State(app): State<App>, request: Request, next: Next) -> Response {
    let asked = (request.method() == Method::OPTIONS).then(|| request.uri().path().to_owned());
    let mut response = next.run(request).await;
    if let Some(path) = asked {
        protect(response.headers_mut(), &path, &app.settings);
        keep_nothing(response.headers_mut());
    }
    response
}

/// Sends whoever came to a proxy of ours without TLS to the public address, which has it.
pub(super) async fn only_https(State(app): State<App>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let came_by = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    let is_plain = came_by.is_some_and(|by| by.trim().eq_ignore_ascii_case("http"));
    if !is_plain || !is_from_proxy(request.extensions(), &app.settings.web.trusted_proxies) {
        return next.run(request).await;
    }
    let wanted = request.uri().path_and_query().map_or("/", |wanted| wanted.as_str());
    // The host that the request names may be anybody's.
    let place = format!("{}{wanted}", app.settings.public_url);
    let mut response = match HeaderValue::from_str(&place) {
        Ok(place) => (StatusCode::PERMANENT_REDIRECT, [(LOCATION, place)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    };
    forbid(response.headers_mut(), request.uri().path(), &app.settings);
    keep_nothing(response.headers_mut());
    response
}
