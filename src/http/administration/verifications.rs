//! Proving the log while it is written: what `saldo verify` does, in the background.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Refused;
use crate::administration::verifications::{self, Verification};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::http::admin::Administrator;
use crate::http::json::Path;
use crate::http::page::{Page, PageQuery};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(ask, list)).routes(routes!(show))
}

/// Verifications, the newest first.
#[derive(Serialize, ToSchema)]
struct Verifications {
    items: Vec<Verification>,
    next_cursor: Option<Uuid>,
}

/// Has the log verified, and all that follows from it, in the background: as `saldo verify` does, with the signed heads
/// of the node that is at it. There is one at a time: while one is under way, that one is the answer. Where a node dies
/// another begins anew, within two minutes.
#[utoipa::path(post, path = "/admin/verifications", tag = "admin",
    responses((status = 202, body = Verification), Refused), security(("bearer" = [])))]
async fn ask(
    State(app): State<App>,
    Administrator(caller): Administrator,
) -> Result<(StatusCode, axum::Json<Verification>)> {
    let verification = verifications::ask_for(&app).await?;
    let id = verification.id;
    tracing::info!(administrator = %caller.user, verification = %id, "a verification was asked for");
    Ok((StatusCode::ACCEPTED, axum::Json(verification)))
}

/// Verifications that were asked for, and what they found.
#[utoipa::path(get, path = "/admin/verifications", tag = "admin", params(PageQuery),
    responses((status = 200, body = Verifications), Refused), security(("bearer" = [])))]
async fn list(
    State(app): State<App>,
    Administrator(_caller): Administrator,
    page: Page<Uuid>,
) -> Result<axum::Json<Verifications>> {
    let items = verifications::newest(&app, page.cursor, page.limit).await?;
    let next_cursor = page.next(&items, |verification| verification.id);
    Ok(axum::Json(Verifications { items, next_cursor }))
}

/// A verification: how it stands, and what it found.
#[utoipa::path(get, path = "/admin/verifications/{id}", tag = "admin", params(("id" = Uuid, Path)),
    responses((status = 200, body = Verification), (status = 404, body = Problem), Refused),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    Administrator(_caller): Administrator,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<Verification>> {
    let verification = verifications::of(&app, id).await?;
    verification.map(axum::Json).ok_or_else(Problem::not_found)
}
