//! Whether somebody's account may be used, and what they may do. Administrators say why, and the log says who.

use aggregates::id::UserId;
use aggregates::user::{Role, User};
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Refused;
use super::users::AccountRole;
use crate::accounts::standing::{self, Decision};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::http::admin::Administrator;
use crate::http::caller::Caller;
use crate::http::holds::checked_reason;
use crate::http::idempotency::{IdempotencyKey, Intent, Replayable};
use crate::http::json::{Json, Path};
use crate::http::operations::Why;
use crate::http::position::At;
use crate::store::Outcome;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(deactivate))
        .routes(routes!(reactivate))
        .routes(routes!(change_role))
}

/// What somebody may do from now on.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RoleWanted {
    role: AccountRole,
    /// For the log: 1 to 200 characters, no personal data.
    #[schema(min_length = 1, max_length = 200, example = "joins the support")]
    reason: String,
}

type Answer = Result<Replayable<At<StatusCode>>>;

/// Lets somebody's account rest: all sessions end at once, API keys are good no more, and nobody signs in until an
/// administrator has it used again; the person cannot. What they have stays theirs.
#[utoipa::path(post, path = "/admin/users/{id}/deactivate", tag = "admin", request_body = Why,
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "the same key and body do it once")),
    responses((status = 204), (status = 404, body = Problem),
        (status = 409, description = "it is the last administrator's", body = Problem), Refused),
    security(("bearer" = [])))]
async fn deactivate(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
    key: Option<IdempotencyKey>,
    Json(body): Json<Why>,
) -> Answer {
    let intent = Intent::new(&caller, &format!("users/{id}/deactivate"), key.as_ref(), &body)?;
    let decision = decision(&caller, &intent, "deactivate", id, body.reason)?;
    Ok(answer(&standing::deactivate(&app, decision).await?))
}

/// Has somebody's account used again that rests, whoever let it rest. API keys are good again; people sign in anew.
#[utoipa::path(post, path = "/admin/users/{id}/reactivate", tag = "admin", request_body = Why,
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "the same key and body do it once")),
    responses((status = 204), (status = 404, body = Problem), Refused),
    security(("bearer" = [])))]
async fn reactivate(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
    key: Option<IdempotencyKey>,
    Json(body): Json<Why>,
) -> Answer {
    let intent = Intent::new(&caller, &format!("users/{id}/reactivate"), key.as_ref(), &body)?;
    let decision = decision(&caller, &intent, "reactivate", id, body.reason)?;
    Ok(answer(&standing::reactivate(&app, decision).await?))
}

/// Lets somebody administer, or administer no more. The last administrator stays one; the first comes from
/// `saldo admin grant`.
#[utoipa::path(post, path = "/admin/users/{id}/role", tag = "admin", request_body = RoleWanted,
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "the same key and body do it once")),
    responses((status = 204), (status = 404, body = Problem),
        (status = 409, description = "it is the last administrator, or the account is deactivated", body = Problem),
        Refused),
    security(("bearer" = [])))]
async fn change_role(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
    key: Option<IdempotencyKey>,
    Json(body): Json<RoleWanted>,
) -> Answer {
    let intent = Intent::new(&caller, &format!("users/{id}/role"), key.as_ref(), &body)?;
    let decision = decision(&caller, &intent, "role", id, body.reason)?;
    Ok(answer(&standing::change_role(&app, decision, Role::from(body.role)).await?))
}

fn decision(
    caller: &Caller,
    intent: &Intent,
    purpose: &str,
    id: Uuid,
    reason: String,
) -> Result<Decision> {
    let (envelope, reason) = (intent.envelope(caller, purpose), checked_reason(reason)?);
    Ok(Decision { envelope, by: caller.user, about: UserId(id), reason })
}

fn answer(outcome: &Outcome<User>) -> Replayable<At<StatusCode>> {
    let answer = At(outcome.position, StatusCode::NO_CONTENT);
    Replayable { answer, replayed: outcome.replayed }
}
