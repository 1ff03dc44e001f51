//! Keys for the programs of the person who is asking.

use aggregates::id::ApiKeyId;
use aggregates::user::Scope;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::caller::Caller;
use super::json::{Json, Path};
use super::position::At;
use crate::accounts::api_keys::{self, KeyRow};
use crate::accounts::contact::checked_name;
use crate::app::App;
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// A key that is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKey {
    /// What its owner calls it; at most 100 characters.
    #[schema(example = "laptop")]
    name: String,
    /// What it may be used for.
    #[schema(value_type = Vec<String>, example = json!(["ai"]))]
    scopes: Vec<Scope>,
}

/// A key, with its secret, which is never told again.
#[derive(Serialize, ToSchema)]
struct Created {
    #[serde(flatten)]
    key: KeyRow,
    /// What programs send as `Authorization: Bearer`.
    secret: String,
}

/// Keys, the newest first.
#[derive(Serialize, ToSchema)]
struct Keys {
    items: Vec<KeyRow>,
    next_cursor: Option<String>,
}

/// The keys of the person who is asking; revoked ones, too.
#[utoipa::path(get, path = "/me/api-keys", tag = "me",
    responses((status = 200, body = Keys), (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn list(State(app): State<App>, caller: Caller) -> Result<axum::Json<Keys>> {
    let items = api_keys::list(&app, caller.user).await?;
    Ok(axum::Json(Keys { items, next_cursor: None }))
}

/// Creates a key. Its secret is told this once.
#[utoipa::path(post, path = "/me/api-keys", tag = "me", request_body = NewKey,
    responses((status = 201, body = Created), (status = 401, body = Problem),
        (status = 409, description = "there are too many", body = Problem),
        (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<NewKey>,
) -> Result<At<(StatusCode, axum::Json<Created>)>> {
    let name = checked_name(Some(body.name))?
        .ok_or_else(|| Problem::field("name", "must not be empty"))?;
    let created = api_keys::create(&app, &caller.visitor, caller.user, name, body.scopes).await?;
    let (key, secret, position) = created;
    Ok(At(position, (StatusCode::CREATED, axum::Json(Created { key, secret }))))
}

/// Revokes a key: it is refused at once, everywhere.
#[utoipa::path(delete, path = "/me/api-keys/{id}", tag = "me", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<At<StatusCode>> {
    let position = api_keys::revoke(&app, &caller.visitor, caller.user, ApiKeyId(id)).await?;
    Ok(At(position, StatusCode::NO_CONTENT))
}
