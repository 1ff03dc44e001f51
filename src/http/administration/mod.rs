//! What administrators see of the house, and do about it.

mod credits;
mod declines;
mod events;
mod jobs;
mod read_models;
mod standing;
mod users;
mod verifications;

use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::error::Problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    users::routes()
        .merge(standing::routes())
        .merge(credits::routes())
        .merge(declines::routes())
        .merge(events::routes())
        .merge(read_models::routes())
        .merge(jobs::routes())
        .merge(verifications::routes())
}

/// How any of these requests may end, whatever it is about.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it says what problems look like")]
enum Refused {
    /// Who asks is not known.
    #[response(status = 401)]
    Unknown(Problem),
    /// Who asks does not administer, or an API key asks.
    #[response(status = 403)]
    NotAdministrator(Problem),
    /// A field, or the query, is not as it must be; `errors` says which.
    #[response(status = 422)]
    Invalid(Problem),
    /// Whoever asks has asked too often.
    #[response(status = 429)]
    TooOften(Problem),
    /// The database, or the log, cannot be reached just now.
    #[response(status = 503)]
    Busy(Problem),
}
