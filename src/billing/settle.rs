//! Whatever became of a purchase at Stripe follows here: from the webhook, the return page and the
//! reconciler alike, in whatever order and however often.

use aggregates::id::{CommandId, PurchaseId, ReversalGroup, WalletId};
use aggregates::money::Money;
use aggregates::purchase::{Ask, Payment, Purchase, PurchaseCommand, PurchaseError, Stage};
use aggregates::wallet::{self, Wallet, WalletCommand};
use tracing::{error, warn};
use uuid::Uuid;

use super::checkout::{PURCHASE, send};
use super::{ATTEMPTS, STRIPE, by, cards, freezing, reversals, stripe, subscribe, subscriptions};
use crate::accounts::limits;
use crate::app::App;
use crate::clients::stripe::{
    Checkout, CheckoutMode, CheckoutStatus, IntentStatus, Payment as Paid,
};
use crate::clock;
use crate::error::{Problem, Result};
use crate::store::{Envelope, ExecuteError, Outcome};

/// Looks at a session for somebody who waits for it, before anybody is told of it; whether it was
/// looked at. Whoever asks of the same order too often, or while Stripe does not answer, is told what
/// is known here.
pub async fn look(app: &App, order: Uuid, session: &str) -> Result<bool> {
    if !limits::LOOKS.has_room(app, &order.to_string()).await? {
        return Ok(false);
    }
    if let Err(problem) = checkout(app, session).await {
        warn!(cause = problem.cause, "Stripe could not be asked for a checkout");
    }
    Ok(true)
}

/// Brings the purchase of a checkout session to what the session is now.
pub async fn checkout(app: &App, session: &str) -> Result<()> {
    let session = stripe(app)?.checkout(session).await?;
    if session.mode == CheckoutMode::Subscription {
        return subscribe::settle(app, &session).await;
    }
    let Some(id) = purchase_of(&session) else { return Ok(()) };
    if !is_ours(app, id).await? {
        return Ok(());
    }
    match (&session.status, &session.payment_intent) {
        (CheckoutStatus::Complete, Some(intent)) => {
            payment(app, intent).await?;
            given_up(app, id, intent).await
        }
        (CheckoutStatus::Expired, None) => tell(app, id, Ask::Expire).await,
        (CheckoutStatus::Expired, Some(intent)) => {
            payment(app, intent).await?;
            tell(app, id, Ask::Expire).await
        }
        (CheckoutStatus::Complete, None) => {
            error!(checkout = session.id, "a checkout is complete without a payment");
            Err(Problem::failed("a checkout is complete without a payment"))
        }
        (CheckoutStatus::Open | CheckoutStatus::Unknown(_), _) => Ok(()),
    }
}

/// The purchase that a session of ours is for.
fn purchase_of(session: &Checkout) -> Option<PurchaseId> {
    let of_pack = session.mode == CheckoutMode::Payment;
    let id = session.client_reference_id.as_deref().filter(|_| of_pack)?;
    id.parse().ok()
}

/// Whether there is such a purchase: others may sell by the same account.
async fn is_ours(app: &App, id: PurchaseId) -> Result<bool> {
    let known = app.store.load::<Purchase>(id).await?.stage() != Stage::Nothing;
    if !known {
        error!(purchase.id = %id, "Stripe knows a purchase that is not in the log");
    }
    Ok(known)
}

/// The same for a charge, where that is all that was told.
pub async fn charge(app: &App, charge: &str) -> Result<()> {
    let paid = stripe(app)?.payment_of_charge(charge).await?;
    payment(app, &paid.intent).await
}

/// Brings the purchase that a payment is for to what the payment is now: paid, failed, refunded,
/// disputed. One for an invoice of a subscription likewise; of something else is passed over.
pub async fn payment(app: &App, intent: &str) -> Result<()> {
    let id = match purchase_paid_by(app, intent).await? {
        Payer::Purchase(id) => id,
        Payer::Customer(customer) => {
            return subscriptions::payment(app, intent, customer.as_deref()).await.map(drop);
        }
    };
    if !is_ours(app, id).await? {
        return Ok(());
    }
    for _ in 0..ATTEMPTS {
        let after = app.store.load::<Purchase>(id).await?.reversals();
        let paid = stripe(app)?.payment(intent).await?;
        match &paid.status {
            IntentStatus::Succeeded => pay(app, id, &paid).await?,
            IntentStatus::Processing => return tell(app, id, Ask::AwaitPayment).await,
            IntentStatus::Canceled | IntentStatus::RequiresPaymentMethod => {
                return failed(app, id).await;
            }
            _ => return Ok(()),
        }
        match reverse(app, id, &paid, after).await {
            // It is as it was read.
            Ok(0) => return complete(app, id).await,
            // What was noted may have been read before somebody else read something newer that was
            // the same as before: it is read until nothing changes.
            Ok(_) | Err(ExecuteError::Refused(PurchaseError::ReversalMoved)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    complete(app, id).await?;
    Err(Problem::busy("the payment changes all the time; try again"))
}

/// What a payment says of who pays.
enum Payer {
    /// It is for this purchase.
    Purchase(PurchaseId),
    /// It is for something else of this customer's.
    Customer(Option<String>),
}

async fn purchase_paid_by(app: &App, intent: &str) -> Result<Payer> {
    if let Some(id) = projections::billing::by_intent(app.db(), intent).await? {
        return Ok(Payer::Purchase(PurchaseId(id)));
    }
    let paid = stripe(app)?.payment(intent).await?;
    let purchase = paid.metadata.get(PURCHASE).and_then(|id| id.parse().ok());
    Ok(purchase.map_or(Payer::Customer(paid.customer), Payer::Purchase))
}

async fn tell(app: &App, id: PurchaseId, ask: Ask) -> Result<()> {
    send(app, id, CommandId(Uuid::now_v7()), by(STRIPE), ask).await.map(drop)
}

/// A payment that waits for another card has failed only where it was under way for days.
async fn failed(app: &App, id: PurchaseId) -> Result<()> {
    if app.store.load::<Purchase>(id).await?.stage() == Stage::AwaitingPayment {
        return tell(app, id, Ask::Fail).await;
    }
    Ok(())
}

/// Of a page that is complete, a payment that waits for another card has failed, whether or not it was
/// heard that it was under way: nobody comes back to pay otherwise.
async fn given_up(app: &App, id: PurchaseId, intent: &str) -> Result<()> {
    let stage = app.store.load::<Purchase>(id).await?.stage();
    if !matches!(stage, Stage::Created | Stage::CheckoutOpened) {
        return Ok(());
    }
    match stripe(app)?.payment(intent).await?.status {
        IntentStatus::Canceled | IntentStatus::RequiresPaymentMethod => {
            tell(app, id, Ask::Fail).await
        }
        _ => Ok(()),
    }
}

async fn pay(app: &App, id: PurchaseId, paid: &Paid) -> Result<()> {
    let currency = paid.currency.parse().map_err(Problem::failed)?;
    let amount_minor = paid.amount_received;
    let payment = Payment { intent: paid.intent.clone(), paid: Money { amount_minor, currency } };
    let command = CommandId::derive(id.0, &format!("paid by {}", paid.intent));
    send(app, id, command, by(STRIPE), Ask::Pay { payment }).await?;
    let purchase = app.store.load::<Purchase>(id).await?;
    if purchase.stage() == Stage::Quarantined {
        error!(purchase.id = %id, "what was paid is not what was asked for: it waits for somebody");
    }
    match (purchase.order().filter(|_| purchase.keeps_card()), &paid.payment_method) {
        (Some(order), Some(card)) => cards::keep(app, order.user, card, paid.created).await,
        _ => Ok(()),
    }
}

/// Puts what was paid for into the wallet, once.
async fn fulfil(app: &App, id: PurchaseId) -> Result<()> {
    let purchase = app.store.load::<Purchase>(id).await?;
    let Some(order) = purchase.order().filter(|_| purchase.stage() == Stage::Paid) else {
        return Ok(());
    };
    for grant in purchase.grants(id) {
        let envelope = Envelope::new(CommandId::derive(grant.id.0, "grant"), by(STRIPE));
        let reason = format!("{} bought", order.name);
        let ask = wallet::Ask::Grant { grant, reason };
        let command = WalletCommand { now: clock::now(), ask };
        let outcome =
            app.store.execute::<Wallet>(WalletId::from(order.user), envelope, command).await?;
        app.wrote(order.user, outcome.position);
    }
    let command = CommandId::derive(id.0, "fulfil");
    let position = send(app, id, command, by(STRIPE), Ask::Fulfil).await?;
    app.wrote(order.user, position);
    Ok(())
}

/// Takes what was paid for what was asked for, where they differ.
pub async fn accept(
    app: &App,
    id: PurchaseId,
    envelope: Envelope,
    reason: String,
) -> Result<Outcome<Purchase>> {
    let command = PurchaseCommand { now: clock::now(), ask: Ask::Accept { reason } };
    let accepted = app.store.execute::<Purchase>(id, envelope, command).await?;
    complete(app, id).await?;
    Ok(accepted)
}

/// Notes what of the payment is reversed; `after` so many other notes. How much news that was.
async fn reverse(
    app: &App,
    id: PurchaseId,
    paid: &Paid,
    after: u32,
) -> Result<usize, ExecuteError<PurchaseError>> {
    let ask = Ask::SetReversal {
        reversal: reversals::of(std::slice::from_ref(paid), paid.amount_received),
        after,
    };
    let command = PurchaseCommand { now: clock::now(), ask };
    let noted = app.store.execute::<Purchase>(id, Envelope::once(by(STRIPE)), command).await?;
    Ok(noted.events.len())
}

/// What is paid is granted, and what is reversed is taken back: that first, so that nothing can be
/// spent in between. The wallet remembers it until the grant comes.
pub async fn complete(app: &App, id: PurchaseId) -> Result<()> {
    follow(app, id).await?;
    fulfil(app, id).await
}

/// Lets the wallet follow the purchase: its reversal, and whether it is disputed. Whoever changes the
/// purchase looks again afterwards, so that the last word is always that of the purchase.
async fn follow(app: &App, id: PurchaseId) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let purchase = app.store.load::<Purchase>(id).await?;
        let (Some(order), Some(payment)) = (purchase.order(), purchase.payment()) else {
            return Ok(());
        };
        if purchase.reversals() == 0 {
            return Ok(());
        }
        let reversed_minor = purchase.reversal().reversed_minor;
        let group = ReversalGroup(id.0);
        let paid_minor = payment.paid.amount_minor;
        let ask = wallet::Ask::SetReversalTarget { group, reversed_minor, paid_minor };
        let position = freezing::ask(app, order.user, ask).await?;
        freezing::follow(app, order.user, position).await?;
        if app.store.load::<Purchase>(id).await?.reversals() == purchase.reversals() {
            return Ok(());
        }
    }
    warn!(purchase.id = %id, "a purchase changes all the time; its wallet follows later");
    Err(Problem::busy("the purchase changes all the time; try again"))
}
