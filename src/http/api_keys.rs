//! Keys for the programs of the person who is asking.

use aggregates::id::ApiKeyId;
use aggregates::user::Scope;
use aggregates::wallet::Wallet;
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
use super::spend_limits::{self, SpendLimits, Spending};
use crate::accounts::api_keys::{self, KeyRow, NewKey};
use crate::accounts::contact::checked_name;
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
        .routes(routes!(limit))
}

/// A key that is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// What its owner calls it; at most 100 characters.
    #[schema(example = "laptop")]
    name: String,
    /// What it may be used for.
    #[schema(value_type = Vec<String>, example = json!(["ai"]))]
    scopes: Vec<Scope>,
    /// Requests that it may make within any second: 1 to 1000; 100 by default.
    per_second: Option<u32>,
    /// What it may spend; no limit but the wallet's by default.
    #[serde(default, deserialize_with = "super::json::object")]
    spend_limits: Option<SpendLimits>,
}

/// A key, and what it may spend.
#[derive(Serialize, ToSchema)]
struct Key {
    #[serde(flatten)]
    row: KeyRow,
    spending: Spending,
}

/// A key, with its secret, which is never told again.
#[derive(Serialize, ToSchema)]
struct Created {
    #[serde(flatten)]
    key: Key,
    /// What programs send as `Authorization: Bearer`.
    secret: String,
}

/// Keys, the newest first.
#[derive(Serialize, ToSchema)]
struct Keys {
    items: Vec<Key>,
    next_cursor: Option<String>,
}

/// The keys of the person who is asking; revoked ones, too.
#[utoipa::path(get, path = "/me/api-keys", tag = "me",
    responses((status = 200, body = Keys), (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn list(State(app): State<App>, caller: Caller) -> Result<axum::Json<Keys>> {
    let wallet = app.store.load::<Wallet>(caller.wallet()).await?;
    let now = clock::now();
    let with_spending =
        |row: KeyRow| Key { spending: Spending::of(&wallet, Some(row.id), now), row };
    let items = api_keys::list(&app, caller.user).await?.into_iter().map(with_spending).collect();
    Ok(axum::Json(Keys { items, next_cursor: None }))
}

/// Creates a key. Its secret is told this once.
#[utoipa::path(post, path = "/me/api-keys", tag = "me", request_body = Wanted,
    responses((status = 201, body = Created), (status = 401, body = Problem),
        (status = 409, description = "there are too many", body = Problem),
        (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Wanted>,
) -> Result<At<(StatusCode, axum::Json<Created>)>> {
    let name = checked_name(Some(body.name))?
        .ok_or_else(|| Problem::field("name", "must not be empty"))?;
    let limits = body.spend_limits.map(Into::into).unwrap_or_default();
    let (scopes, per_second) = (body.scopes, body.per_second);
    let new = NewKey { name, scopes, per_second, limits };
    let created = api_keys::create(&app, &caller.visitor, caller.user, new).await?;
    let (row, secret, position) = created;
    let wallet = app.store.load::<Wallet>(caller.wallet()).await?;
    let key = Key { spending: Spending::of(&wallet, Some(row.id), clock::now()), row };
    Ok(At(position, (StatusCode::CREATED, axum::Json(Created { key, secret }))))
}

/// Limits what may be spent by a key, beside what the wallet's own limits allow. Both limits are
/// replaced; what it has spent since the day and the month began counts.
#[utoipa::path(put, path = "/me/api-keys/{id}/limits", tag = "me", request_body = SpendLimits,
    params(("id" = Uuid, Path)),
    responses((status = 200, body = Spending), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn limit(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(limits): Json<SpendLimits>,
) -> Result<At<axum::Json<Spending>>> {
    let (key, visitor) = (ApiKeyId(id), &caller.visitor);
    let position = api_keys::limit(&app, visitor, caller.user, key, limits.into()).await?;
    spend_limits::told(&app, &caller, Some(key), position).await
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
