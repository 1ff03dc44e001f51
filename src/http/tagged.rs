//! `ETag` out, `If-Match` in: what was read is changed, and nothing newer (RFC 9110, 8.8.3 and 13.1.1).

use axum::extract::OptionalFromRequestParts;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Problem, Result};
use crate::store::hex;

/// An answer, with the tag of what it says: the same for the same.
pub(super) struct Tagged<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        match tag(&self.0) {
            Ok(tag) => ([(ETAG, tag)], axum::Json(self.0)).into_response(),
            Err(problem) => problem.into_response(),
        }
    }
}

/// Tags of what the caller has read.
pub(super) struct IfMatch(Vec<String>);

impl IfMatch {
    /// Whether the caller has read nothing that it names: `*` is whatever there is.
    pub(super) fn is_any(&self) -> bool {
        self.0.iter().any(|read| read == "*")
    }

    /// 412 unless the caller has read what is told now.
    pub(super) fn check(&self, told: &impl Serialize) -> Result<()> {
        if self.is_any() || self.0.contains(&tag(told)?) {
            Ok(())
        } else {
            Err(Problem::moved("it has changed since it was read"))
        }
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        let mut tags = Vec::new();
        for value in parts.headers.get_all(IF_MATCH) {
            let value = value.to_str();
            let value = value.map_err(|_| Problem::malformed("If-Match must be an ETag, or *"))?;
            tags.extend(value.split(',').map(|tag| tag.trim().to_owned()));
        }
        Ok((!tags.is_empty()).then_some(Self(tags)))
    }
}

fn tag(told: &impl Serialize) -> Result<String> {
    let told = serde_json::to_vec(told).map_err(Problem::failed)?;
    Ok(format!("\"{}\"", hex(&Sha256::digest(told)[..12])))
}
