//! Proving where one is reached: links that verify an address or lead to another password, and codes
//! to sign in with.

use aggregates::id::ChallengeId;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{In, Keep, Sent};
use super::caller::Caller;
use super::json::Json;
use super::position::At;
use crate::accounts::challenges::{CODE_LASTS, Purpose, RESEND_AFTER};
use crate::accounts::contact::{Contact, checked_name};
use crate::accounts::{Visitor, codes, limits, links};
use crate::app::App;
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(send_verification))
        .routes(routes!(verify))
        .routes(routes!(forgot))
        .routes(routes!(reset))
        .routes(routes!(send_code))
        .routes(routes!(enter_by_code))
}

/// An address that something is sent to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Address {
    #[schema(example = "ada@example.com")]
    pub(super) email: String,
}

/// A link that was followed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Followed {
    /// What stands behind `token=` in the link.
    #[schema(value_type = String)]
    pub(super) token: SecretString,
}

/// Another password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reset {
    /// What stands behind `token=` in the link.
    #[schema(value_type = String)]
    token: SecretString,
    /// 8 to 256 characters that are hard to guess.
    #[schema(value_type = String)]
    password: SecretString,
}

/// How a code travels.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Channel {
    /// By text message.
    Sms,
    /// By mail.
    Email,
}

/// Where a code is sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CodeTo {
    channel: Channel,
    /// An e-mail address, or a telephone with its country.
    #[schema(example = "+15551234567")]
    to: String,
}

impl Channel {
    pub(super) fn contact(self, to: &str) -> Result<Contact> {
        match self {
            Self::Sms => Contact::phone("to", to),
            Self::Email => Contact::email("to", to),
        }
    }
}

/// A code that was sent.
#[derive(Serialize, ToSchema)]
pub(super) struct CodeSent {
    /// What the code is bound to.
    #[schema(value_type = uuid::Uuid)]
    challenge_id: ChallengeId,
    /// Seconds until it is too old.
    #[schema(example = 600)]
    expires_in: i64,
    /// Seconds until another one may be asked for.
    #[schema(example = 30)]
    resend_in: i64,
}

impl CodeSent {
    pub(super) fn new(challenge_id: ChallengeId) -> Self {
        let (expires_in, resend_in) = (CODE_LASTS.num_seconds(), RESEND_AFTER);
        Self { challenge_id, expires_in, resend_in }
    }
}

/// A code that was typed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Typed {
    #[schema(value_type = uuid::Uuid)]
    challenge_id: ChallengeId,
    #[schema(value_type = String, example = "123456")]
    code: SecretString,
    /// The name of somebody who is new.
    name: Option<String>,
    /// Where the tokens go.
    #[serde(default)]
    tokens: Keep,
}

pub(super) const SENT: Sent =
    Sent { detail: "if the address has an account that needs it, a link was sent" };

/// Sends a link that verifies an address. The answer is the same for every address.
#[utoipa::path(post, path = "/auth/email/verification", tag = "auth", request_body = Address,
    responses((status = 202, body = Sent), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn send_verification(
    State(app): State<App>,
    visitor: Visitor,
    Json(body): Json<Address>,
) -> Result<(StatusCode, axum::Json<Sent>)> {
    let contact = Contact::email("email", &body.email)?;
    links::ask(&app, &visitor, links::VERIFY, &contact).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(SENT)))
}

/// Verifies the address that a link was sent to. Followed outside of the account's own session, where
/// people come in without having verified anything, it takes the account over: its password,
/// sessions, links and keys are gone.
#[utoipa::path(post, path = "/auth/email/verify", tag = "auth", request_body = Followed,
    responses((status = 204), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn verify(
    State(app): State<App>,
    visitor: Visitor,
    person: Option<Caller>,
    Json(body): Json<Followed>,
) -> Result<StatusCode> {
    limits::FROM_ADDRESS.count(&app, &visitor.counted()).await?;
    let in_session = person.map(|person| person.user);
    links::verify(&app, &visitor, in_session, body.token.expose_secret()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a link to another password. The answer is the same for every address.
#[utoipa::path(post, path = "/auth/password/forgot", tag = "auth", request_body = Address,
    responses((status = 202, body = Sent), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn forgot(
    State(app): State<App>,
    visitor: Visitor,
    Json(body): Json<Address>,
) -> Result<(StatusCode, axum::Json<Sent>)> {
    let contact = Contact::email("email", &body.email)?;
    links::ask(&app, &visitor, links::RESET, &contact).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(SENT)))
}

/// Sets another password by a link; all sessions end.
#[utoipa::path(post, path = "/auth/password/reset", tag = "auth", request_body = Reset,
    responses((status = 204), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn reset(
    State(app): State<App>,
    visitor: Visitor,
    Json(body): Json<Reset>,
) -> Result<At<StatusCode>> {
    limits::FROM_ADDRESS.count(&app, &visitor.counted()).await?;
    let token = body.token.expose_secret();
    let position = links::reset(&app, &visitor, token, body.password).await?;
    Ok(At(position, StatusCode::NO_CONTENT))
}

/// Sends a code to sign in with, or up: whoever has no account gets one.
#[utoipa::path(post, path = "/auth/otp", tag = "auth", request_body = CodeTo,
    responses((status = 202, body = CodeSent), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn send_code(
    State(app): State<App>,
    visitor: Visitor,
    Json(body): Json<CodeTo>,
) -> Result<(StatusCode, axum::Json<CodeSent>)> {
    let contact = body.channel.contact(&body.to)?;
    let sent = codes::send_code(&app, &visitor, Purpose::SignIn, &contact, None).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(CodeSent::new(sent))))
}

/// Signs in by a code. It is good once, for ten minutes, and five guesses are all there are.
#[utoipa::path(post, path = "/auth/otp/verify", tag = "auth", request_body = Typed, responses(
    (status = 200, body = super::auth::SignedIn),
    (status = 422, description = "the code is wrong, was used, or is too old", body = Problem),
    (status = 429, body = Problem)))]
async fn enter_by_code(
    State(app): State<App>,
    visitor: Visitor,
    Json(body): Json<Typed>,
) -> Result<Response> {
    let name = checked_name(body.name)?;
    let code = body.code.expose_secret().trim();
    let entered = codes::enter(&app, &visitor, body.challenge_id, code, name).await?;
    In::new(StatusCode::OK, entered, body.tokens).answer(&app)
}
