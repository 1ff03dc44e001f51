//! Auto-recharge: a wallet that runs low is filled up by a card that its owner has let us keep.
//!
//! A recharge is triggered by whoever sees the need first, and charged by a job. What it pays for is
//! a purchase as any other: it is granted, refunded and disputed as they are. A wallet that is
//! frozen or in debt is never recharged: nothing of it could be spent, and nobody agreed to pay
//! what they owe by themselves.

mod charge;
mod letters;
mod trigger;

use aggregates::credits::Credits;
use aggregates::id::{PackId, PurchaseId, UserId, WalletId};
use aggregates::money::Money;
use aggregates::pii::Pii;
use aggregates::recharge::{
    Ask, CallOff, Consent, OffReason, Recharge, RechargeCommand, RechargeError, Terms,
};
use aggregates::user::{Status, User};
use aggregates::wallet::Wallet;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};

use super::{cards, checkout, stripe};
use crate::accounts::Visitor;
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::queue::{self, Job};
use crate::store::{Envelope, ExecuteError, Outcome};

pub use charge::{charge, follow};
pub use trigger::trigger;

/// The version of what people are told before they agree; see the API's description. Whoever agreed
/// to another agreed to that.
const WORDING: &str = "2026-11";
/// What is written beside events that nobody in person asked for.
pub(super) const ACTOR: &str = "recharge";

/// What a person wants.
pub struct Wish {
    /// Which pack is to be bought.
    pub pack: PackId,
    /// When less than this is available.
    pub threshold: Credits,
    /// What may be charged in a month at most, in the smallest unit of the pack's currency.
    pub monthly_cap_minor: i64,
}

/// Turns it on, as the person agrees to; the position of the event. 409 for whom no card is kept.
pub async fn turn_on(app: &App, visitor: &Visitor, user: UserId, wish: Wish) -> Result<i64> {
    stripe(app)?;
    let Wish { pack, threshold, monthly_cap_minor } = wish;
    let price = checkout::order(app, user, pack).await?.price;
    if cards::of(app, user).await?.is_none() {
        let detail = "no card is kept: buy a pack with keep_card true, then turn this on";
        return Err(Problem::new(StatusCode::CONFLICT, "no_card", detail));
    }
    let monthly_cap = Money { amount_minor: monthly_cap_minor, ..price };
    let terms = Terms { pack, price, threshold, monthly_cap };
    let address = Pii::Clear(visitor.address.map(|address| address.to_string()));
    let consent = Consent { wording: WORDING.to_owned(), address };
    let after = projections::journal::head(app.db()).await?;
    let card_since = cards::since(app, user).await?;
    let ask = Ask::TurnOn { terms, consent, after, card_since };
    let envelope = Envelope::once(visitor.metadata(user));
    Ok(tell(app, user, envelope, clock::now(), ask).await?.position)
}

/// Turns it off, as the person wants; the position of the event.
pub async fn turn_off(app: &App, visitor: &Visitor, user: UserId) -> Result<i64> {
    let envelope = Envelope::once(visitor.metadata(user));
    let ask = Ask::TurnOff { why: OffReason::Asked };
    Ok(tell(app, user, envelope, clock::now(), ask).await?.position)
}

/// The page where the person can pay what the bank wants to see them for.
pub async fn link(app: &App, session: &str) -> Result<Option<String>> {
    Ok(stripe(app)?.checkout(session).await?.url.map(String::from))
}

/// Has all that is in flight looked at again: whoever did so may have given up.
pub async fn chase(app: &App) -> Result<()> {
    let mut db = app.db().acquire().await?;
    for user in projections::billing::recharges_in_flight(app.db()).await? {
        job(UserId(user)).enqueue(&mut db).await?;
    }
    Ok(())
}

/// The work of charging what is in flight of the person's: one at a time.
fn job(user: UserId) -> Job {
    Job::about(queue::RECHARGE, &user.to_string())
}

/// The purchase that the person's recharge of this number pays for.
fn purchase_of(user: UserId, number: u32) -> PurchaseId {
    PurchaseId::derive(user.0, &format!("recharge {number}"))
}

/// Why the person's card must not be charged now, where it must not: as the log has it now, whatever
/// was known before Stripe was waited for.
async fn in_the_way(app: &App, user: UserId) -> Result<Option<CallOff>> {
    let recharge = app.store.load::<Recharge>(user).await?;
    let Some(terms) = recharge.terms() else { return Ok(Some(CallOff::TurnedOff)) };
    if app.store.load::<User>(user).await?.status() != Status::Active {
        return Ok(Some(CallOff::AccountClosed));
    }
    let wallet = app.store.load::<Wallet>(WalletId::from(user)).await?;
    let balance = wallet.balance(clock::now());
    if wallet.frozen().is_some() || !balance.debt.is_zero() {
        return Ok(Some(CallOff::WalletStopped));
    }
    Ok((balance.available >= terms.threshold).then_some(CallOff::Enough))
}

/// Asks something of the person's auto-recharge.
async fn tell(
    app: &App,
    user: UserId,
    envelope: Envelope,
    now: DateTime<Utc>,
    ask: Ask,
) -> Result<Outcome<Recharge>, ExecuteError<RechargeError>> {
    let command = RechargeCommand { now, ask };
    let outcome = app.store.execute::<Recharge>(user, envelope, command).await?;
    app.wrote(user, outcome.position);
    Ok(outcome)
}
