//! Signing up, in and out.

use aggregates::id::UserId;
use aggregates::user::{EndReason, User};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cookies;
use super::json::Json;
use super::position::At;
use crate::accounts::contact::{Contact, checked_name};
use crate::accounts::password::{self, Registered};
use crate::accounts::{Entered, Visitor, limits, sessions};
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::tokens::{ACCESS_LASTS, RefreshToken};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
}

/// Where a session's tokens go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Keep {
    /// Into the answer: for programs.
    #[default]
    Body,
    /// Into cookies that scripts cannot read: for browsers.
    Cookies,
}

/// Who signs up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Register {
    /// Where the person is reached; one account each.
    #[schema(example = "ada@example.com")]
    email: String,
    /// 8 to 256 characters that are hard to guess.
    #[schema(value_type = String, example = "correct horse battery staple")]
    password: SecretString,
    /// At most 100 characters.
    #[schema(example = "Ada")]
    name: Option<String>,
    /// Where the tokens go.
    #[serde(default)]
    tokens: Keep,
}

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    #[schema(example = "ada@example.com")]
    email: String,
    #[schema(value_type = String, example = "correct horse battery staple")]
    password: SecretString,
    /// Where the tokens go.
    #[serde(default)]
    tokens: Keep,
}

/// Whose tokens are renewed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refresh {
    /// The newest refresh token; none where it is in a cookie.
    #[schema(value_type = Option<String>)]
    refresh_token: Option<SecretString>,
}

/// What a client signs its requests with, and for whom.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedIn {
    /// None where it is in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    /// None where it is in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token ends.
    #[schema(example = 900)]
    expires_in: i64,
    user: Person,
}

/// A person, as the person sees it.
#[derive(Serialize, ToSchema)]
pub(super) struct Person {
    #[schema(value_type = uuid::Uuid)]
    pub(super) id: UserId,
    pub(super) email: Option<String>,
    pub(super) email_verified: bool,
    pub(super) phone: Option<String>,
    pub(super) name: Option<String>,
    #[schema(example = "user")]
    pub(super) role: String,
}

impl Person {
    fn new(id: UserId, state: &User) -> Self {
        Self {
            id,
            email: state.email().cloned(),
            email_verified: state.email_verified(),
            phone: state.phone().cloned(),
            name: state.name().cloned(),
            role: state.role().name().to_owned(),
        }
    }
}

/// What somebody who must prove their address is told.
#[derive(Serialize, ToSchema)]
pub(super) struct Sent {
    /// What happens next.
    #[schema(example = "a link was sent to the address")]
    pub(super) detail: &'static str,
}

/// The answer to somebody who has come in.
pub(super) struct In {
    status: StatusCode,
    entered: Entered,
    keep: Keep,
}

impl In {
    pub(super) fn new(status: StatusCode, entered: Entered, keep: Keep) -> Self {
        Self { status, entered, keep }
    }

    pub(super) fn answer(self, app: &App) -> Result<Response> {
        let Self { status, entered: Entered { user, state, token, position }, keep } = self;
        let now = clock::now();
        let access = app.tokens.issue(user, token.session, now).map_err(Problem::failed)?;
        let refresh = token.signed(&app.keys.refresh_tokens.newest());
        let mut headers = HeaderMap::new();
        let (access_token, refresh_token) = match keep {
            Keep::Body => (Some(access), Some(refresh)),
            Keep::Cookies => {
                cookies::set(&mut headers, &app.keys, token.session, access, refresh);
                (None, None)
            }
        };
        let signed_in = SignedIn {
            access_token,
            refresh_token,
            token_type: "Bearer",
            expires_in: ACCESS_LASTS.num_seconds(),
            user: Person::new(user, &state),
        };
        let answer = (status, headers, axum::Json(signed_in));
        // A session that is refreshed is no event.
        Ok(match position {
            Some(position) => At(position, answer).into_response(),
            None => answer.into_response(),
        })
    }
}

/// Creates an account with 100 free credits, and signs in; or sends a link to the address, where
/// addresses must be verified first.
#[utoipa::path(post, path = "/auth/register", tag = "auth", request_body = Register, responses(
    (status = 201, body = SignedIn),
    (status = 202, body = Sent, description = "the address must be verified: a link was sent"),
    (status = 409, description = "the address has an account", body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem),
))]
async fn register(
    State(app): State<App>,
    visitor: Visitor,
    Json(body): Json<Register>,
) -> Result<Response> {
    let contact = Contact::email("email", &body.email)?;
    let name = checked_name(body.name)?;
    match password::register(&app, &visitor, contact, body.password, name).await? {
        Registered::Entered(entered) => {
            In::new(StatusCode::CREATED, *entered, body.tokens).answer(&app)
        }
        Registered::MustVerify => {
            let sent = Sent { detail: "a link was sent to the address: follow it, then sign in" };
            Ok((StatusCode::ACCEPTED, axum::Json(sent)).into_response())
        }
    }
}

/// Signs in with a password. Unknown, locked and deactivated accounts answer as a wrong password
/// does, in the same time.
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = Login, responses(
    (status = 200, body = SignedIn),
    (status = 401, description = "the address or the password is wrong", body = Problem),
    (status = 403, description = "the address is not verified yet", body = Problem),
    (status = 429, body = Problem),
))]
async fn login(
    State(app): State<App>,
    visitor: Visitor,
    Json(body): Json<Login>,
) -> Result<Response> {
    let contact = Contact::email("email", &body.email)?;
    let entered = password::enter(&app, &visitor, &contact, body.password).await?;
    In::new(StatusCode::OK, entered, body.tokens).answer(&app)
}

/// The refresh token of a request, and where it was.
fn token(
    app: &App,
    headers: &HeaderMap,
    body: Option<&SecretString>,
) -> Result<(RefreshToken, Keep)> {
    use secrecy::ExposeSecret;
    let wrong = || Problem::unauthorized("the refresh token is not valid: sign in again");
    let key = &app.keys.refresh_tokens;
    if let Some(body) = body {
        let token = RefreshToken::read(body.expose_secret(), key).ok_or_else(wrong)?;
        return Ok((token, Keep::Body));
    }
    let cookie = cookies::refresh(headers).ok_or_else(wrong)?;
    let token = RefreshToken::read(&cookie, key).ok_or_else(wrong)?;
    cookies::check_csrf_header(headers, &app.keys, token.session)?;
    Ok((token, Keep::Cookies))
}

/// Renews a session's tokens. A refresh token is good once; a second use after some seconds ends the
/// session, since somebody else may have it.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", request_body = Refresh, responses(
    (status = 200, body = SignedIn),
    (status = 401, description = "the session is over", body = Problem),
    (status = 429, body = Problem),
))]
async fn refresh(
    State(app): State<App>,
    visitor: Visitor,
    headers: HeaderMap,
    Json(body): Json<Refresh>,
) -> Result<Response> {
    let (token, keep) = token(&app, &headers, body.refresh_token.as_ref())?;
    limits::REFRESHES.count(&app, &token.session.to_string()).await?;
    let sessions::Renewed { user, token } = sessions::refresh(&app, &visitor, token).await?;
    let state = crate::accounts::state(&app, user).await?;
    let entered = Entered { user, state, token, position: None };
    In::new(StatusCode::OK, entered, keep).answer(&app)
}

/// Ends the session that a refresh token belongs to; its access tokens fail within a second.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", request_body = Refresh, responses(
    (status = 204), (status = 401, body = Problem),
))]
async fn logout(
    State(app): State<App>,
    visitor: Visitor,
    headers: HeaderMap,
    Json(body): Json<Refresh>,
) -> Result<Response> {
    let (token, keep) = token(&app, &headers, body.refresh_token.as_ref())?;
    if let Some(user) = sessions::owner(&app, token.session).await? {
        sessions::end(&app, &visitor, user, token.session, EndReason::SignedOut).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    if keep == Keep::Cookies {
        cookies::clear(response.headers_mut());
    }
    Ok(response)
}
