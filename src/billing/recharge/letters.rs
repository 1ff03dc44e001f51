//! What people are told of recharges by mail. Each letter is enqueued in the unit of the event that
//! it tells of: there is none without the other, and none twice.

use aggregates::id::{CommandId, UserId};
use aggregates::recharge::{Flight, OffReason};
use aggregates::user::{Status, User};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::app::App;
use crate::clients::mail::Letter;
use crate::clients::stripe::Checkout;
use crate::error::{Problem, Result};
use crate::queue::LetterTo;
use crate::store::SideRow;

/// That it was paid, and is in the wallet.
pub(super) async fn recharged(
    app: &App,
    user: UserId,
    command: CommandId,
    flight: &Flight,
    at: DateTime<Utc>,
) -> Result<Option<SideRow>> {
    let order = &flight.order;
    let credits = order.credits.get().saturating_add(order.bonus.get());
    let (pack, price) = (order.name.clone(), order.price);
    row(app, user, command, |name| Letter::Recharged { name, pack, credits, price, at }).await
}

/// That the card was declined, and when it is tried again; never, where it is turned off.
pub(super) async fn declined(
    app: &App,
    user: UserId,
    command: CommandId,
    flight: &Flight,
    at: DateTime<Utc>,
    again_at: Option<DateTime<Utc>>,
) -> Result<Option<SideRow>> {
    let (pack, price) = (flight.order.name.clone(), flight.order.price);
    let letter = |name| Letter::RechargeDeclined { name, pack, price, at, again_at };
    row(app, user, command, letter).await
}

/// That the bank wants to see them, and where.
pub(super) async fn confirm(
    app: &App,
    user: UserId,
    command: CommandId,
    flight: &Flight,
    checkout: Checkout,
) -> Result<Option<SideRow>> {
    let Some(link) = checkout.url.map(String::from) else { return Ok(None) };
    let (pack, price) = (flight.order.name.clone(), flight.order.price);
    let until = checkout.expires_at;
    row(app, user, command, |name| Letter::ConfirmRecharge { name, pack, price, link, until }).await
}

/// That it was turned off, and why.
pub(super) async fn stopped(
    app: &App,
    user: UserId,
    command: CommandId,
    why: OffReason,
    at: DateTime<Utc>,
) -> Result<Option<SideRow>> {
    let dearer = why == OffReason::Dearer;
    row(app, user, command, |name| Letter::RechargeStopped { name, dearer, at }).await
}

/// The letter, to whoever is reached at an address that they have proved.
async fn row(
    app: &App,
    user: UserId,
    command: CommandId,
    letter: impl FnOnce(Option<String>) -> Letter,
) -> Result<Option<SideRow>> {
    let state = app.store.load::<User>(user).await?;
    let to = state.email().filter(|_| state.email_verified() && state.status() == Status::Active);
    let Some(to) = to.cloned() else { return Ok(None) };
    let letter = letter(state.name().cloned());
    let job = LetterTo { to, letter }.job(&app.keys, Uuid::new_v5(&command.0, b"notice"));
    Ok(Some(job.map_err(Problem::failed)?.row()))
}
