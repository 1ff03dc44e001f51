//! Messages that nobody was configured to send: for whoever develops, in `local` only.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::config::Environment;
use crate::error::{Problem, Result};
use crate::inbox::{self, Message};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The newest hundred, the newest first.
#[derive(Serialize, ToSchema)]
struct Inbox {
    items: Vec<Message>,
    next_cursor: Option<String>,
}

/// Letters and text messages that were not sent, since nobody was configured to send them. Only in
/// the local environment.
#[utoipa::path(get, path = "/dev/inbox", tag = "system",
    responses((status = 200, body = Inbox), (status = 404, body = Problem)))]
async fn list(State(app): State<App>) -> Result<axum::Json<Inbox>> {
    if app.settings.environment != Environment::Local {
        return Err(Problem::not_found());
    }
    let items = inbox::newest(app.db()).await?;
    Ok(axum::Json(Inbox { items, next_cursor: None }))
}
