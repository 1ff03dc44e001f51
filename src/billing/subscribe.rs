//! Subscribing to a plan: the order, and Stripe's page that asks for the payment.

use aggregates::catalogue::{Plan, PlanTerms};
use aggregates::id::{CommandId, PlanId, SubscriptionId, UserId};
use aggregates::subscription::{
    Ask, Order, PlanVersion, Status, Subscription, SubscriptionCommand,
};
use axum::http::StatusCode;
use uuid::Uuid;

use super::subscriptions::{self, SUBSCRIPTION};
use super::{STRIPE, by, customers, offers, stripe, subscribers};
use crate::app::App;
use crate::clients::stripe::{
    Checkout, CheckoutStatus, Metadata as Written, NewCheckout, Sells, StripeError,
};
use crate::clock;
use crate::error::{Problem, Result};
use crate::store::{Envelope, Metadata};

/// What somebody wants to subscribe to.
pub struct Wanted {
    /// Who subscribes.
    pub user: UserId,
    /// To which plan.
    pub plan: PlanId,
    /// Where the ids of the subscription derive from: the same is ordered once.
    pub intent: Uuid,
    /// What stands beside the events.
    pub metadata: Metadata,
}

/// A subscription that waits for its payment.
pub struct Opened {
    /// The subscription.
    pub id: SubscriptionId,
    /// Stripe's checkout, with the page to go to.
    pub checkout: Checkout,
    /// The position of the last event.
    pub position: i64,
    /// Whether it was opened before, by the same request.
    pub replayed: bool,
}

/// Orders a subscription and opens Stripe's page for it, where the person has none that runs. The
/// same intent gets the same order and the same page, however often and at once it is asked.
pub async fn open(app: &App, wanted: Wanted) -> Result<Opened> {
    let Wanted { user, plan, intent, metadata } = wanted;
    let id = SubscriptionId::derive(intent, "subscription");
    let creating = Envelope::new(CommandId::derive(id.0, "create"), metadata.clone());
    // What was ordered once is ordered, whatever became of the plan since.
    let position = match app.store.known::<Subscription>(id, &creating).await? {
        Some(known) => known.position,
        None => order(app, id, user, plan, metadata.clone()).await?,
    };
    let subscription = app.store.load::<Subscription>(id).await?;
    if let Some(session) = subscription.checkout() {
        let checkout = stripe(app)?.checkout(session).await?;
        return Ok(Opened { id, checkout, position, replayed: true });
    }
    let Some(order) = subscription.order() else { return Err(Problem::not_found()) };
    if subscribers::running(app, user).await?.is_some() {
        return Err(subscribed());
    }
    let checkout = checkout(app, id, order).await?;
    let ask = Ask::OpenCheckout { checkout: checkout.id.clone(), expires_at: checkout.expires_at };
    let position = send(app, id, CommandId::derive(id.0, "checkout"), metadata, ask).await?;
    app.wrote(user, position);
    Ok(Opened { id, checkout, position, replayed: false })
}

async fn order(
    app: &App,
    id: SubscriptionId,
    user: UserId,
    plan: PlanId,
    metadata: Metadata,
) -> Result<i64> {
    let plan = on_sale(app, plan).await?;
    leave_others(app, user, id).await?;
    if subscribers::running(app, user).await?.is_some() {
        return Err(subscribed());
    }
    let ask = Ask::Create { order: Order { user, plan } };
    let position = send(app, id, CommandId::derive(id.0, "create"), metadata, ask).await?;
    app.wrote(user, position);
    Ok(position)
}

/// A plan as it is now, where it can be subscribed to.
pub(super) async fn on_sale(app: &App, plan: PlanId) -> Result<PlanVersion> {
    let offer = app.store.load::<Plan>(plan).await?;
    let terms = offer.terms().ok_or_else(Problem::not_found)?.clone();
    if !offer.is_on_sale() {
        let detail = "the plan is sold no more";
        return Err(Problem::new(StatusCode::CONFLICT, "retired", detail));
    }
    Ok(PlanVersion { plan, version: offer.version(), terms })
}

fn subscribed() -> Problem {
    let detail = "there is a subscription: change its plan instead, or let it end first";
    Problem::new(StatusCode::CONFLICT, "subscribed", detail)
}

/// Whoever orders again has left what they ordered before: its page is closed, so that nobody pays
/// for two. One that was finished meanwhile begins.
async fn leave_others(app: &App, user: UserId, id: SubscriptionId) -> Result<()> {
    app.caught_up("billing", user, None).await?;
    for other in projections::billing::ordered(app.db(), user.0).await? {
        let (other, session) = (SubscriptionId(other.subscription_id), other.checkout);
        let Some(session) = session.filter(|_| other != id) else { continue };
        let key = format!("subscription/{other}/left");
        let left = match stripe(app)?.expire_checkout(&session, &key).await {
            Ok(left) => left,
            Err(StripeError::Invalid { .. }) => stripe(app)?.checkout(&session).await?,
            Err(error) => return Err(error.into()),
        };
        settle(app, &left).await?;
    }
    Ok(())
}

/// Stripe's page, for the price that the order was made at.
async fn checkout(app: &App, id: SubscriptionId, order: &Order) -> Result<Checkout> {
    let listing = offers::list::<PlanTerms>(app, order.plan.plan.0).await?;
    if listing.version != order.plan.version {
        let detail = "the plan has changed since: subscribe again, with a new Idempotency-Key";
        return Err(Problem::new(StatusCode::CONFLICT, "changed", detail));
    }
    let customer = customers::of(app, order.user).await?;
    let trial_days = match order.plan.terms.trial_days {
        0 => None,
        days => subscribers::has_trial(app, order.user, id).await?.then_some(days),
    };
    let page = &app.settings.public_url;
    let new = NewCheckout {
        customer: &customer,
        price: &listing.price,
        reference: &id.to_string(),
        metadata: Written::from([(SUBSCRIPTION.to_owned(), id.to_string())]),
        success_url: &format!("{page}/billing/return?subscription={id}"),
        cancel_url: &format!("{page}/billing/cancelled?subscription={id}"),
        expires_at: None,
        sells: Sells::Plan { trial_days },
    };
    match stripe(app)?.create_checkout(&new, &format!("subscription/{id}")).await {
        // Stripe did not open it, and will not under this key.
        Err(
            error @ (StripeError::Invalid { .. } | StripeError::NotFound | StripeError::Refused),
        ) => {
            subscribers::give_trial_back(app, order.user, id).await?;
            Err(error.into())
        }
        opened => Ok(opened?),
    }
}

/// Brings the subscription of a checkout session to what the session is now.
pub(super) async fn settle(app: &App, session: &Checkout) -> Result<()> {
    if let Some(subscription) = &session.subscription {
        return subscriptions::settle(app, subscription).await;
    }
    let id = session.client_reference_id.as_deref().and_then(|id| id.parse().ok());
    let Some(id) = id.filter(|_| session.status == CheckoutStatus::Expired) else { return Ok(()) };
    if app.store.load::<Subscription>(id).await?.status() == Status::Nothing {
        return Ok(());
    }
    send(app, id, CommandId(Uuid::now_v7()), by(STRIPE), Ask::Abandon).await.map(drop)
}

async fn send(
    app: &App,
    id: SubscriptionId,
    command: CommandId,
    metadata: Metadata,
    ask: Ask,
) -> Result<i64> {
    let command =
        (Envelope::new(command, metadata), SubscriptionCommand { now: clock::now(), ask });
    Ok(app.store.execute::<Subscription>(id, command.0, command.1).await?.position)
}
