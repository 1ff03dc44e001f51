//! The person who is asking.

use aggregates::user::{Ask, User, UserCommand};
use axum::extract::State;
use axum::http::StatusCode;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Person;
use super::caller::{Caller, InPerson};
use super::json::Json;
use super::position::{At, MinPosition};
use super::tagged::{IfMatch, Tagged};
use crate::accounts::contact::checked_name;
use crate::accounts::password;
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::store::Envelope;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, change)).routes(routes!(change_password))
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
    responses((status = 200, body = Person, headers(("ETag" = String, description = "for If-Match"))),
        (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    MinPosition(at_least): MinPosition,
) -> Result<Tagged<Person>> {
    app.caught_up("users", caller.user, at_least).await?;
    person(&app, &caller).await.map(Tagged)
}

/// Changes the name of the person who is asking.
#[utoipa::path(patch, path = "/me", tag = "me", request_body = Profile,
    params(("If-Match" = Option<String>, Header, description = "an ETag: change only what was read")),
    responses((status = 200, body = Person, headers(("ETag" = String, description = "for If-Match"))),
        (status = 401, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    seen: Option<IfMatch>,
    Json(body): Json<Profile>,
) -> Result<At<Tagged<Person>>> {
    let name = checked_name(body.name)?;
    let instead_of = match seen {
        Some(seen) => {
            app.caught_up("users", caller.user, None).await?;
            let now = person(&app, &caller).await?;
            seen.check(&now)?;
            Some(now.name)
        }
        None => None,
    };
    let ask = Ask::ChangeProfile { name, instead_of };
    let command = UserCommand { now: clock::now(), ask };
    let envelope = Envelope::once(caller.metadata());
    let outcome = app.store.execute::<User>(caller.user, envelope, command).await?;
    app.wrote(caller.user, outcome.position);
    app.caught_up("users", caller.user, None).await?;
    Ok(At(outcome.position, Tagged(person(&app, &caller).await?)))
}

/// Another password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// The password until now; none where there was none.
    #[schema(value_type = Option<String>)]
    current_password: Option<SecretString>,
    /// 8 to 256 characters that are hard to guess.
    #[schema(value_type = String)]
    password: SecretString,
}

/// Sets another password; all other sessions end.
#[utoipa::path(post, path = "/me/password", tag = "me", request_body = NewPassword,
    responses((status = 204), (status = 401, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem)),
    security(("bearer" = [])))]
async fn change_password(
    State(app): State<App>,
    InPerson { caller: Caller { user, visitor, .. }, session }: InPerson,
    Json(body): Json<NewPassword>,
) -> Result<At<StatusCode>> {
    let (before, password) = (body.current_password, body.password);
    let position = password::change(&app, &visitor, user, session, before, password).await?;
    Ok(At(position, StatusCode::NO_CONTENT))
}

async fn person(app: &App, caller: &Caller) -> Result<Person> {
    let user = projections::users::by_id(app.db(), caller.user)
        .await?
        .ok_or_else(|| Problem::unauthorized("the account does not exist any more"))?;
    Ok(Person {
        id: caller.user,
        email: user.email,
        email_verified: user.email_verified,
        phone: user.phone,
        name: user.name,
        role: user.role,
    })
}
