//! Beginning a recharge.

use aggregates::catalogue::Pack;
use aggregates::id::{CommandId, UserId, WalletId};
use aggregates::recharge::{Ask, Need, OffReason, Recharge};
use aggregates::wallet::Wallet;

use super::{ACTOR, in_the_way, job, letters, purchase_of, tell};
use crate::app::App;
use crate::billing::{by, checkout};
use crate::clock;
use crate::error::Result;
use crate::store::{Envelope, ExecuteError};

/// Begins a recharge of the person's wallet, which a spend at the position `spent` of the log has
/// left with too little; nothing, where something is in the way or somebody was faster. Any number
/// of nodes may see the need: the purchase and the command derive from the recharge's number.
pub async fn trigger(app: &App, user: UserId, spent: i64) -> Result<()> {
    let recharge = app.store.load::<Recharge>(user).await?;
    let Some(terms) = recharge.terms() else { return Ok(()) };
    if in_the_way(app, user).await?.is_some() {
        return Ok(());
    }
    if !app.store.load::<Pack>(terms.pack).await?.is_on_sale() {
        return stop(app, user, OffReason::Retired).await;
    }
    let order = checkout::order(app, user, terms.pack).await?;
    if !terms.allow(&order) {
        return stop(app, user, OffReason::Dearer).await;
    }
    let now = clock::now();
    let wallet = app.store.load::<Wallet>(WalletId::from(user)).await?;
    let need = Need { available: wallet.balance(now).available, spent };
    let number = recharge.number() + 1;
    let purchase = purchase_of(user, number);
    let command = CommandId::derive(purchase.0, "trigger");
    let envelope = Envelope::new(command, by(ACTOR)).with(job(user).row());
    match tell(app, user, envelope, now, Ask::Trigger { number, purchase, order, need }).await {
        // Refused: what the read models said is no longer so.
        Ok(_) | Err(ExecuteError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Turns it off, since what was agreed to cannot be bought any more, and says so.
async fn stop(app: &App, user: UserId, why: OffReason) -> Result<()> {
    let (mut envelope, now) = (Envelope::once(by(ACTOR)), clock::now());
    envelope.side.extend(letters::stopped(app, user, envelope.command_id, why, now).await?);
    tell(app, user, envelope, now, Ask::TurnOff { why }).await?;
    Ok(())
}
