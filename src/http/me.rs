//! The person who is asking.

use aggregates::user::{Ask, User, UserCommand};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Person, checked_name};
use super::caller::Caller;
use super::json::Json;
use super::position::{At, MinPosition};
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::store::Envelope;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, change))
}

/// What changes of a profile.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Profile {
    /// At most 100 characters; null removes the name.
    #[schema(max_length = 100, example = "Ada Lovelace")]
    name: Option<String>,
}

/// The person who is asking.
#[utoipa::path(get, path = "/me", tag = "me",
    params(("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = Person), (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    MinPosition(at_least): MinPosition,
) -> Result<axum::Json<Person>> {
    app.caught_up("users", caller.user, at_least).await?;
    person(&app, &caller).await.map(axum::Json)
}

/// Changes the name of the person who is asking.
#[utoipa::path(patch, path = "/me", tag = "me", request_body = Profile,
    responses((status = 200, body = Person), (status = 401, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Profile>,
) -> Result<At<axum::Json<Person>>> {
    let ask = Ask::ChangeProfile { name: checked_name(body.name)? };
    let command = UserCommand { now: clock::now(), ask };
    let envelope = Envelope::once(caller.metadata());
    let outcome = app.store.execute::<User>(caller.user, envelope, command).await?;
    app.wrote(caller.user, outcome.position);
    app.caught_up("users", caller.user, None).await?;
    Ok(At(outcome.position, axum::Json(person(&app, &caller).await?)))
}

async fn person(app: &App, caller: &Caller) -> Result<Person> {
    let user = projections::users::by_id(app.db(), caller.user)
        .await?
        .ok_or_else(|| Problem::unauthorized("the account does not exist any more"))?;
    let email = user.email.unwrap_or_default();
    Ok(Person { id: caller.user, email, name: user.name, role: "user" })
}
