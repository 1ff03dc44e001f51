//! Work that waits, fails, or was given up.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Refused;
use crate::administration::jobs::{self, JobState, QueuedJob};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::http::admin::Administrator;
use crate::http::holds::checked_reason;
use crate::http::json::{Json, Path, Query};
use crate::http::page::Page;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(retry)).routes(routes!(give_up))
}

/// A page of jobs, the newest first.
#[derive(Serialize, ToSchema)]
struct QueuedJobs {
    items: Vec<QueuedJob>,
    next_cursor: Option<String>,
}

/// Which jobs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct JobsQuery {
    /// How they stand; all by default.
    state: Option<JobState>,
    /// What is to be done, as `send_letter`; anything by default.
    task: Option<String>,
    /// As `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// Why nobody is to try it any more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GiveUp {
    /// What `last_error` will say: 1 to 200 characters, no personal data.
    #[schema(min_length = 1, max_length = 200, example = "the address is gone")]
    reason: String,
}

/// Work that waits, fails, is being done, or was given up; what is done is not kept.
#[utoipa::path(get, path = "/admin/jobs", tag = "admin", params(JobsQuery),
    responses((status = 200, body = QueuedJobs), Refused), security(("bearer" = [])))]
async fn list(
    State(app): State<App>,
    Administrator(_caller): Administrator,
    Query(JobsQuery { state, task, cursor, limit }): Query<JobsQuery>,
) -> Result<axum::Json<QueuedJobs>> {
    let page: Page<i64> = Page::new(cursor.as_deref(), limit)?;
    let items = jobs::newest(&app, state, task.as_deref(), page.cursor, page.limit).await?;
    let next_cursor = page.next(&items, |job| job.id.to_string());
    Ok(axum::Json(QueuedJobs { items, next_cursor }))
}

/// Has a job tried now; one that was given up, once more.
#[utoipa::path(post, path = "/admin/jobs/{id}/retry", tag = "admin", params(("id" = i64, Path)),
    responses((status = 202), (status = 404, body = Problem),
        (status = 409, description = "somebody is at it", body = Problem), Refused),
    security(("bearer" = [])))]
async fn retry(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<i64>,
) -> Result<StatusCode> {
    jobs::retry(&app, id).await?;
    tracing::info!(administrator = %caller.user, job = id, "a job is to be tried again");
    Ok(StatusCode::ACCEPTED)
}

/// Has nobody try a job any more. It can be tried again for thirty days.
#[utoipa::path(post, path = "/admin/jobs/{id}/give-up", tag = "admin", request_body = GiveUp,
    params(("id" = i64, Path)),
    responses((status = 204), (status = 404, body = Problem),
        (status = 409, description = "somebody is at it, or it was given up already", body = Problem), Refused),
    security(("bearer" = [])))]
async fn give_up(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<i64>,
    Json(GiveUp { reason }): Json<GiveUp>,
) -> Result<StatusCode> {
    jobs::give_up(&app, id, &checked_reason(reason)?).await?;
    tracing::info!(administrator = %caller.user, job = id, "a job was given up");
    Ok(StatusCode::NO_CONTENT)
}
