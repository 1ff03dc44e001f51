//! `X-Event-Position` out, `X-Min-Position` in: reading one's own writes on any node.

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use crate::error::Problem;

/// An answer to a command, with the position of its last event.
pub(super) struct At<T>(pub(super) i64, pub(super) T);

impl<T: IntoResponse> IntoResponse for At<T> {
    fn into_response(self) -> Response {
        let Self(position, answer) = self;
        let mut response = answer.into_response();
        response.headers_mut().insert("x-event-position", HeaderValue::from(position));
        response
    }
}

/// The position that a query must have seen, where the caller names one.
pub(super) struct MinPosition(pub(super) Option<i64>);

impl<S: Send + Sync> FromRequestParts<S> for MinPosition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("x-min-position") else { return Ok(Self(None)) };
        let position = value.to_str().ok().and_then(|text| text.parse().ok());
        let position = position.filter(|position: &i64| *position >= 0);
        position.map(|position| Self(Some(position))).ok_or_else(|| {
            Problem::malformed("X-Min-Position must be a whole number, as X-Event-Position gave it")
        })
    }
}
