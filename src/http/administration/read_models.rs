//! How far the read models are, having one stand still, and building one anew.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Refused;
use crate::administration::read_models::{self, ReadModel};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::http::admin::Administrator;
use crate::http::json::Path;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(rebuild))
        .routes(routes!(pause))
        .routes(routes!(resume))
}

/// All read models.
#[derive(Serialize, ToSchema)]
struct ReadModels {
    /// The last position of the log.
    position: i64,
    items: Vec<ReadModel>,
    next_cursor: Option<String>,
}

/// How far each read model is behind the log.
#[utoipa::path(get, path = "/admin/projections", tag = "admin",
    responses((status = 200, body = ReadModels), Refused), security(("bearer" = [])))]
async fn list(
    State(app): State<App>,
    Administrator(_caller): Administrator,
) -> Result<axum::Json<ReadModels>> {
    let (position, items) = read_models::all(&app).await?;
    Ok(axum::Json(ReadModels { position, items, next_cursor: None }))
}

/// Has a read model built anew from the log, soon; the one that there is serves until then. While `rebuilding` is
/// true, it is not done; a rebuild that fails is tried again, and `/admin/jobs` says why it failed. Where the role that
/// serves may only append to the log, this is refused, and names the command that does it.
#[utoipa::path(post, path = "/admin/projections/{name}/rebuild", tag = "admin",
    params(("name" = String, Path, description = "a name of /admin/projections")),
    responses((status = 202), (status = 404, body = Problem),
        (status = 409, description = "the role that serves does not own the tables", body = Problem), Refused),
    security(("bearer" = [])))]
async fn rebuild(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    read_models::ask_for(&app, &name).await?;
    tracing::info!(administrator = %caller.user, read_model = name, "a rebuild was asked for");
    Ok(StatusCode::ACCEPTED)
}

/// Has a read model stand still: once this is answered no node projects it, also after a restart, until it is resumed.
/// Nothing is lost: commands and the log go on, and what it says is as of then. Whoever waits for it to say what they
/// have just done gets 503. A rebuild that is asked for meanwhile is done, and the new one stands still where it ends.
#[utoipa::path(post, path = "/admin/projections/{name}/pause", tag = "admin",
    params(("name" = String, Path, description = "a name of /admin/projections")),
    responses((status = 204), (status = 404, body = Problem), Refused), security(("bearer" = [])))]
async fn pause(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    read_models::pause(&app, &name).await?;
    tracing::warn!(administrator = %caller.user, read_model = name, "a read model stands still");
    Ok(StatusCode::NO_CONTENT)
}

/// Has a read model go on from where it stands, on any node, within a second.
#[utoipa::path(post, path = "/admin/projections/{name}/resume", tag = "admin",
    params(("name" = String, Path, description = "a name of /admin/projections")),
    responses((status = 204), (status = 404, body = Problem), Refused), security(("bearer" = [])))]
async fn resume(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    read_models::resume(&app, &name).await?;
    tracing::info!(administrator = %caller.user, read_model = name, "a read model goes on");
    Ok(StatusCode::NO_CONTENT)
}
