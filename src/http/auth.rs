//! Signing up and in.

use aggregates::credits::Credits;
use aggregates::id::{CommandId, GrantId, SessionId, UserId, WalletId};
use aggregates::user::{self, SignIn, User, UserCommand};
use aggregates::wallet::{self, Funding, GrantKind, GrantTerms, Priority, Wallet, WalletCommand};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::json::Json;
use super::position::At;
use super::problems::RequestId;
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::store::{Envelope, Metadata, SideRow, hex};
use crate::tokens::{ACCESS_LASTS, REFRESH_LASTS, RefreshToken};

/// What a person receives for signing up.
const SIGNUP: Credits = Credits::new(100);
/// Passwords are refused below (ASVS 5.0, 6.2.1) and above (so that hashing stays cheap).
const PASSWORD: std::ops::RangeInclusive<usize> = 8..=256;
/// RFC 5321's longest path, less its brackets.
const LONGEST_EMAIL: usize = 254;
const LONGEST_NAME: usize = 100;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(register)).routes(routes!(login))
}

/// Who signs up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Register {
    /// Where the person is reached; one account each.
    #[schema(example = "ada@example.com")]
    email: String,
    /// 8 to 256 characters.
    #[schema(value_type = String, example = "correct horse battery staple")]
    password: SecretString,
    /// At most 100 characters.
    #[schema(example = "Ada")]
    name: Option<String>,
}

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    #[schema(example = "ada@example.com")]
    email: String,
    #[schema(value_type = String, example = "correct horse battery staple")]
    password: SecretString,
}

/// What a client signs its requests with, and for whom.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedIn {
    access_token: String,
    refresh_token: String,
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
    #[schema(value_type = Uuid)]
    pub(super) id: UserId,
    pub(super) email: String,
    pub(super) name: Option<String>,
    #[schema(example = "user")]
    pub(super) role: &'static str,
}

/// Creates an account with 100 free credits, and signs in.
#[utoipa::path(post, path = "/auth/register", tag = "auth", request_body = Register, responses(
    (status = 201, body = SignedIn),
    (status = 409, description = "the address has an account", body = Problem),
    (status = 422, body = Problem),
))]
async fn register(
    State(app): State<App>,
    request: axum::Extension<RequestId>,
    Json(body): Json<Register>,
) -> Result<At<(StatusCode, axum::Json<SignedIn>)>> {
    let email = normalised(&body.email)?;
    check_password(&body.password)?;
    let name = checked_name(body.name)?;
    let secret = app.passwords.hash(body.password).await.map_err(Problem::failed)?;

    let (user, now) = (UserId(Uuid::now_v7()), clock::now());
    let session = Session::new(user, now)?;
    let (key, key_row) = app.store.codec().new_key(user).map_err(Problem::failed)?;
    let mut envelope = Envelope::new(CommandId(Uuid::now_v7()), metadata(&request, user))
        .with(key_row)
        .with(SideRow::EmailClaim { user_id: user, email_hash: email_hash(&app, &email) })
        .with(SideRow::Credential { user_id: user, credential: "password", secret })
        .with(session.row());
    envelope.person_key = Some(key);
    let ask = |ask| UserCommand { now, ask };
    let by = SignIn::Password;
    let register = user::Ask::Register { email: email.clone(), name: name.clone(), by };
    let created = app
        .store
        .create(envelope)
        .with::<User>(user, [ask(register), ask(session.start(by))])
        .await?
        .with::<Wallet>(WalletId::from(user), signup(user, now))
        .await?
        .append()
        .await?;
    app.wrote(user, created.position);
    let person = Person { id: user, email, name, role: "user" };
    let signed_in = session.signed_in(&app, person, now)?;
    Ok(At(created.position, (StatusCode::CREATED, axum::Json(signed_in))))
}

/// The wallet's first commands: it opens, and holds the free credits.
fn signup(user: UserId, now: DateTime<Utc>) -> [WalletCommand; 2] {
    let grant = GrantTerms {
        id: GrantId::derive(user.0, "signup"),
        kind: GrantKind::Promotional,
        amount: SIGNUP,
        priority: Priority::default(),
        expires_at: None,
        funding: Funding::Signup,
        reversal_group: None,
    };
    [
        WalletCommand { now, ask: wallet::Ask::Open { owner: user } },
        WalletCommand { now, ask: wallet::Ask::Grant { grant, reason: "signup".to_owned() } },
    ]
}

/// Signs in with a password. An unknown address and a wrong password answer alike, in the same
/// time.
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = Login, responses(
    (status = 200, body = SignedIn),
    (status = 401, description = "the address or the password is wrong", body = Problem),
))]
async fn login(
    State(app): State<App>,
    request: axum::Extension<RequestId>,
    Json(body): Json<Login>,
) -> Result<At<axum::Json<SignedIn>>> {
    let email = normalised(&body.email)?;
    let found: Option<(Uuid, String)> = sqlx::query_as(
        "select c.user_id, c.secret from email_claims e
         join credentials c on c.user_id = e.user_id and c.kind = 'password'
         where e.email_hash = $1",
    )
    .bind(app.keys.email_hash.hash(&email))
    .fetch_optional(app.db())
    .await?;
    let (user, secret) = found.unzip();
    let right = app.passwords.verify(body.password, secret).await.map_err(Problem::failed)?;
    let (Some(user), true) = (user.map(UserId), right) else {
        return Err(Problem::unauthorized("the e-mail address or the password is wrong"));
    };
    let now = clock::now();
    let session = Session::new(user, now)?;
    let envelope = Envelope::once(metadata(&request, user)).with(session.row());
    let ask = session.start(SignIn::Password);
    let outcome = app.store.execute::<User>(user, envelope, UserCommand { now, ask }).await?;
    app.wrote(user, outcome.position);
    let state = app.store.load::<User>(user).await?;
    let person = Person { id: user, email, name: state.name().cloned(), role: "user" };
    Ok(At(outcome.position, axum::Json(session.signed_in(&app, person, now)?)))
}

/// A new session: its id, and the refresh token that only the client will have.
struct Session {
    id: SessionId,
    user: UserId,
    refresh: RefreshToken,
    expires_at: DateTime<Utc>,
}

impl Session {
    fn new(user: UserId, now: DateTime<Utc>) -> Result<Self> {
        let refresh = RefreshToken::generate().map_err(Problem::failed)?;
        Ok(Self { id: SessionId(Uuid::now_v7()), user, refresh, expires_at: now + REFRESH_LASTS })
    }

    fn row(&self) -> SideRow {
        SideRow::Session {
            session_id: self.id,
            user_id: self.user,
            refresh_hash: hex(&self.refresh.hash),
            expires_at: self.expires_at,
        }
    }

    fn start(&self, by: SignIn) -> user::Ask {
        user::Ask::StartSession { session: self.id, by, expires_at: self.expires_at }
    }

    fn signed_in(self, app: &App, user: Person, now: DateTime<Utc>) -> Result<SignedIn> {
        Ok(SignedIn {
            access_token: app.tokens.issue(self.user, self.id, now).map_err(Problem::failed)?,
            refresh_token: self.refresh.token,
            token_type: "Bearer",
            expires_in: ACCESS_LASTS.num_seconds(),
            user,
        })
    }
}

fn metadata(request: &axum::Extension<RequestId>, user: UserId) -> Metadata {
    Metadata {
        request_id: Some(request.0.0.clone()),
        actor: Some(user.to_string()),
        request_hash: None,
    }
}

fn email_hash(app: &App, email: &str) -> String {
    hex(&app.keys.email_hash.hash(email))
}

/// The address as it is looked up: trimmed, in lower case.
fn normalised(email: &str) -> Result<String> {
    let email = email.trim().to_lowercase();
    let plausible = email.len() <= LONGEST_EMAIL
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
        && email.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && local.len() <= 64
                && !domain.contains('@')
                && domain.contains('.')
                && domain.split('.').all(|label| !label.is_empty())
        });
    if plausible {
        Ok(email)
    } else {
        Err(Problem::field("email", "must be an e-mail address, such as ada@example.com"))
    }
}

fn check_password(password: &SecretString) -> Result<()> {
    if PASSWORD.contains(&password.expose_secret().chars().count()) {
        return Ok(());
    }
    Err(Problem::field("password", "must have 8 to 256 characters"))
}

/// A name without surrounding space; an empty one is none.
pub(super) fn checked_name(name: Option<String>) -> Result<Option<String>> {
    let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    match &name {
        Some(name) if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) => {
            Err(Problem::field(
                "name",
                "must have at most 100 characters, none of them control characters",
            ))
        }
        _ => Ok(name),
    }
}
