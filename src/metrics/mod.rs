//! What a node tells Prometheus: what the process has counted, and what the database says, asked once in a
//! few seconds however many want to know. No label is an id, a path or an address.

mod ai;
mod database;
mod log;
mod page;
mod process;
mod requests;
mod work;

use crate::app::App;
use page::Page;

/// The type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All of it, in Prometheus' text format. When the database does not answer, what the process knows is told all
/// the same.
pub async fn page(app: &App) -> String {
    let mut page = Page::default();
    process::tell(&mut page, app);
    requests::tell(&mut page, app);
    log::tell(&mut page, app);
    ai::tell(&mut page, app);
    let mut text = page.into_text();
    text.push_str(&database::text(app).await);
    text
}
