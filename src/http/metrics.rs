//! What Prometheus reads.

use std::net::IpAddr;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::response::IntoResponse;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problems;
use super::visitor::ClientAddress;
use crate::app::App;
use crate::config::Environment;
use crate::error::{Problem, Result};
use crate::metrics;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(guarded))
}

/// What this node counts, in Prometheus' text format, with the token of `SALDO_METRICS_TOKEN`. Without the
/// setting there is no such route, but in `local` to whoever asks from the same machine.
#[utoipa::path(get, path = "/metrics", tag = "system", responses(
    (status = 200, body = String, content_type = "text/plain"),
    (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn guarded(
    State(app): State<App>,
    client: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse> {
    let address = client.map(|Extension(ClientAddress(address))| address);
    match &app.settings.metrics_token {
        Some(token) if !brings(&headers, token.expose_secret()) => {
            return Err(Problem::unauthorized(
                "send Authorization: Bearer with the token of metrics",
            ));
        }
        Some(_) => {}
        None if is_local(&app, address) => {}
        None => return Err(problems::no_such_route().await),
    }
    Ok(open(State(app)).await)
}

/// The same, to whoever comes: for a listener of its own.
pub(super) async fn open(State(app): State<App>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::page(&app).await)
}

/// Whether the request brings the token. Hashes are compared: how long that takes tells nothing of what it is.
fn brings(headers: &HeaderMap, token: &str) -> bool {
    let brought = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let brought = brought.and_then(|value| value.split_once(' '));
    brought.is_some_and(|(scheme, brought)| {
        scheme.eq_ignore_ascii_case("bearer")
            && Sha256::digest(brought.trim()) == Sha256::digest(token)
    })
}

fn is_local(app: &App, address: Option<IpAddr>) -> bool {
    let is_loopback = address.is_some_and(|address| address.to_canonical().is_loopback());
    is_loopback && app.settings.environment == Environment::Local
}
