//! The sessions of the person who is asking.

use aggregates::id::SessionId;
use aggregates::user::EndReason;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::caller::InPerson;
use super::json::Path;
use super::position::At;
use crate::accounts::sessions::{self, SessionRow};
use crate::app::App;
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, end_others)).routes(routes!(end))
}

/// Open sessions, the newest first; as many as there are.
#[derive(Serialize, ToSchema)]
struct Sessions {
    items: Vec<SessionRow>,
    next_cursor: Option<String>,
}

/// The open sessions.
#[utoipa::path(get, path = "/me/sessions", tag = "me",
    responses((status = 200, body = Sessions), (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn list(State(app): State<App>, person: InPerson) -> Result<axum::Json<Sessions>> {
    let items = sessions::list(&app, person.caller.user, person.session).await?;
    Ok(axum::Json(Sessions { items, next_cursor: None }))
}

/// Ends all sessions but the one that asks. Their access tokens fail within a second.
#[utoipa::path(delete, path = "/me/sessions", tag = "me",
    responses((status = 204), (status = 401, body = Problem)), security(("bearer" = [])))]
async fn end_others(State(app): State<App>, person: InPerson) -> Result<At<StatusCode>> {
    let InPerson { caller, session } = person;
    let position = sessions::end_others(&app, &caller.visitor, caller.user, session).await?;
    Ok(At(position, StatusCode::NO_CONTENT))
}

/// Ends one session. Its access tokens fail within a second.
#[utoipa::path(delete, path = "/me/sessions/{id}", tag = "me", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn end(
    State(app): State<App>,
    person: InPerson,
    Path(id): Path<Uuid>,
) -> Result<At<StatusCode>> {
    let (session, InPerson { caller, session: current }) = (SessionId(id), person);
    if sessions::owner(&app, session).await? != Some(caller.user) {
        return Err(Problem::not_found());
    }
    let why = if session == current { EndReason::SignedOut } else { EndReason::Ended };
    let position = sessions::end(&app, &caller.visitor, caller.user, session, why).await?;
    Ok(At(position, StatusCode::NO_CONTENT))
}
