//! Signing in with an account elsewhere: there, back, and the exchange for a session.

use aggregates::id::IdentityId;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::{In, Keep, SignedIn};
use super::caller::{Caller, InPerson};
use super::cookies;
use super::json::{Json, Path, Query};
use super::position::At;
use crate::accounts::identities::{self, IdentityRow};
use crate::accounts::password;
use crate::accounts::{Visitor, limits};
use crate::app::App;
use crate::clients::oauth::{Callback, Provider};
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(begin))
        .routes(routes!(back))
        .routes(routes!(exchange))
        .routes(routes!(list, link))
        .routes(routes!(unlink))
        .routes(routes!(look_again))
}

/// A word that stands for somebody who came back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Exchange {
    /// What stands behind `code=` where the browser was sent.
    #[schema(value_type = String)]
    code: SecretString,
    /// Where the tokens go.
    #[serde(default)]
    tokens: Keep,
}

/// With whose account a person can come in, too.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Link {
    #[schema(value_type = String, example = "github")]
    provider: Provider,
    /// The password of the account, where it has one.
    #[schema(value_type = Option<String>)]
    password: Option<SecretString>,
}

/// Where the browser goes to link an identity.
#[derive(Serialize, ToSchema)]
struct Away {
    url: String,
}

/// The identities of a person.
#[derive(Serialize, ToSchema)]
struct Identities {
    items: Vec<IdentityRow>,
    next_cursor: Option<String>,
}

/// 404 for a provider that nobody knows.
fn named(provider: &str) -> Result<Provider> {
    provider.parse().map_err(|_| Problem::not_found())
}

/// A redirect that the browser follows with GET.
fn redirect(to: &str) -> Result<Response> {
    let to = HeaderValue::try_from(to).map_err(Problem::failed)?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response())
}

/// Sends the browser to a provider, with a cookie that only it brings back.
#[utoipa::path(get, path = "/auth/oauth/{provider}", tag = "auth",
    params(("provider" = String, Path, description = "google, github or x")),
    responses((status = 303), (status = 404, body = Problem), (status = 429, body = Problem),
        (status = 502, body = Problem), (status = 503, body = Problem)))]
async fn begin(
    State(app): State<App>,
    visitor: Visitor,
    Path(provider): Path<String>,
) -> Result<Response> {
    limits::FROM_ADDRESS.count(&app, &visitor.counted()).await?;
    let (url, kept) = identities::begin(&app, named(&provider)?, None).await?;
    let mut response = redirect(&url)?;
    cookies::set_attempt(response.headers_mut(), kept);
    Ok(response)
}

/// Where a provider sends the browser back to. It goes on to our page, with a word that is exchanged
/// for tokens, or with what went wrong.
#[utoipa::path(get, path = "/auth/oauth/{provider}/callback", tag = "auth",
    params(("provider" = String, Path, description = "google, github or x"),
        ("state" = Option<String>, Query,), ("code" = Option<String>, Query,),
        ("iss" = Option<String>, Query,), ("error" = Option<String>, Query,)),
    responses((status = 303)))]
async fn back(
    State(app): State<App>,
    visitor: Visitor,
    Path(provider): Path<String>,
    headers: HeaderMap,
    Query(callback): Query<Callback>,
) -> Result<Response> {
    let kept = cookies::attempt(&headers).unwrap_or_default();
    let finished = identities::finish(&app, &visitor, named(&provider)?, &kept, &callback).await;
    let page = &app.settings.public_url;
    let mut response = match finished {
        Ok((word, browser)) => {
            let mut response = redirect(&format!("{page}/signed-in#code={word}"))?;
            cookies::set_returned(response.headers_mut(), browser);
            response
        }
        Err(problem) => {
            if let Some(cause) = &problem.cause {
                tracing::warn!(cause, "a sign-in with a provider failed");
            }
            redirect(&format!("{page}/signed-in#error={}", problem.code))?
        }
    };
    cookies::clear_attempt(response.headers_mut());
    Ok(response)
}

/// Exchanges the word of a sign-in with a provider for tokens. It is good once, for two minutes.
#[utoipa::path(post, path = "/auth/oauth/exchange", tag = "auth", request_body = Exchange, responses(
    (status = 200, body = SignedIn), (status = 403, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn exchange(
    State(app): State<App>,
    visitor: Visitor,
    headers: HeaderMap,
    Json(body): Json<Exchange>,
) -> Result<Response> {
    limits::FROM_ADDRESS.count(&app, &visitor.counted()).await?;
    let browser = cookies::returned(&headers).unwrap_or_default();
    let entered = identities::exchange(&app, &visitor, body.code.expose_secret(), &browser).await?;
    In::new(StatusCode::OK, entered, body.tokens).answer(&app)
}

/// Providers that vouch for the person who is asking.
#[utoipa::path(get, path = "/me/identities", tag = "me",
    responses((status = 200, body = Identities), (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn list(State(app): State<App>, caller: Caller) -> Result<axum::Json<Identities>> {
    let items = identities::list(&app, caller.user).await?;
    Ok(axum::Json(Identities { items, next_cursor: None }))
}

/// Begins to link an account elsewhere: the browser goes to the address, and comes back as from a
/// sign-in.
#[utoipa::path(post, path = "/me/identities", tag = "me", request_body = Link,
    responses((status = 200, body = Away), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn link(
    State(app): State<App>,
    InPerson { caller, session }: InPerson,
    Json(Link { provider, password }): Json<Link>,
) -> Result<Response> {
    password::confirm(&app, caller.user, password, "password").await?;
    let from = Some((caller.user, session));
    let (url, kept) = identities::begin(&app, provider, from).await?;
    let mut response = axum::Json(Away { url }).into_response();
    cookies::set_attempt(response.headers_mut(), kept);
    Ok(response)
}

/// Unlinks an account elsewhere, unless it is the last way in.
#[utoipa::path(delete, path = "/me/identities/{id}", tag = "me", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "it is the last way in", body = Problem)),
    security(("bearer" = [])))]
async fn unlink(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<At<StatusCode>> {
    let position = identities::unlink(&app, &caller.visitor, caller.user, IdentityId(id)).await?;
    Ok(At(position, StatusCode::NO_CONTENT))
}

/// Asks the provider for the name and the address that it has for the person now.
#[utoipa::path(post, path = "/me/identities/{id}/refresh", tag = "me", params(("id" = Uuid, Path)),
    responses((status = 200, body = IdentityRow), (status = 401, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "the provider wants a new sign-in", body = Problem),
        (status = 429, body = Problem), (status = 502, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn look_again(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<IdentityRow>> {
    identities::look_again(&app, caller.user, IdentityId(id)).await.map(axum::Json)
}
