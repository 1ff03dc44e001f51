//! Who is asking.

use aggregates::id::{UserId, WalletId};
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::problems::RequestId;
use crate::app::App;
use crate::clock;
use crate::error::Problem;
use crate::store::Metadata;

/// Who is asking, by the access token; and under which request id.
pub(super) struct Caller {
    pub(super) user: UserId,
    request_id: Option<String>,
}

impl Caller {
    /// The caller's own wallet.
    pub(super) fn wallet(&self) -> WalletId {
        self.user.into()
    }

    /// What stands beside the events of the caller's commands.
    pub(super) fn metadata(&self) -> Metadata {
        Metadata {
            request_id: self.request_id.clone(),
            actor: Some(self.user.to_string()),
            request_hash: None,
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let token = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| {
                Problem::unauthorized("send Authorization: Bearer with an access token")
            })?;
        let identity = app.tokens.check(token, clock::now()).ok_or_else(|| {
            Problem::unauthorized(
                "the access token is not valid or its time is over: sign in again",
            )
        })?;
        let request_id = parts.extensions.get::<RequestId>().map(|RequestId(id)| id.clone());
        Ok(Self { user: identity.user, request_id })
    }
}
