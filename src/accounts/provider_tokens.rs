//! The tokens that providers gave: kept encrypted, and refreshed when they are used.

use std::borrow::Cow;

use aggregates::id::{IdentityId, UserId};
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::identities::place;
use super::limits;
use crate::app::App;
use crate::clients::oauth::{OauthError, Profile, Provider, ProviderTokens};
use crate::clock;
use crate::error::{Problem, Result};

/// A token that is good for less than this is refreshed: the call takes time, and clocks differ.
const SOON: TimeDelta = TimeDelta::minutes(1);
const READ: &str =
    "select provider, tokens from identities where identity_id = $1 and user_id = $2";
const LOCK: &str = "select provider, tokens from identities where identity_id = $1 and user_id = $2
    for update nowait";
/// Postgres' word for a row that somebody else has locked.
const LOCKED: &str = "55P03";

/// A provider's tokens as they are kept.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    access: Cow<'a, str>,
    refresh: Option<Cow<'a, str>>,
    expires_at: Option<DateTime<Utc>>,
    scope: Option<Cow<'a, str>>,
}

/// The tokens as they are kept: encrypted, and bound to the identity.
pub(super) fn seal(app: &App, identity: IdentityId, tokens: &ProviderTokens) -> Result<String> {
    let kept = Kept {
        access: tokens.access.expose_secret().into(),
        refresh: tokens.refresh.as_ref().map(|refresh| refresh.expose_secret().into()),
        expires_at: tokens.expires_at,
        scope: tokens.scope.as_deref().map(Into::into),
    };
    app.keys.sealing.seal(&bound_to(identity), &kept).map_err(Problem::failed)
}

fn open(app: &App, identity: IdentityId, sealed: &str) -> Result<ProviderTokens> {
    let kept = app.keys.sealing.open::<Kept<'_>>(&bound_to(identity), sealed);
    let Kept { access, refresh, expires_at, scope } = kept.map_err(Problem::failed)?;
    Ok(ProviderTokens {
        access: SecretString::from(access.into_owned()),
        refresh: refresh.map(|refresh| SecretString::from(refresh.into_owned())),
        expires_at,
        scope: scope.map(Cow::into_owned),
    })
}

fn bound_to(identity: IdentityId) -> String {
    format!("{}/tokens", place(identity))
}

/// What the provider says of the person now.
pub(super) async fn look_up(app: &App, user: UserId, identity: IdentityId) -> Result<Profile> {
    limits::PROVIDER.count(app, &user.to_string()).await?;
    let (provider, tokens) = usable(app, user, identity, None).await?;
    let spent = tokens.access.clone();
    let looked = match app.providers.look_up(provider, tokens).await {
        // Taken back before its time was over: a new one may be good.
        Err(OauthError::Expired) => {
            let (_, tokens) = usable(app, user, identity, Some(&spent)).await?;
            app.providers.look_up(provider, tokens).await
        }
        looked => looked,
    };
    looked.map_err(told)
}

/// Tokens that are good now: refreshed, where their time is over or the access token is one that
/// was `refused`.
async fn usable(
    app: &App,
    user: UserId,
    identity: IdentityId,
    refused: Option<&SecretString>,
) -> Result<(Provider, ProviderTokens)> {
    let row = sqlx::query(READ).bind(identity.0).bind(user.0).fetch_optional(app.db()).await?;
    let (provider, tokens) = read(app, identity, row)?;
    if is_good(&tokens, refused) {
        return Ok((provider, tokens));
    }
    renewed(app, user, identity, refused).await
}

/// Refreshes the tokens, unless somebody else just did. The row is locked meanwhile, since a refresh
/// token is good once, and whoever uses it twice may lose the whole grant; who comes second is told
/// to try again.
async fn renewed(
    app: &App,
    user: UserId,
    identity: IdentityId,
    refused: Option<&SecretString>,
) -> Result<(Provider, ProviderTokens)> {
    let mut unit = app.db().begin().await?;
    let row = sqlx::query(LOCK).bind(identity.0).bind(user.0).fetch_optional(&mut *unit).await;
    let (provider, tokens) = read(app, identity, row.map_err(busy_where_locked)?)?;
    if is_good(&tokens, refused) {
        unit.rollback().await?;
        return Ok((provider, tokens));
    }
    let refreshed = match &tokens.refresh {
        Some(refresh) => app.providers.refresh(provider, refresh).await,
        None => Err(OauthError::Expired),
    };
    let kept = match &refreshed {
        Ok(tokens) => Some(seal(app, identity, tokens)?),
        // Nothing can be done with them any more.
        Err(OauthError::Expired) => None,
        Err(error) => return Err(error.clone().into()),
    };
    keep(&mut unit, identity, kept).await?;
    unit.commit().await?;
    refreshed.map(|tokens| (provider, tokens)).map_err(told)
}

fn read(app: &App, identity: IdentityId, row: Option<PgRow>) -> Result<(Provider, ProviderTokens)> {
    let row = row.ok_or_else(Problem::not_found)?;
    let provider = row.try_get::<&str, _>("provider")?.parse().map_err(Problem::failed)?;
    let sealed: Option<&str> = row.try_get("tokens")?;
    Ok((provider, open(app, identity, sealed.ok_or_else(|| told(OauthError::Expired))?)?))
}

fn is_good(tokens: &ProviderTokens, refused: Option<&SecretString>) -> bool {
    let is_refused =
        refused.is_some_and(|refused| refused.expose_secret() == tokens.access.expose_secret());
    let is_over = tokens.expires_at.is_some_and(|end| end < clock::now() + SOON);
    !is_refused && !is_over
}

async fn keep(db: &mut PgConnection, identity: IdentityId, tokens: Option<String>) -> Result<()> {
    sqlx::query("update identities set tokens = $2 where identity_id = $1")
        .bind(identity.0)
        .bind(tokens)
        .execute(db)
        .await?;
    Ok(())
}

fn busy_where_locked(error: sqlx::Error) -> Problem {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    if code.is_some_and(|code| code == LOCKED) {
        return Problem::busy("the provider is being asked already; try again");
    }
    error.into()
}

/// The person is signed in here: it is only the link that wants a new sign-in there.
fn told(error: OauthError) -> Problem {
    if error == OauthError::Expired {
        let detail = "the provider does not let us look any more: sign in with it again";
        return Problem::new(StatusCode::CONFLICT, "link_over", detail);
    }
    error.into()
}
