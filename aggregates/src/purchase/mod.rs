//! A purchase of a pack: the order as it was made, its payment, and what of that was reversed.

mod command;
mod error;
mod event;
mod terms;
#[cfg(test)]
mod tests;

pub use command::{Ask, PurchaseCommand};
pub use error::PurchaseError;
pub use event::PurchaseEvent;
pub use terms::{Order, Payment, Stage};

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::id::{GrantId, PurchaseId, ReversalGroup};
use crate::money::Reversal;
use crate::wallet::{Funding, GrantKind, GrantTerms, Priority};

/// What the next decision about a purchase needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Purchase {
    stage: Stage,
    order: Option<Order>,
    checkout: Option<String>,
    keeps_card: bool,
    payment: Option<Payment>,
    paid_at: Option<DateTime<Utc>>,
    reversal: Reversal,
    /// How often that changed.
    reversals: u32,
}

impl Purchase {
    /// Where it is in its life.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// What was ordered; none before it is.
    #[must_use]
    pub fn order(&self) -> Option<&Order> {
        self.order.as_ref()
    }

    /// Stripe's checkout session.
    #[must_use]
    pub fn checkout(&self) -> Option<&str> {
        self.checkout.as_deref()
    }

    /// Whether the card may be charged later without the person.
    #[must_use]
    pub fn keeps_card(&self) -> bool {
        self.keeps_card
    }

    /// What was paid.
    #[must_use]
    pub fn payment(&self) -> Option<&Payment> {
        self.payment.as_ref()
    }

    /// What of the payment is reversed.
    #[must_use]
    pub fn reversal(&self) -> Reversal {
        self.reversal
    }

    /// Whether all that was paid is reversed.
    #[must_use]
    pub fn is_given_back(&self) -> bool {
        let paid = self.payment.as_ref().map(|payment| payment.paid.amount_minor);
        paid == Some(self.reversal.reversed_minor)
    }

    /// How often what is reversed has changed: whoever notes what they have read names the count from
    /// before they read it.
    #[must_use]
    pub fn reversals(&self) -> u32 {
        self.reversals
    }

    /// The grants that the payment is for, from the order as it was made; none before it is paid.
    /// Their ids derive from the purchase: however often they are granted, they are granted once.
    #[must_use]
    pub fn grants(&self, id: PurchaseId) -> Vec<GrantTerms> {
        let (Some(order), Some(paid_at)) = (&self.order, self.paid_at) else { return vec![] };
        if !matches!(self.stage, Stage::Paid | Stage::Fulfilled) {
            return vec![];
        }
        let lasts = order.lasts_days.map(|days| TimeDelta::days(days.into()));
        let grant = |purpose, kind, amount| GrantTerms {
            id: GrantId::derive(id.0, purpose),
            kind,
            amount,
            priority: Priority::default(),
            expires_at: lasts.and_then(|lasts| paid_at.checked_add_signed(lasts)),
            funding: Funding::Purchase(id.0),
            reversal_group: Some(ReversalGroup(id.0)),
        };
        let bought = grant("bought", GrantKind::Purchased, order.credits);
        let bonus = grant("bonus", GrantKind::Bonus, order.bonus);
        [bought, bonus].into_iter().filter(|grant| !grant.amount.is_zero()).collect()
    }

    /// The rules, one row each. Pure: same state, same command, same answer. Money that has come
    /// counts whatever was known before: a session that expired here may have been paid there.
    fn decide(&self, command: PurchaseCommand) -> Result<Vec<PurchaseEvent>, PurchaseError> {
        use PurchaseEvent as E;
        use Stage as S;
        let PurchaseCommand { now: at, ask } = command;
        match (ask, self.stage) {
            (Ask::Create { order }, S::Nothing) => Ok(vec![E::Created { order, at }]),
            (Ask::Create { order }, _) if self.order.as_ref() == Some(&order) => Ok(vec![]),
            (Ask::Create { .. }, _) => Err(PurchaseError::Exists),
            (_, S::Nothing) => Err(PurchaseError::Unknown),

            (Ask::OpenCheckout { checkout, expires_at, keeps_card }, S::Created) => {
                Ok(vec![E::CheckoutOpened { checkout, expires_at, keeps_card, at }])
            }
            (Ask::OpenCheckout { checkout, .. }, _)
                if self.checkout.as_ref() == Some(&checkout) =>
            {
                Ok(vec![])
            }
            (Ask::OpenCheckout { .. }, _) => Err(PurchaseError::CheckoutOpened),

            (Ask::AwaitPayment, S::Created | S::CheckoutOpened) => {
                Ok(vec![E::PaymentAwaited { at }])
            }
            (Ask::Fail, S::Created | S::CheckoutOpened | S::AwaitingPayment) => {
                Ok(vec![E::PaymentFailed { at }])
            }
            (Ask::Expire, S::Created | S::CheckoutOpened) => Ok(vec![E::Expired { at }]),
            // News of what is over, or was overtaken by the payment.
            (Ask::AwaitPayment | Ask::Fail | Ask::Expire, _) | (Ask::Fulfil, S::Fulfilled) => {
                Ok(vec![])
            }

            (Ask::Pay { payment }, _) => self.pay(payment, at),
            (Ask::Accept { reason }, S::Quarantined) => Ok(vec![E::Accepted { reason, at }]),
            (Ask::Accept { .. }, _) => Err(PurchaseError::NotQuarantined),
            (Ask::Refund { reason }, _) => self.refund(reason, at),
            (Ask::Fulfil, S::Paid) => Ok(vec![E::Fulfilled { at }]),
            (Ask::Fulfil, _) => Err(PurchaseError::NotPaid),
            (Ask::SetReversal { reversal, after }, _) => self.set_reversal(reversal, after, at),
        }
    }

    /// What was paid must be what was asked for; anything else is looked at by somebody.
    fn pay(
        &self,
        payment: Payment,
        at: DateTime<Utc>,
    ) -> Result<Vec<PurchaseEvent>, PurchaseError> {
        if let Some(known) = &self.payment {
            return if *known == payment { Ok(vec![]) } else { Err(PurchaseError::PaidAlready) };
        }
        let price = self.order.as_ref().map(|order| order.price);
        if price == Some(payment.paid) {
            Ok(vec![PurchaseEvent::Paid { payment, at }])
        } else {
            Ok(vec![PurchaseEvent::Quarantined { payment, at }])
        }
    }

    /// What a bank may take is not given back besides.
    fn refund(
        &self,
        reason: String,
        at: DateTime<Utc>,
    ) -> Result<Vec<PurchaseEvent>, PurchaseError> {
        if self.payment.is_none() {
            return Err(PurchaseError::NotPaid);
        }
        if self.reversal.disputed {
            return Err(PurchaseError::Disputed);
        }
        if self.is_given_back() {
            return Err(PurchaseError::GivenBack);
        }
        Ok(vec![PurchaseEvent::RefundRequested { reason, at }])
    }

    fn set_reversal(
        &self,
        reversal: Reversal,
        after: u32,
        at: DateTime<Utc>,
    ) -> Result<Vec<PurchaseEvent>, PurchaseError> {
        let Some(payment) = &self.payment else { return Err(PurchaseError::NotPaid) };
        let Reversal { refunded_minor, disputed_minor, reversed_minor, .. } = reversal;
        let paid = payment.paid.amount_minor;
        if refunded_minor < 0 || disputed_minor < 0 || !(0..=paid).contains(&reversed_minor) {
            return Err(PurchaseError::ReversalOutOfRange);
        }
        if reversal == self.reversal {
            return Ok(vec![]);
        }
        if after != self.reversals {
            return Err(PurchaseError::ReversalMoved);
        }
        Ok(vec![PurchaseEvent::ReversalSet { reversal, at }])
    }
}

impl Aggregate for Purchase {
    const TYPE: &'static str = "purchase";
    type Command = PurchaseCommand;
    type Event = PurchaseEvent;
    type Error = PurchaseError;
    type Services = ();

    async fn handle(
        &mut self,
        command: PurchaseCommand,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), PurchaseError> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: PurchaseEvent) {
        match event {
            PurchaseEvent::Created { order, .. } => {
                (self.stage, self.order) = (Stage::Created, Some(order));
            }
            PurchaseEvent::CheckoutOpened { checkout, keeps_card, .. } => {
                (self.stage, self.checkout) = (Stage::CheckoutOpened, Some(checkout));
                self.keeps_card = keeps_card;
            }
            PurchaseEvent::PaymentAwaited { .. } => self.stage = Stage::AwaitingPayment,
            PurchaseEvent::PaymentFailed { .. } => self.stage = Stage::PaymentFailed,
            PurchaseEvent::Expired { .. } => self.stage = Stage::Expired,
            PurchaseEvent::Paid { payment, at } => {
                (self.stage, self.payment, self.paid_at) = (Stage::Paid, Some(payment), Some(at));
            }
            PurchaseEvent::Quarantined { payment, .. } => {
                (self.stage, self.payment) = (Stage::Quarantined, Some(payment));
            }
            PurchaseEvent::Accepted { at, .. } => {
                (self.stage, self.paid_at) = (Stage::Paid, Some(at));
            }
            PurchaseEvent::Fulfilled { .. } => self.stage = Stage::Fulfilled,
            PurchaseEvent::ReversalSet { reversal, .. } => {
                self.reversal = reversal;
                self.reversals += 1;
            }
            // What follows is a reversal, once Stripe has given it back.
            PurchaseEvent::RefundRequested { .. } => {}
        }
    }
}
