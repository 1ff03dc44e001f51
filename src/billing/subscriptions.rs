//! Whatever became of a subscription at Stripe follows here: how it stands, its invoices and what
//! they bring, in whatever order and however often it is told.

use aggregates::id::{CommandId, ReversalGroup, SubscriptionId, UserId, WalletId};
use aggregates::subscription::{
    Ask, InvoiceState, PlanVersion, Status, Subscription, SubscriptionCommand, SubscriptionError,
    Tranche, group_of,
};
use aggregates::wallet::{self, Wallet, WalletCommand};
use tracing::{error, warn};

use super::{ATTEMPTS, STRIPE, by, freezing, reading, refunds, reversals, stripe, subscribers};
use crate::app::App;
use crate::clients::stripe::{Metadata as Written, NewRefund};
use crate::clock;
use crate::error::{Problem, Result};
use crate::store::{Envelope, ExecuteError, Outcome};

/// What Stripe's objects call the subscription that they are for.
pub const SUBSCRIPTION: &str = "subscription";
/// So many invoices that were paid last are looked at for refunds and disputes, whatever is told:
/// those of others are told of when they are made.
const RECENT: usize = 2;

/// Brings a subscription to how it stands at Stripe, and what it brings with it. One that is not of
/// ours is passed over.
pub async fn settle(app: &App, stripe_id: &str) -> Result<()> {
    match id_of(app, stripe_id).await? {
        Some(id) => settle_ours(app, id, stripe_id).await,
        None => Ok(()),
    }
}

/// The same for what an invoice is for, where it is for a subscription.
pub async fn invoice(app: &App, invoice: &str) -> Result<()> {
    match stripe(app)?.invoice(invoice).await?.subscription {
        Some(subscription) => settle(app, &subscription).await,
        None => Ok(()),
    }
}

async fn settle_ours(app: &App, id: SubscriptionId, stripe_id: &str) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let known = app.store.load::<Subscription>(id).await?;
        let (after, Some(plan)) = (known.readings(), plan_of(&known)) else { return Ok(()) };
        let (standing, invoices) = reading::read(app, stripe_id, plan).await?;
        let ask = Ask::Sync { stripe: stripe_id.to_owned(), standing, invoices, after };
        match send(app, id, ask).await {
            // It is as it was read.
            Ok(outcome) if outcome.events.is_empty() => return follow(app, id).await,
            // What was noted may be older than what somebody else has read meanwhile and found to
            // be as it was known before: it is read until nothing changes.
            Ok(_) | Err(ExecuteError::Refused(SubscriptionError::Moved)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    follow(app, id).await?;
    Err(Problem::busy("the subscription changes all the time; try again"))
}

/// The plan that it had last.
fn plan_of(known: &Subscription) -> Option<&PlanVersion> {
    known.standing().map(|standing| &standing.plan).or(known.order().map(|order| &order.plan))
}

/// Our own id of what Stripe has under this one.
pub(super) async fn id_of(app: &App, stripe_id: &str) -> Result<Option<SubscriptionId>> {
    if let Some(id) = projections::billing::by_stripe(app.db(), stripe_id).await? {
        return Ok(Some(id.into()));
    }
    let subscription = stripe(app)?.subscription(stripe_id).await?;
    let id = subscription.metadata.get(SUBSCRIPTION).and_then(|id| id.parse().ok());
    let Some(id) = id else { return Ok(None) };
    if app.store.load::<Subscription>(id).await?.status() == Status::Nothing {
        error!(subscription.id = %id, "Stripe knows a subscription that is not in the log");
        return Ok(None);
    }
    Ok(Some(id))
}

/// What follows from how a subscription stands. Reversals come before what they reverse is granted,
/// so that nothing can be spent in between.
async fn follow(app: &App, id: SubscriptionId) -> Result<()> {
    let subscription = app.store.load::<Subscription>(id).await?;
    let (position, Some(order)) = (app.store.head(), subscription.order()) else { return Ok(()) };
    app.wrote(order.user, position);
    for invoice in subscription.paid().iter().rev().take(RECENT) {
        reverse(app, id, &invoice.id).await?;
    }
    complete(app, id).await?;
    freezing::follow(app, order.user, position).await
}

/// Whether it counts: one that begins beside another does not, and is ended.
async fn counts(app: &App, id: SubscriptionId) -> Result<bool> {
    let subscription = app.store.load::<Subscription>(id).await?;
    let Some(order) = subscription.order() else { return Ok(false) };
    let is_beside = !subscription.is_duplicate()
        && subscription.status().is_live()
        && !subscribers::has_place(app, order.user, id).await?;
    if is_beside {
        send(app, id, Ask::MarkDuplicate).await?;
    }
    Ok(!is_beside && !subscription.is_duplicate())
}

/// Releases what is due of the quota, and puts it into the wallet, once. Whoever does that asks first
/// whether the subscription counts: whoever heard of it may have died before they asked.
pub async fn complete(app: &App, id: SubscriptionId) -> Result<()> {
    if !counts(app, id).await? {
        return give_up(app, id).await;
    }
    send(app, id, Ask::Release { id }).await?;
    let subscription = app.store.load::<Subscription>(id).await?;
    let Some(order) = subscription.order() else { return Ok(()) };
    let mut grants = vec![];
    for tranche in subscription.awaited() {
        let invoice = subscription.invoices().iter().find(|known| known.id == tranche.invoice);
        let plan = invoice.and_then(|invoice| Some(&invoice.brings()?.plan));
        grant(app, order.user, tranche, plan.unwrap_or(&order.plan)).await?;
        grants.push(tranche.grant.id);
    }
    if !grants.is_empty() {
        let noted = send(app, id, Ask::NoteGranted { grants }).await?;
        app.wrote(order.user, noted.position);
    }
    Ok(())
}

/// Puts a tranche into the wallet, as quota of the plan that brought it.
async fn grant(app: &App, user: UserId, tranche: &Tranche, plan: &PlanVersion) -> Result<()> {
    let (mut grant, name) = (tranche.grant.clone(), &plan.terms.name);
    let (now, lasts) = (clock::now(), tranche.period.end - tranche.period.start);
    if grant.expires_at.is_some_and(|expires_at| expires_at <= now) {
        // Nobody was there for all of its time.
        grant.expires_at = now.checked_add_signed(lasts);
    }
    let carry = tranche.carry.clone().zip(grant.expires_at).map(|(carry, expires_at)| {
        let (from, most, funding) = (carry.from, carry.most, grant.funding.clone());
        wallet::Ask::CarryOver { from, most, expires_at, funding }
    });
    let id = grant.id;
    let ask = wallet::Ask::Grant { grant, reason: format!("quota of {name}") };
    for (purpose, ask) in [("grant", Some(ask)), ("carry over", carry)] {
        let Some(ask) = ask else { continue };
        let envelope = Envelope::new(CommandId::derive(id.0, purpose), by(STRIPE));
        let command = WalletCommand { now: clock::now(), ask };
        let outcome = app.store.execute::<Wallet>(WalletId::from(user), envelope, command).await?;
        app.wrote(user, outcome.position);
    }
    Ok(())
}

/// Brings what of an invoice's payment is reversed to what it is now, here and in the wallet.
async fn reverse(app: &App, id: SubscriptionId, invoice: &str) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let subscription = app.store.load::<Subscription>(id).await?;
        let after = subscription.reversals(invoice);
        let known = subscription.invoices().iter().find(|known| known.id == invoice);
        let Some(known) = known.filter(|known| known.state == InvoiceState::Paid) else {
            return Ok(());
        };
        let mut payments = vec![];
        for intent in &known.intents {
            payments.push(stripe(app)?.payment(intent).await?);
        }
        let reversal = reversals::of(&payments, known.paid_minor);
        let ask = Ask::SetReversal { invoice: invoice.to_owned(), reversal, after };
        match send(app, id, ask).await {
            // It is as it was read.
            Ok(outcome) if outcome.events.is_empty() => return take_back(app, id, invoice).await,
            // What was noted may be older than what somebody else has noted: see `settle::payment`.
            Ok(_) | Err(ExecuteError::Refused(SubscriptionError::Moved)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::busy("the invoice changes all the time; try again"))
}

/// Lets the wallet follow what of an invoice is reversed; looks again afterwards, so that the last
/// word is always that of the subscription.
async fn take_back(app: &App, id: SubscriptionId, invoice: &str) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let subscription = app.store.load::<Subscription>(id).await?;
        let known = subscription.invoices().iter().find(|known| known.id == invoice);
        let (Some(order), Some(known)) = (subscription.order(), known) else { return Ok(()) };
        let (times, paid_minor) = (subscription.reversals(invoice), known.paid_minor);
        if times == 0 || paid_minor < 1 {
            return Ok(());
        }
        let reversed_minor = subscription.reversal(invoice).reversed_minor;
        let group = group_of(id, invoice);
        set_target(app, order.user, group, (reversed_minor, paid_minor)).await?;
        let whole = if reversed_minor == paid_minor { paid_minor } else { 0 };
        set_target(app, order.user, group.of_carried(), (whole, paid_minor)).await?;
        if app.store.load::<Subscription>(id).await?.reversals(invoice) == times {
            return Ok(());
        }
    }
    warn!(subscription.id = %id, "an invoice changes all the time; its wallet follows later");
    Err(Problem::busy("the invoice changes all the time; try again"))
}

async fn set_target(
    app: &App,
    user: UserId,
    group: ReversalGroup,
    (reversed_minor, paid_minor): (i64, i64),
) -> Result<()> {
    let ask = wallet::Ask::SetReversalTarget { group, reversed_minor, paid_minor };
    freezing::ask(app, user, ask).await.map(drop)
}

/// Brings the invoice that a payment is for to what the payment is now; whether there is one.
pub(super) async fn payment(app: &App, intent: &str, customer: Option<&str>) -> Result<bool> {
    let mut found = projections::billing::invoice_paid_by(app.db(), intent).await?;
    if found.is_none() {
        found = look_for(app, intent, customer).await?.map(|(id, invoice)| (id.0, invoice));
    }
    let Some((id, invoice)) = found else { return Ok(false) };
    let id = SubscriptionId(id);
    let subscription = app.store.load::<Subscription>(id).await?;
    let is_paid = subscription.paid().iter().any(|paid| paid.id == invoice);
    if let Some(stripe_id) = subscription.stripe().filter(|_| !is_paid) {
        settle_ours(app, id, stripe_id).await?;
    }
    reverse(app, id, &invoice).await?;
    complete(app, id).await?;
    if let Some(order) = subscription.order() {
        freezing::follow(app, order.user, app.store.head()).await?;
    }
    Ok(true)
}

/// A payment may be refunded before anybody has heard of its invoice: the customer's subscriptions
/// are brought to how they stand, and then it is known, or is of something else.
async fn look_for(
    app: &App,
    intent: &str,
    customer: Option<&str>,
) -> Result<Option<(SubscriptionId, String)>> {
    let Some(customer) = customer else { return Ok(None) };
    for subscription in stripe(app)?.subscriptions(customer).await? {
        let Some(id) = id_of(app, &subscription.id).await? else { continue };
        settle_ours(app, id, &subscription.id).await?;
        let known = app.store.load::<Subscription>(id).await?;
        let mut invoices = known.invoices().iter();
        let paid = invoices.find(|invoice| invoice.intents.iter().any(|known| known == intent));
        if let Some(invoice) = paid {
            return Ok(Some((id, invoice.id.clone())));
        }
    }
    Ok(None)
}

/// Ends a subscription that the person has beside another one, and gives back what was paid for it.
async fn give_up(app: &App, id: SubscriptionId) -> Result<()> {
    let subscription = app.store.load::<Subscription>(id).await?;
    let (Some(stripe_id), stripe) = (subscription.stripe(), stripe(app)?) else { return Ok(()) };
    if subscription.status().is_live() {
        error!(subscription.id = %id, "a person has subscribed twice: the second one is ended");
        stripe.cancel_now(stripe_id).await?;
    }
    for invoice in subscription.paid() {
        for intent in &invoice.intents {
            let paid = stripe.payment(intent).await?;
            if refunds::left(&paid) < 1 || paid.disputes.iter().any(reversals::is_open) {
                continue;
            }
            let metadata = Written::from([(SUBSCRIPTION.to_owned(), id.to_string())]);
            let refund = NewRefund { intent, amount: None, metadata };
            refunds::create(app, &refund, &format!("subscription/{id}/refund/{intent}")).await?;
        }
        reverse(app, id, &invoice.id).await?;
    }
    Ok(())
}

/// Asks something of a subscription.
pub(super) async fn send(
    app: &App,
    id: SubscriptionId,
    ask: Ask,
) -> Result<Outcome<Subscription>, ExecuteError<SubscriptionError>> {
    let command = SubscriptionCommand { now: clock::now(), ask };
    app.store.execute::<Subscription>(id, Envelope::once(by(STRIPE)), command).await
}
