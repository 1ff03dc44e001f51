//! Packs and plans: made, changed and retired by administrators, and kept in step with Stripe's
//! products and prices.

use std::borrow::Borrow;

use aggregates::catalogue::{
    Ask, Interval, Listing, Offer, OfferCommand, OfferError, Pack, PackTerms, Plan, PlanTerms,
    Terms, Tier,
};
use aggregates::credits::Credits;
use aggregates::id::CommandId;
use aggregates::money::Money;
use uuid::Uuid;

use super::{by, stripe};
use crate::app::App;
use crate::clients::stripe::{
    self as client, Cadence, NewPrice, NewProduct, ProductChanges, StripeError,
};
use crate::clock;
use crate::error::{Problem, Result};
use crate::queue::{self, Job};
use crate::store::{Envelope, ExecuteError, Outcome, Stored};

/// What can be sold by Stripe: packs and plans.
pub trait Sold: Terms {
    /// Its offer, as the store keeps it.
    type Offer: Stored<Command = OfferCommand<Self>, Error = OfferError> + Borrow<Offer<Self>>;

    /// The job that lists one at Stripe.
    const LISTING: &'static str;

    /// How often it is paid; none for once.
    fn cadence(&self) -> Option<Cadence>;
}

impl Sold for PackTerms {
    type Offer = Pack;

    const LISTING: &'static str = queue::LIST_PACK;

    fn cadence(&self) -> Option<Cadence> {
        None
    }
}

impl Sold for PlanTerms {
    type Offer = Plan;

    const LISTING: &'static str = queue::LIST_PLAN;

    fn cadence(&self) -> Option<Cadence> {
        let interval = match self.interval {
            Interval::Month => client::Interval::Month,
            Interval::Year => client::Interval::Year,
        };
        Some(Cadence { interval, count: 1 })
    }
}

/// Puts the packs and plans on sale that there are from the start. What an administrator has made
/// of them since stays: each is made once.
pub async fn open_shop(app: &App) -> Result<()> {
    let usd = |amount_minor| -> Result<Money> {
        Ok(Money { amount_minor, currency: "usd".parse().map_err(Problem::failed)? })
    };
    for (name, credits, price) in [("Starter", 200, 900), ("Pro", 500, 1900)] {
        let terms = PackTerms {
            name: name.to_owned(),
            credits: Credits::new(credits),
            bonus: Credits::ZERO,
            price: usd(price)?,
            lasts_days: None,
        };
        first(app, terms).await?;
    }
    for (name, tier, quota, price) in
        [("Basic", Tier::Basic, 1_000, 900), ("Pro", Tier::Pro, 10_000, 2900)]
    {
        let terms = PlanTerms {
            name: name.to_owned(),
            tier,
            quota: Credits::new(quota),
            price: usd(price)?,
            interval: Interval::Month,
            rollover: Credits::ZERO,
            trial_days: 0,
        };
        first(app, terms).await?;
    }
    Ok(())
}

/// Puts an offer on sale that is there from the start; its id is that of its kind and name.
async fn first<T: Sold>(app: &App, terms: T) -> Result<()> {
    let id = Uuid::new_v5(&Uuid::nil(), format!("{} {}", T::TYPE, terms.name()).as_bytes());
    let envelope = Envelope::new(CommandId::derive(id, "first"), by("open_shop"));
    let command = OfferCommand { now: clock::now(), ask: Ask::Create { terms } };
    match app.store.execute::<T::Offer>(id, envelope, command).await {
        Ok(_) | Err(ExecuteError::Refused(OfferError::Exists)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Asks something of an offer, for an administrator.
pub async fn ask<T: Sold>(
    app: &App,
    id: Uuid,
    mut envelope: Envelope,
    ask: Ask<T>,
) -> Result<Outcome<T::Offer>> {
    let command = OfferCommand { now: clock::now(), ask };
    if app.stripe.is_some() {
        // With the event: whoever changes an offer does not wait for Stripe, and Stripe hears of it.
        envelope = envelope.with(Job::about(T::LISTING, &id.to_string()).row());
    }
    Ok(app.store.execute::<T::Offer>(id, envelope, command).await?)
}

/// Lists an offer at Stripe as it is now, where it is not; what it is listed as. The product keeps
/// our id; a price never changes there, so that other terms have another one, and the one before
/// sells nothing more.
pub async fn list<T: Sold>(app: &App, id: Uuid) -> Result<Listing> {
    let offer = app.store.load::<T::Offer>(id).await?;
    let offer: &Offer<T> = offer.borrow();
    let terms = offer.terms().ok_or_else(Problem::not_found)?;
    if let Some(listing) = offer.listing().filter(|_| offer.is_listed_as_it_is()) {
        return Ok(listing.clone());
    }
    let (stripe, version, active) = (stripe(app)?, offer.version(), offer.is_on_sale());
    let product = product::<T>(stripe, id, terms, version, active).await?;
    if let Some(known) = offer.listing().filter(|listing| listing.version == version) {
        let listing = Listing { active, ..known.clone() };
        return note::<T>(app, id, listing).await;
    }
    let price = NewPrice {
        product: &product,
        currency: &terms.price().currency.to_string(),
        unit_amount: terms.price().amount_minor,
        cadence: terms.cadence(),
        lookup_key: &format!("{}/{id}", T::TYPE),
        metadata: client::Metadata::from([("version".to_owned(), version.to_string())]),
    };
    let key = format!("{}/{id}/price/{version}", T::TYPE);
    let price = stripe.create_price(&price, &key).await?.id;
    if let Some(before) = offer.listing().filter(|listing| listing.price != price) {
        stripe.archive_price(&before.price, &format!("{}/archived", before.price)).await?;
    }
    note::<T>(app, id, Listing { product, price, version, active }).await
}

/// Notes as what Stripe lists an offer.
async fn note<T: Sold>(app: &App, id: Uuid, listing: Listing) -> Result<Listing> {
    let command = OfferCommand { now: clock::now(), ask: Ask::List { listing: listing.clone() } };
    let envelope = Envelope::once(by("list_offer"));
    app.store.execute::<T::Offer>(id, envelope, command).await?;
    let offer = app.store.load::<T::Offer>(id).await?;
    let offer: &Offer<T> = offer.borrow();
    // A price that nobody has noted stands for nothing: it is not sold.
    let is_noted = offer.listing() == Some(&listing);
    is_noted.then_some(listing).ok_or_else(|| Problem::busy("the offer was changed meanwhile"))
}

/// Stripe's product, with our id: made, or brought to what the offer is.
async fn product<T: Sold>(
    stripe: &client::Stripe,
    id: Uuid,
    terms: &T,
    version: u32,
    active: bool,
) -> Result<String> {
    let product = format!("{}_{}", T::TYPE, id.simple());
    let new = NewProduct {
        id: &product,
        name: terms.name(),
        description: None,
        metadata: client::Metadata::from([(T::TYPE.to_owned(), id.to_string())]),
    };
    match stripe.create_product(&new, &format!("{product}/made")).await {
        Ok(_) | Err(StripeError::Invalid { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let changes =
        ProductChanges { name: Some(terms.name()), description: None, active: Some(active) };
    let key = format!("{product}/{version}/{active}/{}", Uuid::now_v7());
    stripe.update_product(&product, &changes, &key).await?;
    Ok(product)
}

/// Lists at Stripe all that it does not list as it is. One that it refuses does not keep the others.
pub async fn list_all(app: &App) -> Result<()> {
    // What a server that starts has put on sale just now, too.
    app.reached("billing", app.store.head()).await?;
    let (packs, plans) = projections::billing::to_list(app.db()).await?;
    let mut listed = Ok(());
    for pack in packs {
        listed = listed.and(list::<PackTerms>(app, pack).await.map(drop));
    }
    for plan in plans {
        listed = listed.and(list::<PlanTerms>(app, plan).await.map(drop));
    }
    listed
}
