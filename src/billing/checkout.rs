//! Buying a pack: the order, and Stripe's page that asks for the payment.

use aggregates::catalogue::{Pack, PackTerms};
use aggregates::id::{CommandId, PackId, PurchaseId, UserId};
use aggregates::purchase::{Ask, Order, Purchase, PurchaseCommand};
use axum::http::StatusCode;
use uuid::Uuid;

use super::{customers, offers, stripe};
use crate::app::App;
use crate::clients::stripe::{Checkout, Metadata as Written, NewCheckout, Sells};
use crate::clock;
use crate::error::{Problem, Result};
use crate::store::{Envelope, Metadata};

/// What Stripe's objects call the purchase that they are for.
pub const PURCHASE: &str = "purchase";

/// What somebody wants to buy.
pub struct Wanted {
    /// Who buys.
    pub user: UserId,
    /// Which pack.
    pub pack: PackId,
    /// Where the ids of the purchase derive from: the same is ordered once.
    pub intent: Uuid,
    /// What stands beside the events.
    pub metadata: Metadata,
}

/// A purchase that waits for its payment.
pub struct Opened {
    /// The purchase.
    pub id: PurchaseId,
    /// Stripe's checkout, with the page to go to.
    pub checkout: Checkout,
    /// The position of the last event.
    pub position: i64,
}

/// Orders a pack and opens Stripe's page for it. The same intent gets the same order and the same
/// page, however often and at once it is asked (T14): ids and Stripe's key derive from it.
pub async fn open(app: &App, wanted: Wanted) -> Result<Opened> {
    let Wanted { user, pack, intent, metadata } = wanted;
    let id = PurchaseId::derive(intent, "purchase");
    let opening = Envelope::new(CommandId::derive(id.0, "checkout"), metadata.clone());
    // What was answered once is answered again, whatever became of the pack since.
    if let Some(known) = app.store.known::<Purchase>(id, &opening).await? {
        return again(app, id, known.position).await;
    }
    let listing = offers::list::<PackTerms>(app, pack.0).await?;
    let customer = customers::of(app, user).await?;
    let ask = Ask::Create { order: order(app, user, pack).await? };
    let created = CommandId::derive(id.0, "create");
    let position = send(app, id, created, metadata.clone(), ask).await?;
    // Where it was ordered before, it is what was ordered then.
    let purchase = app.store.load::<Purchase>(id).await?;
    if purchase.checkout().is_some() {
        return again(app, id, position).await;
    }
    if purchase.order().is_none_or(|order| order.version != listing.version) {
        let detail = "the pack has changed since: order it again, with a new Idempotency-Key";
        return Err(Problem::new(StatusCode::CONFLICT, "changed", detail));
    }
    let checkout = ask_stripe(app, id, &customer, &listing.price).await?;
    let ask = Ask::OpenCheckout { checkout: checkout.id.clone(), expires_at: checkout.expires_at };
    let position = send(app, id, opening.command_id, metadata, ask).await?;
    app.wrote(user, position);
    Ok(Opened { id, checkout, position })
}

/// The page that was opened before.
async fn again(app: &App, id: PurchaseId, position: i64) -> Result<Opened> {
    let purchase = app.store.load::<Purchase>(id).await?;
    let session = purchase.checkout().ok_or_else(Problem::not_found)?;
    let checkout = stripe(app)?.checkout(session).await?;
    Ok(Opened { id, checkout, position })
}

/// Stripe's page for a purchase: one for however many ask.
async fn ask_stripe(app: &App, id: PurchaseId, customer: &str, price: &str) -> Result<Checkout> {
    let page = &app.settings.public_url;
    let new = NewCheckout {
        customer,
        price,
        reference: &id.to_string(),
        metadata: Written::from([(PURCHASE.to_owned(), id.to_string())]),
        success_url: &format!("{page}/billing/return?purchase={id}"),
        cancel_url: &format!("{page}/billing/cancelled?purchase={id}"),
        expires_at: None,
        sells: Sells::Pack { keeps_card: false },
    };
    Ok(stripe(app)?.create_checkout(&new, &format!("purchase/{id}")).await?)
}

/// The pack as it is now.
async fn order(app: &App, user: UserId, pack: PackId) -> Result<Order> {
    let offer = app.store.load::<Pack>(pack).await?;
    let terms = offer.terms().ok_or_else(Problem::not_found)?;
    if !offer.is_on_sale() {
        let detail = "the pack is sold no more";
        return Err(Problem::new(StatusCode::CONFLICT, "retired", detail));
    }
    Ok(Order {
        user,
        pack,
        version: offer.version(),
        name: terms.name.clone(),
        credits: terms.credits,
        bonus: terms.bonus,
        price: terms.price,
        lasts_days: terms.lasts_days,
    })
}

/// Asks something of a purchase; the position of the event.
pub(super) async fn send(
    app: &App,
    id: PurchaseId,
    command: CommandId,
    metadata: Metadata,
    ask: Ask,
) -> Result<i64> {
    let command = (Envelope::new(command, metadata), PurchaseCommand { now: clock::now(), ask });
    let outcome = app.store.execute::<Purchase>(id, command.0, command.1).await?;
    Ok(outcome.position)
}
