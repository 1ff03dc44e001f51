//! What became of a call whose maker has died: what it holds is given back, what it charged stands.

use super::charged::Charged;
use super::payer::Payer;
use super::ticket::first;
use crate::app::App;
use crate::error::Result;

/// What became of a call.
pub enum Past {
    /// It was never made.
    Never,
    /// It was charged.
    Charged(Charged),
    /// It was made, and nothing was charged; nothing is held for it any more.
    Over,
}

/// What became of the payer's call, which nobody makes any more, and which is made once.
pub async fn past(app: &App, payer: &Payer) -> Result<Past> {
    let hold = first(payer);
    if let Some(outcome) = payer.known(app, hold, "capture").await? {
        return Ok(Past::Charged(Charged::of(hold.0, &outcome)));
    }
    if payer.known(app, hold, "authorize").await?.is_none() {
        return Ok(Past::Never);
    }
    payer.release(app, hold, "whoever made the call has died", &[]).await?;
    Ok(Past::Over)
}
