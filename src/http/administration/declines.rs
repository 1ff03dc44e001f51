//! Spends that were refused for want of credits.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Refused;
use crate::administration::declines::{self, DeclinedSpend};
use crate::app::App;
use crate::error::Result;
use crate::http::admin::Administrator;
use crate::http::json::Query;
use crate::http::page::Page;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A page of declined spends, the newest first.
#[derive(Serialize, ToSchema)]
struct DeclinedSpends {
    items: Vec<DeclinedSpend>,
    next_cursor: Option<String>,
}

/// Whose.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeclinesQuery {
    /// The person; everybody by default.
    user_id: Option<Uuid>,
    /// As `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// Spends that were refused for want of credits: the last hundred of each person, for thirty days. They are written down
/// within a second or two, and are no part of the log.
#[utoipa::path(get, path = "/admin/declines", tag = "admin", params(DeclinesQuery),
    responses((status = 200, body = DeclinedSpends), Refused), security(("bearer" = [])))]
async fn list(
    State(app): State<App>,
    Administrator(_caller): Administrator,
    Query(DeclinesQuery { user_id, cursor, limit }): Query<DeclinesQuery>,
) -> Result<axum::Json<DeclinedSpends>> {
    let page: Page<i64> = Page::new(cursor.as_deref(), limit)?;
    let items = declines::newest(&app, user_id, page.cursor, page.limit).await?;
    let next_cursor = page.next(&items, |decline| decline.id.to_string());
    Ok(axum::Json(DeclinedSpends { items, next_cursor }))
}
