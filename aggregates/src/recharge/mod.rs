//! Auto-recharge: a pack is bought by a saved card when a wallet runs low, as its owner agreed.
//!
//! A recharge is caused by a spend that leaves less than the threshold, not by the balance alone:
//! turning it on charges nothing, nor does raising the threshold. Each that succeeds uses up the
//! spends before it; one that was declined does not, so that a wallet with nothing left to spend is
//! tried again when its time has come.

mod command;
mod error;
mod event;
mod terms;
#[cfg(test)]
mod tests;

pub use command::{Ask, RechargeCommand};
pub use error::RechargeError;
pub use event::RechargeEvent;
pub use terms::{CallOff, Charged, Consent, Finality, Flight, Need, OffReason, Terms};

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::id::PurchaseId;
use crate::purchase::Order;
use terms::{BACK_OFF, COOL_DOWN};

/// What the next decision about a person's auto-recharge needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recharge {
    /// None while it is off.
    terms: Option<Terms>,
    /// The version of what the person agreed to.
    wording: String,
    /// How many recharges began.
    number: u32,
    flight: Option<Flight>,
    /// How often in a row the card was declined, and when last.
    declines: u32,
    declined_at: Option<DateTime<Utc>>,
    /// None begins before.
    ready_at: Option<DateTime<Utc>>,
    /// Spends up to this position of the log cause none.
    after: i64,
    charged: Option<Charged>,
}

impl Recharge {
    /// On which terms; none while it is off.
    #[must_use]
    pub fn terms(&self) -> Option<&Terms> {
        self.terms.as_ref()
    }

    /// How many recharges began.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The recharge whose end is not known.
    #[must_use]
    pub fn flight(&self) -> Option<&Flight> {
        self.flight.as_ref()
    }

    /// When another may follow, were the card declined now; none where it would be turned off, or is.
    /// A card is left alone for longer and longer, and then for good.
    #[must_use]
    pub fn ready_after_decline(
        &self,
        finality: Finality,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        self.terms.as_ref()?;
        let pause = match finality {
            Finality::ForNow => BACK_OFF.get(usize::try_from(self.declines).ok()?)?,
            Finality::ForGood => return None,
        };
        Some(now + *pause)
    }

    /// The rules, one row each. Pure: same state, same command, same answer.
    fn decide(&self, command: RechargeCommand) -> Result<Vec<RechargeEvent>, RechargeError> {
        use RechargeEvent as E;
        let RechargeCommand { now: at, ask } = command;
        let flight = self.flight_of(&ask)?;
        match (ask, flight) {
            (Ask::TurnOn { terms, consent, card_since, .. }, _)
                if self.is_on(&terms, &consent)
                    && (self.declined_at.is_none() || self.pause_of(card_since).0 > 0) =>
            {
                Ok(vec![])
            }
            (Ask::TurnOn { terms, consent, after, card_since }, _) => {
                terms.check()?;
                let (declines, ready_at) = self.pause_of(card_since);
                Ok(vec![E::TurnedOn { terms, consent, after, declines, ready_at, at }])
            }

            (Ask::TurnOff { .. }, _) if self.terms.is_none() => Ok(vec![]),
            (Ask::TurnOff { why }, _) => Ok(vec![E::TurnedOff { why, at }]),

            // What began already does not begin again.
            (Ask::Trigger { number, .. }, _) if number <= self.number => Ok(vec![]),
            (Ask::Trigger { number, purchase, order, need }, _) => {
                self.trigger(number, purchase, order, need, at)
            }

            // News of one that has ended.
            (
                Ask::RequireAuthentication { .. }
                | Ask::Succeed { .. }
                | Ask::Decline { .. }
                | Ask::Withdraw { .. },
                None,
            ) => Ok(vec![]),
            (Ask::RequireAuthentication { .. }, Some(flight)) if flight.waits_for_person => {
                Ok(vec![])
            }
            (Ask::RequireAuthentication { number }, Some(_)) => {
                Ok(vec![E::AuthenticationRequired { number, at }])
            }
            (Ask::Succeed { number }, Some(_)) => {
                Ok(vec![E::Succeeded { number, ready_at: at + COOL_DOWN, at }])
            }
            (Ask::Decline { code, finality, .. }, Some(flight)) => {
                Ok(self.decline(flight, code, finality, at))
            }
            (Ask::Withdraw { number, why }, Some(flight)) => {
                Ok(vec![E::Withdrawn { number, why, charged: self.without(flight, at), at }])
            }
        }
    }

    /// The recharge that is told of, where it has not ended.
    fn flight_of(&self, ask: &Ask) -> Result<Option<&Flight>, RechargeError> {
        match ask {
            Ask::TurnOn { .. } | Ask::TurnOff { .. } | Ask::Trigger { .. } => Ok(None),
            Ask::RequireAuthentication { number }
            | Ask::Succeed { number }
            | Ask::Decline { number, .. }
            | Ask::Withdraw { number, .. } => {
                if *number > self.number {
                    return Err(RechargeError::Unknown);
                }
                Ok(self.flight.as_ref().filter(|flight| flight.number == *number))
            }
        }
    }

    /// What is left of the pauses of a card that was kept at a time: turning it off and on again is no
    /// way around them, another card is.
    fn pause_of(&self, card_since: Option<DateTime<Utc>>) -> (u32, Option<DateTime<Utc>>) {
        match self.declined_at {
            // The pause after a success is for who spends without looking: they have looked now.
            None => (0, None),
            Some(declined_at) if card_since.is_some_and(|since| since > declined_at) => (0, None),
            // Where it is off since: nobody has said how long, and the longest is on the safe side.
            Some(declined_at) => {
                let [.., longest] = BACK_OFF;
                (self.declines, Some(self.ready_at.unwrap_or(declined_at + longest)))
            }
        }
    }

    fn is_on(&self, terms: &Terms, consent: &Consent) -> bool {
        self.terms.as_ref() == Some(terms) && self.wording == consent.wording
    }

    fn trigger(
        &self,
        number: u32,
        purchase: PurchaseId,
        order: Order,
        need: Need,
        at: DateTime<Utc>,
    ) -> Result<Vec<RechargeEvent>, RechargeError> {
        let Some(terms) = &self.terms else { return Err(RechargeError::Off) };
        if self.flight.is_some() {
            return Err(RechargeError::InFlight);
        }
        if number != self.number + 1 {
            return Err(RechargeError::Unknown);
        }
        if !terms.allow(&order) {
            return Err(RechargeError::Dearer);
        }
        if self.ready_at.is_some_and(|ready_at| at < ready_at) {
            return Err(RechargeError::TooSoon);
        }
        if need.available >= terms.threshold {
            return Err(RechargeError::Enough);
        }
        if need.spent <= self.after {
            return Err(RechargeError::NothingSpent);
        }
        let charged = Charged::now(self.charged, order.price.currency, at).with(order.price);
        let within =
            |charged: &Charged| charged.total.amount_minor <= terms.monthly_cap.amount_minor;
        let charged = charged.filter(within).ok_or(RechargeError::OverCap)?;
        let spent = need.spent;
        Ok(vec![RechargeEvent::Triggered { number, purchase, order, spent, charged, at }])
    }

    fn decline(
        &self,
        flight: &Flight,
        code: String,
        finality: Finality,
        at: DateTime<Utc>,
    ) -> Vec<RechargeEvent> {
        let ready_at = self.ready_after_decline(finality, at);
        let (number, declines) = (flight.number, self.declines + 1);
        let charged = self.without(flight, at);
        let news = RechargeEvent::Declined { number, code, declines, ready_at, charged, at };
        if ready_at.is_some() || self.terms.is_none() {
            return vec![news];
        }
        vec![news, RechargeEvent::TurnedOff { why: OffReason::Declined, at }]
    }

    /// What is charged in the month in which the recharge began, without it.
    fn without(&self, flight: &Flight, at: DateTime<Utc>) -> Charged {
        let price = flight.order.price;
        self.charged.map_or_else(|| Charged::now(None, price.currency, at), |it| it.without(price))
    }
}

impl Aggregate for Recharge {
    const TYPE: &'static str = "recharge";
    type Command = RechargeCommand;
    type Event = RechargeEvent;
    type Error = RechargeError;
    type Services = ();

    async fn handle(
        &mut self,
        command: RechargeCommand,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), RechargeError> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: RechargeEvent) {
        match event {
            RechargeEvent::TurnedOn { terms, consent, after, declines, ready_at, .. } => {
                (self.terms, self.wording, self.after) = (Some(terms), consent.wording, after);
                (self.declines, self.ready_at) = (declines, ready_at);
                self.declined_at = self.declined_at.filter(|_| declines > 0);
            }
            RechargeEvent::Triggered { number, purchase, order, spent, charged, at } => {
                (self.number, self.charged) = (number, Some(charged));
                let waits_for_person = false;
                self.flight = Some(Flight { number, purchase, order, spent, at, waits_for_person });
            }
            RechargeEvent::AuthenticationRequired { .. } => {
                if let Some(flight) = &mut self.flight {
                    flight.waits_for_person = true;
                }
            }
            RechargeEvent::Succeeded { ready_at, .. } => {
                (self.declines, self.declined_at, self.ready_at) = (0, None, Some(ready_at));
                let spent = self.flight.take().map_or(0, |flight| flight.spent);
                self.after = self.after.max(spent);
            }
            RechargeEvent::Declined { declines, ready_at, charged, at, .. } => {
                (self.declines, self.declined_at, self.ready_at) = (declines, Some(at), ready_at);
                (self.flight, self.charged) = (None, Some(charged));
            }
            RechargeEvent::Withdrawn { charged, .. } => {
                (self.flight, self.charged) = (None, Some(charged));
            }
            RechargeEvent::TurnedOff { .. } => self.terms = None,
        }
    }
}
