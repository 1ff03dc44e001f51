//! The `OpenAPI` document, pages that show it from inside the binary, and what Postman makes requests of.

mod answers;
mod bounds;
mod postman;
mod redoc;

use axum::Router;
use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Info, OpenApi, OpenApiBuilder};
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;

/// The document without the routes: they describe themselves.
pub(super) fn document() -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The access token of register or login."))
        .build();
    let mut components = Components::new();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let mut info = Info::new("Saldo", env!("CARGO_PKG_VERSION"));
    info.description =
        Some("Credits for AI: granted, held, spent, and provable to the last one.".to_owned());
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// `/openapi.json`, `/docs`, `/redoc` and `/postman.json`.
pub(super) fn routes(document: &OpenApi) -> Router<App> {
    let document = completed(document);
    let collection = postman::routes(&document);
    let swagger = SwaggerUi::new("/docs").external_url_unchecked("/openapi.json", document);
    Router::from(swagger).merge(redoc::routes()).merge(collection)
}

/// The document, with what all routes have in common.
fn completed(document: &OpenApi) -> Value {
    let mut document = serde_json::to_value(document).expect("a document has names for keys");
    answers::complete(&mut document);
    bounds::tell(&mut document);
    document
}
