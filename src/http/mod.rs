//! The API: one file per resource, and what they share.

mod account;
mod admin;
mod administration;
mod ai;
mod api_keys;
mod auth;
mod body;
mod caller;
mod chats;
mod checkout;
mod cookies;
mod debits;
mod docs;
mod health;
mod holds;
mod idempotency;
mod inbox;
mod json;
mod limits;
mod me;
mod metrics;
mod models;
mod oauth;
mod offers;
mod old_keys;
mod openai;
mod operations;
mod page;
mod payments;
mod plan_changes;
mod position;
mod prefer;
mod problems;
mod proofs;
mod rate_limit;
mod recharge;
mod refused_keys;
mod security;
mod sessions;
mod spend_limits;
mod statement;
mod subscriptions;
mod system;
mod tagged;
mod timing;
mod traced;
mod usage;
mod visitor;
mod wallet;
mod webhook_deliveries;
mod webhook_endpoints;
mod webhooks;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, StatusCode};
use axum::middleware::from_fn_with_state;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

pub(crate) use rate_limit::network;
pub(crate) use visitor::is_within;

/// Longer than the slowest AI call: finding somebody who answers, and their answer.
const TIMEOUT: Duration = Duration::from_mins(8);
/// The request's id, in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Every route of the server, with its documentation.
pub fn router(app: App) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(docs::document())
        .nest(
            "/api/v1",
            OpenApiRouter::new()
                .merge(auth::routes())
                .merge(proofs::routes())
                .merge(me::routes())
                .merge(limits::routes())
                .merge(account::routes())
                .merge(sessions::routes())
                .merge(oauth::routes())
                .merge(api_keys::routes())
                .merge(wallet::routes())
                .merge(spend_limits::routes())
                .merge(statement::routes())
                .merge(usage::routes())
                .merge(holds::routes())
                .merge(debits::routes())
                .merge(offers::routes())
                .merge(checkout::routes())
                .merge(payments::routes())
                .merge(subscriptions::routes())
                .merge(plan_changes::routes())
                .merge(recharge::routes())
                .merge(webhooks::routes())
                .merge(webhook_endpoints::routes())
                .merge(webhook_deliveries::routes())
                .merge(admin::routes())
                .merge(operations::routes())
                .merge(administration::routes())
                .merge(models::routes())
                .merge(chats::routes())
                .merge(ai::routes()),
        )
        .merge(openai::routes())
        .merge(system::routes())
        .merge(health::routes())
        .merge(metrics::routes())
        .merge(inbox::routes())
        .split_for_parts();
    let mut router = router
        .merge(docs::routes(&document))
        .fallback(problems::no_such_route)
        .method_not_allowed_fallback(problems::no_such_method);
    router = guarded(router, &app, TIMEOUT);
    if !app.settings.web.cors_origins.is_empty() {
        let cors = security::cors(&app.settings.web.cors_origins);
        router = router.layer((from_fn_with_state(app.clone(), security::preflight), cors));
    }
    if app.settings.web.https_redirect {
        router = router.layer(from_fn_with_state(app.clone(), security::only_https));
    }
    router.with_state(app)
}

/// Routes whose requests each have an id and come to an end, whatever becomes of their handlers: one that panics has
/// failed, and one that takes longer than `within` is given up.
pub fn guarded(router: Router<App>, app: &App, within: Duration) -> Router<App> {
    // One layer of five: each would cost every request an allocation.
    router.layer((
        from_fn_with_state(app.clone(), problems::answer),
        CatchPanicLayer::custom(problems::panicked),
        TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, within),
        from_fn_with_state(app.clone(), old_keys::refuse),
        DefaultBodyLimit::max(body::USUAL),
    ))
}

/// What those who operate a node ask, on a listener that nobody else reaches.
pub fn operators(app: App) -> Router {
    let (router, _) = health::routes().split_for_parts();
    router
        .route("/metrics", axum::routing::get(metrics::open))
        .fallback(problems::no_such_route)
        .method_not_allowed_fallback(problems::no_such_method)
        .layer((
            from_fn_with_state(app.clone(), problems::tell),
            CatchPanicLayer::custom(problems::panicked),
        ))
        .with_state(app)
}
