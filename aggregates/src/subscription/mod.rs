//! A subscription to a plan: the order, how it stands at Stripe, its invoices, and the quota that
//! they have brought.
//!
//! `mod.rs` has the table of rules, `state` what they decide by; `quota` says what is due of what was
//! paid.

mod command;
mod error;
mod event;
mod quota;
mod state;
mod terms;
#[cfg(test)]
mod tests;

pub use command::{Ask, SubscriptionCommand};
pub use error::SubscriptionError;
pub use event::SubscriptionEvent;
pub use quota::group_of;
pub use state::Subscription;
pub use terms::{
    Carry, Change, Invoice, InvoiceReason, InvoiceState, Line, LineKind, Order, Period,
    PlanVersion, Standing, Status, Tranche, Wish,
};

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;

use crate::id::GrantId;
use crate::money::Reversal;

impl Subscription {
    /// The rules, one row each. Pure: same state, same command, same answer.
    fn decide(
        &self,
        command: SubscriptionCommand,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionError> {
        use Status as S;
        use SubscriptionError as No;
        use SubscriptionEvent as E;
        let SubscriptionCommand { now: at, ask } = command;
        match (ask, self.status) {
            (Ask::Create { order }, S::Nothing) => Ok(vec![E::Ordered { order, at }]),
            (Ask::Create { order }, _) if self.order.as_ref() == Some(&order) => Ok(vec![]),
            (Ask::Create { .. }, _) => Err(No::Exists),
            (_, S::Nothing) => Err(No::Unknown),

            (Ask::OpenCheckout { checkout, .. }, _)
                if self.checkout.as_ref() == Some(&checkout) =>
            {
                Ok(vec![])
            }
            (Ask::OpenCheckout { checkout, expires_at }, S::Ordered) if self.checkout.is_none() => {
                Ok(vec![E::CheckoutOpened { checkout, expires_at, at }])
            }
            (Ask::OpenCheckout { .. }, _) => Err(No::CheckoutOpened),
            (Ask::Abandon, S::Ordered) => Ok(vec![E::Abandoned { at }]),
            (Ask::Sync { stripe, .. }, _)
                if self.stripe.as_ref().is_some_and(|known| *known != stripe) =>
            {
                Err(No::OtherAtStripe)
            }
            (Ask::Sync { stripe, standing, invoices, after }, _) => {
                self.sync(stripe, standing, invoices, after, at)
            }

            (Ask::NoteGranted { grants }, _) => Ok(self.note_granted(grants, at)),
            (Ask::SetReversal { invoice, reversal, after }, _) => {
                self.set_reversal(invoice, reversal, after, at)
            }
            (
                Ask::MarkDuplicate | Ask::Release { .. } | Ask::NoteManaged { .. },
                S::Ordered | S::Abandoned,
            ) => Err(No::NotBegun),
            (Ask::NoteManaged { wish }, _) => Ok(vec![E::Managed { wish, at }]),
            // News of what is over, was overtaken or is known; a duplicate brings nothing.
            (Ask::Abandon, _) => Ok(vec![]),
            (Ask::MarkDuplicate | Ask::Release { .. }, _) if self.duplicate => Ok(vec![]),
            (Ask::MarkDuplicate, _) => Ok(vec![E::Duplicated { at }]),
            (Ask::Release { id }, _) => {
                let (tranches, next_at) = self.due(id, at)?;
                let looks = self.to_look || !tranches.is_empty() || next_at != self.next_at;
                Ok(if looks { vec![E::QuotaReleased { tranches, next_at, at }] } else { vec![] })
            }
        }
    }

    /// The difference between what is known and what Stripe has, told by whoever read it last.
    fn sync(
        &self,
        stripe: String,
        standing: Standing,
        invoices: Vec<Invoice>,
        after: u32,
        at: DateTime<Utc>,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionError> {
        let mut events = match &self.standing {
            None => vec![SubscriptionEvent::Began { stripe, standing, at }],
            // What is over is over, whatever an older reading says.
            Some(known) if known.status.is_over() => vec![],
            Some(known) => differences(known, standing, at),
        };
        let news = invoices.into_iter().filter(|invoice| {
            let known = self.invoices.iter().find(|known| known.id == invoice.id);
            known.is_none_or(|known| known != invoice && known.state != InvoiceState::Paid)
        });
        events.extend(news.map(|invoice| SubscriptionEvent::Invoiced { invoice, at }));
        if !events.is_empty() && after != self.readings {
            return Err(SubscriptionError::Moved);
        }
        Ok(events)
    }

    fn note_granted(&self, grants: Vec<GrantId>, at: DateTime<Utc>) -> Vec<SubscriptionEvent> {
        let grants: Vec<_> =
            grants.into_iter().filter(|grant| self.awaited.contains(grant)).collect();
        if grants.is_empty() {
            vec![]
        } else {
            vec![SubscriptionEvent::QuotaGranted { grants, at }]
        }
    }

    fn set_reversal(
        &self,
        id: String,
        reversal: Reversal,
        after: u32,
        at: DateTime<Utc>,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionError> {
        let is_paid = |known: &&Invoice| known.id == id && known.state == InvoiceState::Paid;
        let paid = self.invoices.iter().find(is_paid);
        let paid = paid.ok_or(SubscriptionError::NotPaid)?.paid_minor;
        let Reversal { refunded_minor, disputed_minor, reversed_minor, .. } = reversal;
        if refunded_minor < 0 || disputed_minor < 0 || !(0..=paid).contains(&reversed_minor) {
            return Err(SubscriptionError::ReversalOutOfRange);
        }
        if reversal == self.reversal(&id) {
            return Ok(vec![]);
        }
        if after != self.reversals(&id) {
            return Err(SubscriptionError::Moved);
        }
        Ok(vec![SubscriptionEvent::ReversalSet { invoice: id, reversal, at }])
    }
}

/// What has changed at Stripe, one event each.
fn differences(known: &Standing, found: Standing, at: DateTime<Utc>) -> Vec<SubscriptionEvent> {
    use SubscriptionEvent as E;
    let mut events = vec![];
    if found.status != known.status {
        events.push(E::StatusChanged { status: found.status, at });
    }
    if found.period != known.period {
        events.push(E::PeriodAdvanced { period: found.period, at });
    }
    if found.plan != known.plan {
        events.push(E::PlanChanged { plan: found.plan, at });
    }
    match (found.ends_at, known.ends_at) {
        (found, known) if found == known => {}
        (Some(ends_at), _) => events.push(E::EndScheduled { ends_at, at }),
        (None, _) => events.push(E::EndUnscheduled { at }),
    }
    match (found.change, &known.change) {
        (found, known) if found == *known => {}
        (Some(change), _) => events.push(E::ChangeAwaited { change, at }),
        (None, _) => events.push(E::ChangeClosed { at }),
    }
    events
}

impl Aggregate for Subscription {
    const TYPE: &'static str = "subscription";
    type Command = SubscriptionCommand;
    type Event = SubscriptionEvent;
    type Error = SubscriptionError;
    type Services = ();

    async fn handle(
        &mut self,
        command: SubscriptionCommand,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), SubscriptionError> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: SubscriptionEvent) {
        self.assign(event);
    }
}
