//! `ReDoc`, from inside the binary: the document as a page to read.

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;

use crate::app::App;

/// Loads the document and what shows it, and nothing else.
const PAGE: &str = include_str!("redoc/page.html");
const STYLE: &str = include_str!("redoc/page.css");
/// `bundles/redoc.standalone.js` of npm's `redoc` 2.5.4, as it is there: 1.1 MB.
const BUNDLE: &str = include_str!("redoc/redoc-2.5.4.js");
/// Under what it is given on, with all that is in it: MIT, and Apache-2.0 for `DOMPurify`.
const LICENCES: &str = concat!(
    include_str!("redoc/LICENSE"),
    "\n",
    include_str!("redoc/redoc.standalone.js.LICENSE.txt")
);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
/// An hour: another version of Saldo may have another page.
const FOR_A_WHILE: &str = "public, max-age=3600";
/// A year, which stands for always: another version of `ReDoc` has another name.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

/// `/redoc`, and what the page loads.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/redoc", get(|| async { file(HTML, FOR_A_WHILE, PAGE) }))
        .route("/redoc/page.css", get(|| async { file(CSS, FOR_A_WHILE, STYLE) }))
        .route("/redoc/redoc-2.5.4.js", get(|| async { file(SCRIPT, FOR_GOOD, BUNDLE) }))
        .route(
            // Where the bundle says that it is.
            "/redoc/redoc.standalone.js.LICENSE.txt",
            get(|| async { file(TEXT, FOR_A_WHILE, LICENCES) }),
        )
}

type File = ([(HeaderName, &'static str); 2], &'static str);

fn file(kind: &'static str, kept: &'static str, text: &'static str) -> File {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, kept)], text)
}
