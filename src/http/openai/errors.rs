//! Problems in OpenAI's shape, which its SDKs read.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Problem;

/// An error as OpenAI's SDKs read it.
#[derive(Serialize, ToSchema)]
pub(super) struct Failure {
    pub(super) error: What,
}

/// What is wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct What {
    /// What happened, and what to do.
    message: String,
    /// What kind of error it is.
    #[serde(rename = "type")]
    #[schema(example = "insufficient_quota")]
    kind: &'static str,
    /// Which field is wrong, where one is.
    param: Option<String>,
    /// A word that programs may rely on.
    #[schema(example = "insufficient_credits")]
    code: &'static str,
}

impl From<&Problem> for Failure {
    fn from(problem: &Problem) -> Self {
        let param = problem.errors.keys().next().cloned();
        let message = match problem.errors.iter().next() {
            Some((field, remedy)) => format!("{field}: {remedy}"),
            None => problem.detail.clone(),
        };
        let kind = match problem.status() {
            StatusCode::PAYMENT_REQUIRED => "insufficient_quota",
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "api_error",
            _ => "invalid_request_error",
        };
        Self { error: What { message, kind, param, code: problem.code } }
    }
}

/// The status as OpenAI's SDKs expect it: a body that is not as it should be is 400.
fn status(problem: &Problem) -> StatusCode {
    match problem.status() {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        status => status,
    }
}

/// Whether the same request may come to something else. Of conflicts those may that say when: whatever they wait for
/// ends.
fn is_worth_another_try(problem: &Problem) -> bool {
    match problem.status() {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::CONFLICT => problem.retry_after.is_some(),
        status => !status.is_client_error(),
    }
}

/// The answer that tells of a problem. SDKs try some statuses again; not where that cannot help.
pub(in crate::http) fn with_body(problem: &Problem) -> Response {
    let mut response = (status(problem), axum::Json(Failure::from(problem))).into_response();
    let headers = response.headers_mut();
    if let Some(seconds) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.status() == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if !is_worth_another_try(problem) {
        headers.insert("x-should-retry", HeaderValue::from_static("false"));
    }
    response
}
