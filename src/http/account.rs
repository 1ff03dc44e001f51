//! The life of an account: another address, a rest, the end, and all that is held of a person.

use aggregates::id::ChallengeId;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Sent;
use super::caller::{Caller, InPerson};
use super::json::Json;
use super::page::{Page, PageQuery};
use super::position::At;
use super::proofs::{Address, Channel, CodeSent, Followed, SENT};
use crate::accounts::challenges::Purpose;
use crate::accounts::contact::Contact;
use crate::accounts::lifecycle::{self, Happened};
use crate::accounts::{Visitor, codes, limits, links, password};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::webhooks::endpoints;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(add))
        .routes(routes!(confirm))
        .routes(routes!(deactivate))
        .routes(routes!(erase))
        .routes(routes!(export))
        .routes(routes!(audit))
        .routes(routes!(send_reactivation))
        .routes(routes!(reactivate))
}

/// A code that was typed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ContactCode {
    #[schema(value_type = uuid::Uuid)]
    challenge_id: ChallengeId,
    #[schema(value_type = String, example = "123456")]
    code: SecretString,
}

/// What cannot be undone by a click needs the password, where there is one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Confirmed {
    #[schema(value_type = Option<String>)]
    password: Option<SecretString>,
}

/// Where the account is to be reached.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewContact {
    channel: Channel,
    /// An e-mail address, or a telephone with its country.
    #[schema(example = "+15551234567")]
    to: String,
    /// The password of the account, where it has one.
    #[schema(value_type = Option<String>)]
    password: Option<SecretString>,
}

/// Sends a code to an address or a telephone that the account is to have.
#[utoipa::path(post, path = "/me/contacts", tag = "me", request_body = NewContact,
    responses((status = 202, body = CodeSent), (status = 401, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem)),
    security(("bearer" = [])))]
async fn add(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<NewContact>,
) -> Result<(StatusCode, axum::Json<CodeSent>)> {
    let (contact, user) = (body.channel.contact(&body.to)?, Some(caller.user));
    password::confirm(&app, caller.user, body.password, "password").await?;
    let sent = codes::send_code(&app, &caller.visitor, Purpose::Add, &contact, user).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(CodeSent::new(sent))))
}

/// Gives the account the address or telephone that a code was sent to, in the place of the one
/// before.
#[utoipa::path(post, path = "/me/contacts/verify", tag = "me", request_body = ContactCode,
    responses((status = 204), (status = 401, body = Problem),
        (status = 409, description = "it is another account's", body = Problem),
        (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn confirm(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<ContactCode>,
) -> Result<At<StatusCode>> {
    let code = body.code.expose_secret().trim();
    let Caller { user, visitor, .. } = caller;
    let position = codes::add(&app, &visitor, user, body.challenge_id, code).await?;
    Ok(At(position, StatusCode::NO_CONTENT))
}

/// Lets the account rest: all sessions end, and nobody signs in until it is used again.
#[utoipa::path(post, path = "/me/deactivate", tag = "me", request_body = Confirmed,
    responses((status = 204), (status = 401, body = Problem),
        (status = 409, description = "the last administrator stays", body = Problem),
        (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn deactivate(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Confirmed>,
) -> Result<At<StatusCode>> {
    let Caller { user, visitor, .. } = caller;
    let position = lifecycle::deactivate(&app, &visitor, user, body.password).await?;
    Ok(At(position, StatusCode::NO_CONTENT))
}

/// Forgets the person, for ever: nothing personal can be read again, anywhere. What was paid and
/// spent stays true, and is nobody's.
#[utoipa::path(delete, path = "/me", tag = "me", request_body = Confirmed,
    responses((status = 204), (status = 401, body = Problem),
        (status = 409, description = "the last administrator stays", body = Problem),
        (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn erase(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Confirmed>,
) -> Result<At<StatusCode>> {
    let Caller { user, visitor, .. } = caller;
    let position = lifecycle::erase(&app, &visitor, user, body.password).await?;
    Ok(At(position, StatusCode::NO_CONTENT))
}

/// All that is held of the person who is asking.
#[utoipa::path(get, path = "/me/export", tag = "me",
    responses((status = 200, body = serde_json::Value), (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn export(
    State(app): State<App>,
    InPerson { caller, session }: InPerson,
) -> Result<(HeaderMap, axum::Json<serde_json::Value>)> {
    app.caught_up("balances", caller.user, None).await?;
    let mut held = lifecycle::export(&app, caller.user, session).await?;
    let listens = endpoints::list(&app, caller.user).await?;
    held["webhook_endpoints"] = serde_json::to_value(listens).map_err(Problem::failed)?;
    let mut headers = HeaderMap::new();
    let name = HeaderValue::from_static("attachment; filename=\"saldo-export.json\"");
    headers.insert(header::CONTENT_DISPOSITION, name);
    Ok((headers, axum::Json(held)))
}

/// What happened to an account, the newest first.
#[derive(Serialize, ToSchema)]
struct Audit {
    items: Vec<Happened>,
    next_cursor: Option<i64>,
}

/// What happened to the account of the person who is asking: sign-ins, changes, keys.
#[utoipa::path(get, path = "/me/audit", tag = "me", params(PageQuery),
    responses((status = 200, body = Audit), (status = 401, body = Problem),
        (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn audit(
    State(app): State<App>,
    caller: Caller,
    page: Page<i64>,
) -> Result<axum::Json<Audit>> {
    let items = lifecycle::audit(&app, caller.user, page.cursor, page.limit).await?;
    let next_cursor = page.next(&items, |last| last.sequence).filter(|last| *last > 1);
    Ok(axum::Json(Audit { items, next_cursor }))
}

/// Sends a link to use an account again that rests. The answer is the same for every address.
#[utoipa::path(post, path = "/auth/reactivation", tag = "auth", request_body = Address,
    responses((status = 202, body = Sent), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn send_reactivation(
    State(app): State<App>,
    visitor: Visitor,
    Json(body): Json<Address>,
) -> Result<(StatusCode, axum::Json<Sent>)> {
    let contact = Contact::email("email", &body.email)?;
    links::ask(&app, &visitor, links::REACTIVATE, &contact).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(SENT)))
}

/// Uses an account again, by a link.
#[utoipa::path(post, path = "/auth/reactivate", tag = "auth", request_body = Followed,
    responses((status = 204), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn reactivate(
    State(app): State<App>,
    visitor: Visitor,
    Json(body): Json<Followed>,
) -> Result<At<StatusCode>> {
    limits::FROM_ADDRESS.count(&app, &visitor.counted()).await?;
    let position = links::reactivate(&app, &visitor, body.token.expose_secret()).await?;
    Ok(At(position, StatusCode::NO_CONTENT))
}
