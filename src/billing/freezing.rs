//! Whether a person may spend, as far as payments go: not while one is disputed; and while a
//! subscription is not paid in time, as the policy says: as before, only what did not come of
//! subscriptions, or nothing.

use aggregates::id::{UserId, WalletId};
use aggregates::wallet::{Ask, Wallet, WalletCommand};
use chrono::{DateTime, Utc};
use tracing::error;

use super::{ATTEMPTS, STRIPE, by, customers, stripe};
use crate::app::App;
use crate::clock;
use crate::config::{Disputed, FraudWarning, PastDue};
use crate::error::{Problem, Result};
use crate::store::Envelope;

/// Why a wallet is frozen while a payment is disputed.
const DISPUTED: &str = "a payment is disputed";
/// Why a wallet is frozen while a subscription is not paid in time.
const BEHIND: &str = "a subscription is not paid";
/// Why a wallet is frozen after a bank's warning.
const WARNED: &str = "a bank warns of fraud";

/// What is not paid since then is not paid in time, and the days of grace are over.
fn late(app: &App) -> DateTime<Utc> {
    clock::now() - app.settings.past_due_grace
}

/// Stops whoever's days of grace are over: nothing happens then that would be heard of.
pub(super) async fn follow_late(app: &App) -> Result<()> {
    let mut followed = Ok(());
    if app.settings.past_due == PastDue::Keep {
        return followed;
    }
    for user in projections::billing::behind(app.db(), late(app)).await? {
        followed = followed.and(follow(app, UserId(user), app.store.head()).await);
    }
    followed
}

/// Stops spending, or lets it go on, by all that is in the log up to `position`. Whoever has changed
/// something looks again when what was noted meanwhile can be read, so that of two who begin and end
/// at the same moment neither takes the other's word. A freeze for another reason stays.
pub(super) async fn follow(app: &App, user: UserId, position: i64) -> Result<()> {
    let mut position = position;
    for _ in 0..ATTEMPTS {
        app.caught_up("billing", user, Some(position)).await?;
        let troubles = projections::billing::troubles(app.db(), user.0, late(app)).await?;
        let policy = app.settings.past_due;
        let disputed = troubles.disputed && app.settings.disputed == Disputed::Freeze;
        let why = match (disputed, troubles.behind && policy == PastDue::Freeze) {
            (true, _) => Some(DISPUTED),
            (false, true) => Some(BEHIND),
            (false, false) => None,
        };
        let wallet = app.store.load::<Wallet>(WalletId::from(user)).await?;
        let suspends = troubles.behind && policy == PastDue::PurchasedOnly;
        if suspends != wallet.is_quota_suspended() {
            let ask = if suspends { Ask::SuspendQuota } else { Ask::ResumeQuota };
            position = self::ask(app, user, ask).await?;
            continue;
        }
        match (wallet.frozen(), why) {
            (None, Some(why)) => {
                position = ask(app, user, Ask::Freeze { reason: why.to_owned() }).await?;
            }
            (Some(DISPUTED | BEHIND), None) => {
                let reason = "the payments are in order".to_owned();
                position = ask(app, user, Ask::Unfreeze { reason }).await?;
            }
            _ => return Ok(()),
        }
    }
    Err(Problem::busy("the person's payments change all the time; try again"))
}

/// A bank warns that a payment may be fraud: somebody is told, and where that is the policy nothing is
/// spent until an administrator has looked.
pub(super) async fn warned(app: &App, charge: &str) -> Result<()> {
    let paid = stripe(app)?.payment_of_charge(charge).await?;
    let customer = paid.customer.as_deref().unwrap_or_default();
    let Some(user) = customers::whose(app, customer).await? else {
        error!(payment = paid.intent, "a bank warns of fraud in a payment of nobody known here");
        return Ok(());
    };
    error!(user.id = %user, payment = paid.intent, "a bank warns that a payment may be fraud");
    if app.settings.fraud_warning == FraudWarning::Freeze {
        self::ask(app, user, Ask::Freeze { reason: WARNED.to_owned() }).await?;
    }
    Ok(())
}

/// Asks something of a person's wallet; the position of the event.
pub(super) async fn ask(app: &App, user: UserId, ask: Ask) -> Result<i64> {
    let command = WalletCommand { now: clock::now(), ask };
    let wallet = WalletId::from(user);
    let outcome = app.store.execute::<Wallet>(wallet, Envelope::once(by(STRIPE)), command).await?;
    app.wrote(user, outcome.position);
    Ok(outcome.position)
}
