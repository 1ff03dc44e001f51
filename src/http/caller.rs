//! Who is asking.

use std::marker::PhantomData;

use aggregates::id::{ApiKeyId, SessionId, UserId, WalletId};
use aggregates::user::Scope;
use aggregates::wallet::{By, Origin};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use uuid::Uuid;

use super::rate_limit::{self, Admission};
use super::{cookies, refused_keys};
use crate::accounts::Visitor;
use crate::accounts::api_keys::{self, Known};
use crate::app::App;
use crate::clock;
use crate::detach::DetachOnDrop;
use crate::error::Problem;
use crate::store::Metadata;

/// Who is asking, in person: by the access token of a session.
pub(super) struct Caller {
    pub(super) user: UserId,
    pub(super) visitor: Visitor,
    /// By which of the person's keys, where not in person.
    pub(super) key: Option<ApiKeyId>,
}

/// The same, and the session that asks.
pub(super) struct InPerson {
    pub(super) caller: Caller,
    pub(super) session: SessionId,
}

/// Who is asking, in person or by an API key that may be used for this.
pub(super) struct Allowed<S>(pub(super) Caller, pub(super) PhantomData<S>);

/// What an API key may be used for, as a type that stands in a handler's signature.
pub(super) trait Purpose: Send {
    const SCOPE: Scope;
    /// Another that will do.
    const OR: Scope = Self::SCOPE;
}

/// Reading the balance, the history and statements.
pub(super) struct WalletRead;
/// Holds and debits.
pub(super) struct WalletSpend;
/// AI calls, and reading their results.
pub(super) struct Ai;
/// Reading what was used: by whoever calls, and by whoever keeps the books.
pub(super) struct UsageRead;

impl Purpose for WalletRead {
    const SCOPE: Scope = Scope::WalletRead;
}

impl Purpose for WalletSpend {
    const SCOPE: Scope = Scope::WalletSpend;
}

impl Purpose for Ai {
    const SCOPE: Scope = Scope::Ai;
}

impl Purpose for UsageRead {
    const SCOPE: Scope = Scope::WalletRead;
    const OR: Scope = Scope::Ai;
}

impl Caller {
    /// The caller's own wallet.
    pub(super) fn wallet(&self) -> WalletId {
        self.user.into()
    }

    /// The person, or the key: each has idempotency keys of its own.
    pub(super) fn asks(&self) -> Uuid {
        self.key.map_or(self.user.0, |key| key.0)
    }

    /// Who spends, where the caller's own service does.
    pub(super) fn spends(&self) -> By {
        By { origin: Origin::Api, key: self.key }
    }

    /// What stands beside the events of the caller's commands.
    pub(super) fn metadata(&self) -> Metadata {
        let mut metadata = self.visitor.metadata(self.user);
        if let Some(key) = self.key {
            metadata.actor = Some(format!("api_key/{key}"));
        }
        metadata
    }
}

impl FromRequestParts<App> for InPerson {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let from_cookie = if parts.headers.contains_key(AUTHORIZATION) {
            None
        } else {
            cookies::access(&parts.headers)
        };
        let token = match &from_cookie {
            Some(token) => token,
            None => bearer(parts)?,
        };
        if api_keys::is_key(token) {
            return Err(not_by_key("an API key is not enough for this: sign in"));
        }
        let identity = app.tokens.check(token, clock::now()).ok_or_else(|| {
            Problem::unauthorized(
                "the access token is not valid or its time is over: sign in again",
            )
        })?;
        if app.closings.has(identity.session) {
            return Err(Problem::unauthorized("the session is over: sign in again"));
        }
        if !app.closings.is_current() {
            return Err(Problem::busy(
                "which sessions are over cannot be told just now; try again",
            ));
        }
        if from_cookie.is_some() {
            cookies::check_csrf(parts, &app.keys, identity.session)?;
        }
        rate_limit::count_person(app, parts, identity.user).await?;
        let Ok(visitor) = Visitor::from_request_parts(parts, app).await;
        let caller = Caller { user: identity.user, visitor, key: None };
        Ok(Self { caller, session: identity.session })
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        InPerson::from_request_parts(parts, app).await.map(|InPerson { caller, .. }| caller)
    }
}

/// Nobody, where nobody says who they are.
impl OptionalFromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, Problem> {
        let says =
            parts.headers.contains_key(AUTHORIZATION) || cookies::access(&parts.headers).is_some();
        if !says {
            return Ok(None);
        }
        <Self as FromRequestParts<App>>::from_request_parts(parts, app).await.map(Some)
    }
}

impl<S: Purpose> FromRequestParts<App> for Allowed<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let key = bearer(parts).ok().filter(|token| api_keys::is_key(token));
        let Some(secret) = key else {
            return <Caller as FromRequestParts<App>>::from_request_parts(parts, app)
                .await
                .map(|by| Self(by, PhantomData));
        };
        let known = by_key(app, parts, secret).await?;
        if ![S::SCOPE, S::OR].iter().any(|scope| known.scopes.contains(scope)) {
            return Err(not_by_key("this API key may not be used for this: see its scopes"));
        }
        let Ok(visitor) = Visitor::from_request_parts(parts, app).await;
        Ok(Self(Caller { user: known.user, visitor, key: Some(known.key) }, PhantomData))
    }
}

/// Whom a key speaks for. Whether it is good is looked at, and counted, to the end, also where the client hangs up
/// meanwhile.
async fn by_key(app: &App, parts: &Parts, secret: &str) -> Result<Known, Problem> {
    let refused = || Problem::unauthorized("the API key is not valid");
    if !api_keys::is_ours(app, secret) {
        return Err(refused());
    }
    let hash = api_keys::hash(secret);
    refused_keys::check(app, hash)?;
    let (app, admission) = (app.clone(), Admission::taken_over(parts));
    let checked = DetachOnDrop::new(async move {
        let Some(known) = api_keys::check(&app, hash).await? else {
            refused_keys::count(&app, hash);
            return Err(refused());
        };
        rate_limit::count_key(&app, admission, known.user, known.key, known.per_second).await?;
        Ok(known)
    });
    checked.await
}

/// 403: a key is known, and may not do this.
fn not_by_key(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "scope", detail)
}

/// The token of the `Authorization` header.
fn bearer(parts: &Parts) -> Result<&str, Problem> {
    parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| Problem::unauthorized("send Authorization: Bearer with an access token"))
}
