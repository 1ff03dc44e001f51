//! What became of a call whose maker has died: what it holds is given back, what it charged stands.

use aggregates::id::{HoldId, WalletId};
use aggregates::wallet::{Ask, Wallet, WalletCommand, WalletError};

use super::talk::Charged;
use super::ticket::{Payer, command, first};
use crate::app::App;
use crate::clock;
use crate::error::Result;
use crate::store::{Envelope, ExecuteError};

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
    if let Some(outcome) = payer.captured(app, hold).await? {
        return Ok(Past::Charged(Charged::of(hold.0, &outcome)));
    }
    let wallet = WalletId::from(payer.user);
    let authorized = Envelope::new(command(hold, "authorize"), payer.metadata.clone());
    if app.store.known::<Wallet>(wallet, &authorized).await?.is_none() {
        return Ok(Past::Never);
    }
    give_back(app, payer, hold).await?;
    Ok(Past::Over)
}

async fn give_back(app: &App, payer: &Payer, hold: HoldId) -> Result<()> {
    let reason = "whoever made the call has died".to_owned();
    let ask = Ask::Release { hold, by: payer.by(), reason };
    let envelope = Envelope::new(command(hold, "release"), payer.metadata.clone());
    let command = WalletCommand { now: clock::now(), ask };
    match app.store.execute::<Wallet>(WalletId::from(payer.user), envelope, command).await {
        Ok(outcome) => app.wrote(payer.user, outcome.position),
        // It was given back, or its time is over.
        Err(ExecuteError::Refused(WalletError::HoldNotOpen)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
