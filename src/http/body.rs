//! How long bodies may be, in bytes and in seconds, and what is told of one that is longer.

use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tokio::time::timeout;

use crate::error::Problem;

/// Bodies are small: a text of 2,000 characters, at most 8,000 bytes, in JSON escapes.
pub(super) const USUAL: usize = 64 * KIB;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// How long any body may take to come, as the head before it may.
const IN_TIME: Duration = Duration::from_secs(30);
/// Bytes a second at which longer ones come at least: whoever sends a byte now and then keeps nobody.
const SLOWEST: usize = 16 * KIB;

/// A body as it came.
pub(super) struct Body(pub(super) Bytes);

/// What the bodies of some routes may have at most, in bytes; those of all others have [`USUAL`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Longest(usize);

/// Lets the bodies of routes be longer than usual: so many bytes.
pub(super) fn at_most(bytes: usize) -> (DefaultBodyLimit, Extension<Longest>) {
    (DefaultBodyLimit::max(bytes), Extension(Longest(bytes)))
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let longest = request.extensions().get::<Longest>().map_or(USUAL, |Longest(bytes)| *bytes);
        let in_time = in_time(longest);
        let body = timeout(in_time, Bytes::from_request(request, state)).await;
        let body = body.map_err(|_| too_late(in_time))?;
        body.map(Self).map_err(|rejection| unreadable(rejection, longest))
    }
}

/// How long a body of so many bytes may take to come.
fn in_time(longest: usize) -> Duration {
    IN_TIME + Duration::from_secs((longest / SLOWEST) as u64)
}

fn too_late(in_time: Duration) -> Problem {
    let detail = format!("the body did not come within {} seconds: ask again", in_time.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, "too_late", detail)
}

fn unreadable(rejection: BytesRejection, longest: usize) -> Problem {
    if rejection.into_response().status() != StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::malformed("the body could not be read");
    }
    let longest = match longest {
        whole if whole % MIB == 0 => format!("{} MiB", whole / MIB),
        less => format!("{} KiB", less / KIB),
    };
    let detail = format!("the body must not exceed {longest}");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}
