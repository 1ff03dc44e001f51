//! `Idempotency-Key`: the same key and body do a thing once, and answer as the first time.
//!
//! The record is the log itself: the command's id derives from caller, route and key, and the
//! request's hash stands beside the events.

use aggregates::id::CommandId;
use axum::extract::OptionalFromRequestParts;
use axum::http::HeaderValue;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::caller::Caller;
use crate::error::Problem;
use crate::store::{Envelope, hex};

/// Longer keys are refused, as Stripe does.
const LONGEST: usize = 255;

/// The caller's `Idempotency-Key`.
#[derive(Clone, Debug)]
pub(super) struct IdempotencyKey(String);

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(None) };
        let key = value.to_str().unwrap_or("").trim().trim_matches('"');
        if key.is_empty() || key.len() > LONGEST {
            return Err(Problem::malformed(format!(
                "an Idempotency-Key has 1 to {LONGEST} plain characters"
            )));
        }
        Ok(Some(Self(key.to_owned())))
    }
}

/// What a command of this request is recorded under.
pub(super) struct Intent {
    /// Where ids of the request derive from.
    pub(super) id: Uuid,
    request_hash: Option<String>,
}

impl Intent {
    /// The intent of a request to `route`, a constant name, with this body.
    pub(super) fn new(
        caller: &Caller,
        route: &str,
        key: Option<&IdempotencyKey>,
        body: &impl Serialize,
    ) -> Result<Self, Problem> {
        let Some(IdempotencyKey(key)) = key else {
            return Ok(Self { id: Uuid::now_v7(), request_hash: None });
        };
        let id = Uuid::new_v5(&caller.asks(), format!("{route}\n{key}").as_bytes());
        let body = serde_json::to_vec(body).map_err(Problem::failed)?;
        // The log is for ever, and what is asked may be a word or two: with the key, which the log does not have, nobody
        // finds it by trying.
        let hash = Sha256::new_with_prefix(route).chain_update("\n").chain_update(key);
        let hash = hash.chain_update("\n").chain_update(body).finalize();
        Ok(Self { id, request_hash: Some(hex(&hash)) })
    }

    /// The envelope of the request's command for this purpose.
    pub(super) fn envelope(&self, caller: &Caller, purpose: &str) -> Envelope {
        let mut metadata = caller.metadata();
        metadata.request_hash.clone_from(&self.request_hash);
        Envelope::new(CommandId::derive(self.id, purpose), metadata)
    }

    /// Whether the caller gave a key, so that the request may be a repeat.
    pub(super) fn may_repeat(&self) -> bool {
        self.request_hash.is_some()
    }
}

/// An answer, and whether it was given before.
pub(super) struct Replayable<T> {
    pub(super) answer: T,
    pub(super) replayed: bool,
}

impl<T: IntoResponse> IntoResponse for Replayable<T> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        if self.replayed {
            response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use aggregates::id::UserId;

    use super::*;
    use crate::accounts::Visitor;

    #[test]
    fn what_was_asked_is_not_found_by_who_does_not_know_the_key() {
        let visitor = Visitor { request_id: None, agent: None, address: None };
        let caller = Caller { user: UserId(Uuid::nil()), visitor, key: None };
        let hash = |key: &str, body: &str| {
            let key = IdempotencyKey(key.to_owned());
            Intent::new(&caller, "post", Some(&key), &body).expect("an intent").request_hash
        };
        assert_eq!(hash("a key", "yes"), hash("a key", "yes"));
        assert_ne!(hash("a key", "yes"), hash("a key", "no"));
        assert_ne!(hash("a key", "yes"), hash("another", "yes"));
    }
}
