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
    /// Whether the card may be charged later without the person, who wants it so.
    pub keeps_card: bool,
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
    /// Whether it was opened before, by the same request.
    pub replayed: bool,
}

/// Orders a pack and opens Stripe's page for it. The same intent gets the same order and the same
/// page, however often and at once it is asked (T14): ids and Stripe's key derive from it.
pub async fn open(app: &App, wanted: Wanted) -> Result<Opened> {
    let Wanted { user, pack, keeps_card, intent, metadata } = wanted;
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
    let is_as_listed = purchase.order().is_some_and(|order| order.version == listing.version);
    if purchase.checkout().is_none() && !is_as_listed {
        let detail = "the pack has changed since: order it again, with a new Idempotency-Key";
        return Err(Problem::new(StatusCode::CONFLICT, "changed", detail));
    }
    let page = Page { id, customer: &customer, price: &listing.price, keeps_card };
    let (checkout, opened) = page.open(app, &purchase, metadata).await?;
    let position = opened.unwrap_or(position);
    app.wrote(user, position);
    Ok(Opened { id, checkout, position, replayed: false })
}

/// The page that was opened before.
async fn again(app: &App, id: PurchaseId, position: i64) -> Result<Opened> {
    let purchase = app.store.load::<Purchase>(id).await?;
    let session = purchase.checkout().ok_or_else(Problem::not_found)?;
    let checkout = stripe(app)?.checkout(session).await?;
    Ok(Opened { id, checkout, position, replayed: true })
}

/// Stripe's page for a purchase that was ordered.
pub(super) struct Page<'a> {
    /// The purchase.
    pub(super) id: PurchaseId,
    /// Whose customer of Stripe's.
    pub(super) customer: &'a str,
    /// Stripe's price.
    pub(super) price: &'a str,
    /// Whether the card may be charged later without the person.
    pub(super) keeps_card: bool,
}

impl Page<'_> {
    /// The purchase's page: opened where there is none, with the position of the event then.
    pub(super) async fn open(
        self,
        app: &App,
        purchase: &Purchase,
        metadata: Metadata,
    ) -> Result<(Checkout, Option<i64>)> {
        if let Some(session) = purchase.checkout() {
            return Ok((stripe(app)?.checkout(session).await?, None));
        }
        let Self { id, customer, price, keeps_card } = self;
        let page = &app.settings.public_url;
        let new = NewCheckout {
            customer,
            price,
            reference: &id.to_string(),
            metadata: Written::from([(PURCHASE.to_owned(), id.to_string())]),
            success_url: &format!("{page}/billing/return?purchase={id}"),
            cancel_url: &format!("{page}/billing/cancelled?purchase={id}"),
            expires_at: None,
            sells: Sells::Pack { keeps_card },
        };
        let checkout = stripe(app)?.create_checkout(&new, &format!("purchase/{id}")).await?;
        let (session, expires_at) = (checkout.id.clone(), checkout.expires_at);
        let ask = Ask::OpenCheckout { checkout: session, expires_at, keeps_card };
        let position = send(app, id, CommandId::derive(id.0, "checkout"), metadata, ask).await?;
        Ok((checkout, Some(position)))
    }
}

/// The pack as it is now.
pub(super) async fn order(app: &App, user: UserId, pack: PackId) -> Result<Order> {
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
