//! What others tell us.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{self, Body};
use crate::app::App;
use crate::billing::inbox;
use crate::error::{Problem, Result};

/// Longer webhooks than any of Stripe's.
const LONGEST: usize = 1024 * 1024;
/// How long the database has to keep an event: Stripe does not wait for long, and sends it again.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(stripe)).layer(body::at_most(LONGEST))
}

/// Takes an event of Stripe's: it is kept before it is answered, and worked off afterwards. An error
/// makes Stripe send it again.
#[utoipa::path(post, path = "/webhooks/stripe", tag = "webhooks",
    params(("Stripe-Signature" = String, Header,)), request_body = String,
    responses((status = 204), (status = 400, description = "it is not Stripe's", body = Problem),
        (status = 413, description = "it is longer than 1 MiB", body = Problem),
        (status = 500, description = "it could not be kept", body = Problem)))]
async fn stripe(
    State(app): State<App>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<StatusCode> {
    let signature = headers.get("stripe-signature").and_then(|value| value.to_str().ok());
    let kept = timeout(PATIENCE, inbox::take(&app, &body, signature.unwrap_or_default())).await;
    match kept {
        Ok(Ok(())) => Ok(StatusCode::NO_CONTENT),
        Ok(Err(problem)) if problem.status().is_server_error() => {
            Err(Problem::failed(problem.cause.unwrap_or(problem.detail)))
        }
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err(Problem::failed("the database does not answer")),
    }
}
