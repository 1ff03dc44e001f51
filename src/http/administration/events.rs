//! The log, event by event.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Refused;
use crate::administration::events::{self, LoggedEvent, Sought};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::http::admin::Administrator;
use crate::http::json::{Path, Query};
use crate::http::page::Page;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// A page of the log, the newest first.
#[derive(Serialize, ToSchema)]
struct LoggedEvents {
    items: Vec<LoggedEvent>,
    /// Null where the log has no more; a page before that may be short, or empty.
    next_cursor: Option<String>,
}

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LogQuery {
    /// `wallet`, `user`, `purchase`, …; of any by default.
    aggregate_type: Option<String>,
    /// Of which one; needs `aggregate_type`.
    aggregate_id: Option<Uuid>,
    /// What happened, as `Granted`; anything by default.
    event_type: Option<String>,
    /// Events from before this position; `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// What the log has, the newest first. Personal data stays sealed. A page looks through 100,000 positions at most, so
/// that one of rare events may be short, or empty, and be followed by another.
#[utoipa::path(get, path = "/admin/events", tag = "admin", params(LogQuery),
    responses((status = 200, body = LoggedEvents), Refused), security(("bearer" = [])))]
async fn list(
    State(app): State<App>,
    Administrator(_caller): Administrator,
    Query(query): Query<LogQuery>,
) -> Result<axum::Json<LoggedEvents>> {
    let page: Page<i64> = Page::new(query.cursor.as_deref(), query.limit)?;
    let LogQuery { aggregate_type, aggregate_id, event_type, .. } = query;
    if aggregate_id.is_some() && aggregate_type.is_none() {
        return Err(Problem::field("aggregate_type", "must be told with aggregate_id"));
    }
    let sought = Sought { aggregate_type, aggregate_id, event_type };
    let (items, next) = events::newest(&app, &sought, page.cursor, page.limit).await?;
    let next_cursor = next.map(|position| position.to_string());
    Ok(axum::Json(LoggedEvents { items, next_cursor }))
}

/// The event at a position of the log. Personal data stays sealed.
#[utoipa::path(get, path = "/admin/events/{position}", tag = "admin", params(("position" = i64, Path)),
    responses((status = 200, body = LoggedEvent), (status = 404, body = Problem), Refused),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    Administrator(_caller): Administrator,
    Path(position): Path<i64>,
) -> Result<axum::Json<LoggedEvent>> {
    let event = events::at(&app, position).await?;
    event.map(axum::Json).ok_or_else(Problem::not_found)
}
