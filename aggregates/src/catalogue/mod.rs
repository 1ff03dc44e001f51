//! What is on sale: packs of credits, and plans with a quota. Both are offers, which an
//! administrator makes, changes and retires, and which Stripe lists.

mod command;
mod error;
mod event;
mod terms;
#[cfg(test)]
mod tests;

pub use command::{Ask, OfferCommand};
pub use error::OfferError;
pub use event::OfferEvent;
pub use terms::{Interval, Listing, PackTerms, PlanTerms, Terms, Tier};

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

/// A pack of credits that is or was on sale.
pub type Pack = Offer<PackTerms>;
/// A plan that is or was on sale.
pub type Plan = Offer<PlanTerms>;

/// What the next decision about an offer needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer<T> {
    terms: Option<T>,
    /// How often the terms were set.
    version: u32,
    retired: bool,
    listing: Option<Listing>,
}

impl<T> Default for Offer<T> {
    fn default() -> Self {
        Self { terms: None, version: 0, retired: false, listing: None }
    }
}

impl<T: Terms> Offer<T> {
    /// What it is; none before it is made.
    #[must_use]
    pub fn terms(&self) -> Option<&T> {
        self.terms.as_ref()
    }

    /// How often the terms were set.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether it can be bought.
    #[must_use]
    pub fn is_on_sale(&self) -> bool {
        self.terms.is_some() && !self.retired
    }

    /// As what Stripe lists it, the newest that is known.
    #[must_use]
    pub fn listing(&self) -> Option<&Listing> {
        self.listing.as_ref()
    }

    /// Whether Stripe lists it on the terms and in the state that it has now.
    #[must_use]
    pub fn is_listed_as_it_is(&self) -> bool {
        self.listing.as_ref().is_some_and(|listing| {
            listing.version == self.version && listing.active == self.is_on_sale()
        })
    }

    /// The rules, one row each. Pure: same state, same command, same answer.
    fn decide(&self, command: OfferCommand<T>) -> Result<Vec<OfferEvent<T>>, OfferError> {
        let OfferCommand { now: at, ask } = command;
        match (ask, &self.terms) {
            (Ask::Create { terms }, None) => {
                terms.check()?;
                Ok(vec![OfferEvent::Created { terms, at }])
            }
            (Ask::Create { .. }, Some(_)) => Err(OfferError::Exists),
            (_, None) => Err(OfferError::Unknown),

            (Ask::Change { instead_of: Some(read), .. }, Some(_)) if read != self.version => {
                Err(OfferError::Moved)
            }
            (Ask::Change { terms, .. }, Some(known)) if terms == *known => Ok(vec![]),
            (Ask::Change { terms, .. }, Some(_)) => {
                terms.check()?;
                Ok(vec![OfferEvent::Changed { terms, at }])
            }
            (Ask::Retire, Some(_)) if self.retired => Ok(vec![]),
            (Ask::Retire, Some(_)) => Ok(vec![OfferEvent::Retired { at }]),
            (Ask::Restore, Some(_)) if !self.retired => Ok(vec![]),
            (Ask::Restore, Some(_)) => Ok(vec![OfferEvent::Restored { at }]),
            (Ask::List { listing }, Some(_)) if self.listing.as_ref() == Some(&listing) => {
                Ok(vec![])
            }
            // Listed while the terms changed: what follows the change will list it anew.
            (Ask::List { listing }, Some(_)) if listing.version < self.version => Ok(vec![]),
            (Ask::List { listing }, Some(_)) => Ok(vec![OfferEvent::Listed { listing, at }]),
        }
    }
}

impl<T: Terms> Aggregate for Offer<T> {
    const TYPE: &'static str = T::TYPE;
    type Command = OfferCommand<T>;
    type Event = OfferEvent<T>;
    type Error = OfferError;
    type Services = ();

    async fn handle(
        &mut self,
        command: OfferCommand<T>,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), OfferError> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: OfferEvent<T>) {
        match event {
            OfferEvent::Created { terms, .. } | OfferEvent::Changed { terms, .. } => {
                self.terms = Some(terms);
                self.version += 1;
            }
            OfferEvent::Retired { .. } => self.retired = true,
            OfferEvent::Restored { .. } => self.retired = false,
            OfferEvent::Listed { listing, .. } => self.listing = Some(listing),
        }
    }
}
