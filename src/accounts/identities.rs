//! People as providers know them: coming in with an account elsewhere, linking and unlinking.

use aggregates::id::{IdentityId, SessionId, UserId};
use aggregates::user::{self, Provider, SignIn, Status, User};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;
use utoipa::ToSchema;
use uuid::Uuid;

use super::contact::{Contact, checked_name};
use super::identity_rows::{claim, place, rows, seal};
use super::{Entered, Entering, Newcomer, Visitor, provider_tokens, returns, sessions};
use crate::app::App;
use crate::clients::oauth::{self, Attempt, Callback, Lie, OauthError, Profile, Url};
use crate::error::{Problem, Result};
use crate::store::{ExecuteError, SideRow};

/// A sign-in that has begun: what the browser keeps of it, encrypted.
#[derive(Serialize, Deserialize)]
pub struct Begun {
    attempt: Attempt,
    /// Whose account the identity is to be linked to, where it is to one, and from which session.
    link: Option<(UserId, SessionId)>,
}

/// What a `Begun` is bound to.
const COOKIE: &str = "oauth attempt";

/// An identity as its owner sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IdentityRow {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: IdentityId,
    /// `google`, `github` or `x`.
    pub provider: String,
    /// What the provider calls the person.
    #[serde(flatten)]
    pub shown: Shown,
    /// Since when.
    pub linked_at: DateTime<Utc>,
}

/// What the provider calls the person.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Shown {
    /// The name there.
    pub name: Option<String>,
    /// The address there.
    pub email: Option<String>,
}

/// The provider as the domain names it.
fn named(provider: oauth::Provider) -> Provider {
    match provider {
        oauth::Provider::Google => Provider::Google,
        oauth::Provider::Github => Provider::Github,
        oauth::Provider::X => Provider::X,
    }
}

/// What the client is told of a sign-in that failed elsewhere.
impl From<OauthError> for Problem {
    fn from(error: OauthError) -> Self {
        use axum::http::StatusCode;
        let (status, code) = match error.fault() {
            oauth::Fault::Person => (StatusCode::UNAUTHORIZED, "sign_in_failed"),
            oauth::Fault::Operator => (StatusCode::NOT_FOUND, "provider_not_set_up"),
            oauth::Fault::Provider => (StatusCode::BAD_GATEWAY, "provider_not_trusted"),
            oauth::Fault::Outage => (StatusCode::SERVICE_UNAVAILABLE, "provider_unavailable"),
        };
        let mut problem = Self::new(status, code, error.to_string());
        problem.cause = (status != StatusCode::UNAUTHORIZED).then(|| error.to_string());
        problem
    }
}

/// Begins a sign-in: where the browser goes, and what it keeps until it is back.
pub async fn begin(
    app: &App,
    provider: oauth::Provider,
    link: Option<(UserId, SessionId)>,
) -> Result<(String, String)> {
    let back = format!("{}/api/v1/auth/oauth/{provider}/callback", app.settings.public_url);
    let back = Url::parse(&back).map_err(Problem::failed)?;
    let oauth::Begun { url, attempt } = app.providers.begin(provider, &back).await?;
    let kept = app.keys.sealing.seal(COOKIE, &Begun { attempt, link });
    Ok((url, kept.map_err(Problem::failed)?))
}

/// Takes in whoever comes back from a provider: a word to be exchanged for tokens, once, soon, and
/// what the browser keeps beside it.
pub async fn finish(
    app: &App,
    visitor: &Visitor,
    provider: oauth::Provider,
    kept: &str,
    callback: &Callback,
) -> Result<(String, String)> {
    let foreign = || Problem::from(OauthError::Foreign);
    let Begun { attempt, link } = app.keys.sealing.open(COOKIE, kept).map_err(|_| foreign())?;
    if attempt.provider != provider {
        return Err(foreign());
    }
    let profile = app.providers.finish(&attempt, callback).await?;
    let user = match link {
        Some((user, session)) => {
            if sessions::owner(app, session).await? != Some(user) {
                return Err(Problem::unauthorized("the session that began this is over"));
            }
            link_to(app, visitor, user, &profile).await?
        }
        None => user_of(app, visitor, &profile).await?,
    };
    returns::exchangeable(app, user, named(provider)).await
}

/// Exchanges the word for a session.
pub async fn exchange(app: &App, visitor: &Visitor, word: &str, browser: &str) -> Result<Entered> {
    let (user, returned) = returns::exchange(app, word, browser).await?;
    let by = SignIn::Provider(returned.provider);
    super::enter(app, visitor, user, by, Some(returned.epoch)).await
}

/// Whom the provider vouches for, and by which identity.
async fn known(app: &App, profile: &Profile) -> Result<Option<(UserId, IdentityId)>> {
    let owner = claim(profile).owner(app.db(), &app.keys.lookup).await?;
    Ok(owner.and_then(|owner| Some((owner.user, owner.identity?))))
}

/// An identity that is to be. Its id says nothing of the person: it stands in the log for ever.
fn new_id() -> IdentityId {
    IdentityId(Uuid::now_v7())
}

/// The account of a person whom a provider vouches for: the one it is linked to, the one that has
/// the address that both have verified, or a new one.
async fn user_of(app: &App, visitor: &Visitor, profile: &Profile) -> Result<UserId> {
    if let Some((user, id)) = known(app, profile).await? {
        renew(app, id, profile).await?;
        return Ok(user);
    }
    let verified = profile.email.as_ref().filter(|email| email.verified);
    let contact = verified.and_then(|email| Contact::email("email", &email.address).ok());
    let by = SignIn::Provider(named(profile.provider));
    if let Some(contact) = &contact
        && let Some(user) = super::owner(app, contact).await?
    {
        super::prove(app, visitor, user, contact, by).await?;
        return link_to(app, visitor, user, profile).await;
    }
    let name = checked_name(profile.name.clone()).unwrap_or_default();
    let identity = new_id();
    let link = user::Ask::LinkIdentity { identity, provider: named(profile.provider) };
    let newcomer = Newcomer {
        proven: contact.is_some(),
        contact,
        name,
        by,
        rows: rows(app, identity, UserId::default(), profile)?,
        asks: vec![link],
    };
    match super::register(app, visitor, newcomer, Entering::Later).await {
        Ok((user, _)) => Ok(user),
        // Two windows of the same person: the other was faster.
        Err(ExecuteError::Claimed) => match known(app, profile).await? {
            Some((user, _)) => Ok(user),
            None => Err(Problem::busy("somebody else is registering this address; try again")),
        },
        Err(error) => Err(error.into()),
    }
}

/// Links the identity to the person's account; refused where it is another's.
async fn link_to(app: &App, visitor: &Visitor, user: UserId, profile: &Profile) -> Result<UserId> {
    let state: User = super::state(app, user).await?;
    if state.status() != Status::Active {
        return Err(user::UserError::NotActive.into());
    }
    if let Some((_, id)) = known(app, profile).await?.filter(|(owner, _)| *owner == user) {
        renew(app, id, profile).await?;
        return Ok(user);
    }
    let identity = new_id();
    let ask = user::Ask::LinkIdentity { identity, provider: named(profile.provider) };
    match super::tell(app, visitor, user, ask, rows(app, identity, user, profile)?).await {
        Ok(_) => Ok(user),
        // Two windows of the same person, or somebody else: the other was faster.
        Err(ExecuteError::Claimed) => match known(app, profile).await? {
            Some((owner, _)) if owner == user => Ok(user),
            _ => Err(ExecuteError::<user::UserError>::Claimed.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// Keeps what a provider has said of a person just now, and the tokens it gave.
async fn renew(app: &App, id: IdentityId, profile: &Profile) -> Result<()> {
    sqlx::query("update identities set sealed = $2, tokens = $3 where identity_id = $1")
        .bind(id.0)
        .bind(seal(app, id, profile)?)
        .bind(provider_tokens::seal(app, id, &profile.tokens)?)
        .execute(app.db())
        .await?;
    Ok(())
}

/// Asks the provider what it says of the person now, and keeps that.
pub async fn look_again(app: &App, user: UserId, id: IdentityId) -> Result<IdentityRow> {
    let profile = provider_tokens::look_up(app, user, id).await?;
    if known(app, &profile).await? != Some((user, id)) {
        return Err(OauthError::Untrusted(profile.provider, Lie::Person).into());
    }
    // Not the tokens: they may have been renewed since.
    let row = sqlx::query(
        "update identities set sealed = $3 where identity_id = $1 and user_id = $2
         returning identity_id, provider, sealed, linked_at",
    )
    .bind(id.0)
    .bind(user.0)
    .bind(seal(app, id, &profile)?)
    .fetch_optional(app.db())
    .await?;
    row.map_or_else(|| Err(Problem::not_found()), |row| shown(app, &row))
}

/// Unlinks an identity of the person's, unless it is the last way in; the position of the event.
pub async fn unlink(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    identity: IdentityId,
) -> Result<i64> {
    let row = SideRow::IdentityRemoved { identity_id: identity, user_id: user };
    Ok(super::tell(app, visitor, user, user::Ask::UnlinkIdentity { identity }, [row]).await?)
}

/// The person's identities, the oldest first.
pub async fn list(app: &App, user: UserId) -> Result<Vec<IdentityRow>> {
    let rows = sqlx::query(
        "select identity_id, provider, sealed, linked_at from identities
         where user_id = $1 order by linked_at, identity_id",
    )
    .bind(user.0)
    .fetch_all(app.db())
    .await?;
    rows.iter().map(|row| shown(app, row)).collect()
}

fn shown(app: &App, row: &PgRow) -> Result<IdentityRow> {
    let id = IdentityId(row.try_get("identity_id")?);
    let shown = app.keys.sealing.open(&place(id), row.try_get("sealed")?);
    Ok(IdentityRow {
        id,
        provider: row.try_get("provider")?,
        shown: shown.map_err(Problem::failed)?,
        linked_at: row.try_get("linked_at")?,
    })
}
