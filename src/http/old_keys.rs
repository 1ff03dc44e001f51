//! A node whose keys were retired elsewhere changes nothing: what it would write no other node could read.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;
use crate::error::{Problem, Result};

/// Below this, browsers that come back from a provider change things by GET.
const OAUTH: &str = "/api/v1/auth/oauth/";

/// Refuses what would change anything, while that is so.
pub(super) async fn refuse(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response> {
    let changes = !request.method().is_safe() || request.uri().path().starts_with(OAUTH);
    match app.keys.too_old() {
        Some(detail) if changes => Err(Problem::old_keys(detail)),
        _ => Ok(next.run(request).await),
    }
}
