//! Bodies and query strings, parsed at the border; what is wrong with them names the field.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::body::Body;
use crate::error::Problem;

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

/// A query string.
pub(super) struct Query<T>(pub(super) T);

/// The parts of a path.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let Body(bytes) = Body::from_request(request, state).await?;
        // A list of a struct's fields would do for serde; nobody means it.
        if bytes.trim_ascii_start().first() == Some(&b'[') {
            return Err(Problem::field("body", "must be an object"));
        }
        parse(&bytes).map(Self)
    }
}

/// Reads a body; unknown or wrong fields are named, `\u0000` is refused (no database keeps it).
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if contains_nul(bytes) {
        return Err(with_nul());
    }
    read(bytes).or_else(|problem| match with_whole_numbers(bytes) {
        Some(bytes) => read(&bytes).map_err(|_| problem),
        None => Err(problem),
    })
}

fn with_nul() -> Problem {
    Problem::malformed("the character U+0000 is not accepted in any text")
}

/// How addresses write U+0000; a percent sign that is meant is `%25`.
const NUL: &str = "%00";

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_data() {
            Problem::field(if path == "." { "body".to_owned() } else { path }, plain(&inner))
        } else {
            Problem::malformed(format!("the body is not JSON: {inner}"))
        }
    })?;
    json.end().map_err(|error| Problem::malformed(format!("the body is not JSON: {error}")))?;
    Ok(value)
}

/// The body with `1.0` written as `1`: to JSON, and to the document of the API, it is the same whole number; to serde it
/// is none. Nothing else of it is changed. None where there is nothing to change.
fn with_whole_numbers(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(bytes.len());
    let (mut at, mut is_text) = (0, false);
    while let Some(&byte) = bytes.get(at) {
        let taken = match byte {
            b'\\' if is_text => 2,
            b'.' if !is_text && nothing_after_the_point(&bytes[at + 1..]) => {
                at += 1 + zeros(&bytes[at + 1..]);
                continue;
            }
            _ => 1,
        };
        is_text ^= byte == b'"';
        whole.extend(bytes[at..].iter().take(taken));
        at += taken;
    }
    (whole.len() < bytes.len()).then_some(whole)
}

fn zeros(digits: &[u8]) -> usize {
    digits.iter().take_while(|digit| **digit == b'0').count()
}

fn nothing_after_the_point(digits: &[u8]) -> bool {
    let zeros = zeros(digits);
    let ends = digits.get(zeros).is_none_or(|next| b",}] \t\r\n".contains(next));
    zeros > 0 && ends
}

/// A field that is an object, or nothing. A list of its fields would do for serde; nobody means it.
pub(super) fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    field: D,
) -> Result<Option<T>, D::Error> {
    let fields = Option::<Map<String, Value>>::deserialize(field)?;
    let object = fields.map(|fields| serde_json::from_value(Value::Object(fields)));
    object.transpose().map_err(D::Error::custom)
}

/// Whether some text of the JSON holds an escaped U+0000; an escaped backslash before it is a text
/// about it, not the character.
fn contains_nul(json: &[u8]) -> bool {
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        match byte {
            b'\\' if json[at..].starts_with(b"\\u0000") => return true,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    false
}

/// What serde says, without the place in the text: the field is named beside it.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if kind
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "the body must be sent as Content-Type: application/json",
    ))
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.query().is_some_and(|query| query.contains(NUL)) {
            return Err(with_nul());
        }
        axum::extract::Query::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejection| Problem::field("query", rejection.body_text()))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    /// A path that names nothing readable names nothing.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.path().contains(NUL) {
            return Err(Problem::not_found());
        }
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(path)| Self(path))
            .map_err(|_| Problem::not_found())
    }
}
