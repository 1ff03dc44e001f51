//! API keys that are good no more, revoked or of an account that rests: each try has the database asked, so there
//! is an end to it. Each node counts for itself: it is its database that is spared.

use std::time::Duration;

use super::rate_limit::too_many;
use crate::app::App;
use crate::error::Problem;
use crate::rates::Window;
use crate::store::hex;

/// Tries of one key.
const REFUSED: Window = Window::new("refused", 20, Duration::from_mins(1));

/// 429 for a key that was refused too often lately, before anybody is asked for it.
pub(super) fn check(app: &App, key: [u8; 32]) -> Result<(), Problem> {
    match app.rates.full_here(&name(key), REFUSED) {
        Some(wait) if app.settings.rate_limits => Err(too_many(app, "refused_key", wait)),
        _ => Ok(()),
    }
}

/// Counts that a key was refused.
pub(super) fn count(app: &App, key: [u8; 32]) {
    app.rates.count_here(&name(key), REFUSED);
}

fn name(key: [u8; 32]) -> String {
    format!("refused/{}", hex(&key[..16]))
}
