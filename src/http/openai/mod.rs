//! What clients of OpenAI's API speak: chat completions and models, metered in credits.

mod completions;
mod errors;
mod models;
mod request;
mod stream;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

pub(super) use errors::with_body;

pub(super) fn routes() -> OpenApiRouter<App> {
    completions::routes().merge(models::routes())
}
