//! The tokens that providers gave: kept encrypted, and refreshed when they are used.

use std::borrow::Cow;

use aggregates::id::{IdentityId, UserId};
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::identity_rows::place;
use super::limits;
use crate::app::App;
use crate::clients::oauth::{OauthError, Profile, Provider, ProviderTokens};
use crate::clock;
use crate::detach::DetachOnDrop;
use crate::error::{Problem, Result};

/// A token that is good for less than this is refreshed: the call takes time, and clocks differ.
const SOON: TimeDelta = TimeDelta::minutes(1);
const READ: &str =
    "select provider, tokens from identities where identity_id = $1 and user_id = $2";
const LEASE: &str = "update identities
    set leased_until = clock_timestamp() + make_interval(secs => $3)
    where identity_id = $1 and user_id = $2
      and (leased_until is null or leased_until < clock_timestamp())
    returning provider, tokens";
/// How long a lease lasts: longer than the client of a provider waits, its discovery included.
const LEASED: TimeDelta = TimeDelta::seconds(45);

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

pub(super) fn bound_to(identity: IdentityId) -> String {
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

/// Refreshes the tokens, unless somebody else just did. A refresh token is good once, and whoever
/// uses it twice may lose the whole grant: one at a time, by a lease that ends by itself, since
/// neither a row nor a connection may wait for a provider. It goes on where the client hangs up, so that
/// what the provider gives is not lost.
async fn renewed(
    app: &App,
    user: UserId,
    identity: IdentityId,
    refused: Option<&SecretString>,
) -> Result<(Provider, ProviderTokens)> {
    let row = sqlx::query(LEASE)
        .bind(identity.0)
        .bind(user.0)
        .bind(LEASED.num_seconds())
        .fetch_optional(app.db())
        .await?;
    let busy = || Problem::busy("the provider is being asked already; try again");
    let (provider, tokens) = read(app, identity, Some(row.ok_or_else(busy)?))?;
    let app = app.clone();
    if is_good(&tokens, refused) {
        keep(&app, identity, &tokens).await?;
        return Ok((provider, tokens));
    }
    // What the provider gives is kept whoever hangs up.
    DetachOnDrop::new(async move { refresh(&app, identity, provider, tokens).await }).await
}

async fn refresh(
    app: &App,
    identity: IdentityId,
    provider: Provider,
    tokens: ProviderTokens,
) -> Result<(Provider, ProviderTokens)> {
    let Some(refresh) = &tokens.refresh else {
        keep(app, identity, &tokens).await?;
        return Err(told(OauthError::Expired));
    };
    match app.providers.refresh(provider, refresh).await {
        Ok(renewed) => {
            keep(app, identity, &renewed).await?;
            Ok((provider, renewed))
        }
        Err(error) => {
            // What the provider does not take will not become good again: it is not asked twice.
            let over = matches!(error, OauthError::Expired | OauthError::Denied);
            let left = if over { ProviderTokens { refresh: None, ..tokens } } else { tokens };
            keep(app, identity, &left).await?;
            Err(told(error))
        }
    }
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

/// Keeps the tokens, and ends the lease.
async fn keep(app: &App, identity: IdentityId, tokens: &ProviderTokens) -> Result<()> {
    sqlx::query("update identities set tokens = $2, leased_until = null where identity_id = $1")
        .bind(identity.0)
        .bind(seal(app, identity, tokens)?)
        .execute(app.db())
        .await?;
    Ok(())
}

/// The person is signed in here: it is only the link that wants a new sign-in there.
fn told(error: OauthError) -> Problem {
    if matches!(error, OauthError::Expired | OauthError::Denied) {
        let detail = "the provider does not let us look any more: sign in with it again";
        return Problem::new(StatusCode::CONFLICT, "link_over", detail);
    }
    error.into()
}
