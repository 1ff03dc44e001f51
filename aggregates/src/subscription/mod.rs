//! A subscription to a plan: the order, how it stands at Stripe, its invoices, and the quota that
//! they have brought.
//!
//! `mod.rs` has the state and the table of rules; `quota` says what is due of what was paid.

mod command;
mod error;
mod event;
mod quota;
mod terms;
#[cfg(test)]
mod tests;

pub use command::{Ask, SubscriptionCommand};
pub use error::SubscriptionError;
pub use event::SubscriptionEvent;
pub use quota::group_of;
pub use terms::{
    Carry, Change, Invoice, InvoiceReason, InvoiceState, Line, LineKind, Order, Period,
    PlanVersion, Standing, Status, Tranche,
};

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

use crate::id::GrantId;
use crate::money::Reversal;

/// What the next decision about a subscription needs: everything that was paid, since what is due
/// follows from all of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    status: Status,
    order: Option<Order>,
    checkout: Option<String>,
    stripe: Option<String>,
    standing: Option<Standing>,
    duplicate: bool,
    /// In the order in which they were first seen.
    invoices: Vec<Invoice>,
    reversals: BTreeMap<String, Reversed>,
    /// How often something was noted that Stripe has changed.
    readings: u32,
    released: Vec<Tranche>,
    /// Released, and not known to be in the wallet.
    awaited: Vec<GrantId>,
    next_at: Option<DateTime<Utc>>,
    /// Something was paid or reversed since what is due was looked at.
    to_look: bool,
}

/// What of an invoice's payment is reversed, and how often that has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Reversed {
    reversal: Reversal,
    times: u32,
}

impl Subscription {
    /// Where it is in its life.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
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

    /// Stripe's id; none before it begins.
    #[must_use]
    pub fn stripe(&self) -> Option<&str> {
        self.stripe.as_deref()
    }

    /// How it stands at Stripe; none before it begins.
    #[must_use]
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// Whether the person had another one when it began.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        self.duplicate
    }

    /// All invoices that are no drafts, in the order in which they were first seen.
    #[must_use]
    pub fn invoices(&self) -> &[Invoice] {
        &self.invoices
    }

    /// What of an invoice's payment is reversed.
    #[must_use]
    pub fn reversal(&self, invoice: &str) -> Reversal {
        self.reversals.get(invoice).map(|reversed| reversed.reversal).unwrap_or_default()
    }

    /// How often that has changed: whoever notes what they have read names the count from before
    /// they read it.
    #[must_use]
    pub fn reversals(&self, invoice: &str) -> u32 {
        self.reversals.get(invoice).map_or(0, |reversed| reversed.times)
    }

    /// How often something was noted that Stripe has changed: as above.
    #[must_use]
    pub fn readings(&self) -> u32 {
        self.readings
    }

    /// What was released of the quota so far.
    pub fn released(&self) -> impl Iterator<Item = &Tranche> {
        self.released.iter()
    }

    /// What was released and is not known to be in the wallet.
    pub fn awaited(&self) -> impl Iterator<Item = &Tranche> {
        self.released.iter().filter(|tranche| self.awaited.contains(&tranche.grant.id))
    }

    /// When the next part of the quota is due.
    #[must_use]
    pub fn next_at(&self) -> Option<DateTime<Utc>> {
        self.next_at
    }

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
            // News of what is over, or was overtaken.
            (Ask::Abandon, _) => Ok(vec![]),

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
            (Ask::MarkDuplicate | Ask::Release { .. }, S::Ordered | S::Abandoned) => {
                Err(No::NotBegun)
            }
            (Ask::MarkDuplicate, _) if self.duplicate => Ok(vec![]),
            (Ask::MarkDuplicate, _) => Ok(vec![E::Duplicated { at }]),
            (Ask::Release { .. }, _) if self.duplicate => Ok(vec![]),
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
        use SubscriptionEvent as E;
        match event {
            E::Ordered { order, .. } => (self.status, self.order) = (Status::Ordered, Some(order)),
            E::CheckoutOpened { checkout, .. } => self.checkout = Some(checkout),
            E::Abandoned { .. } => self.status = Status::Abandoned,
            E::Duplicated { .. } => self.duplicate = true,
            E::ReversalSet { invoice, reversal, .. } => {
                let reversed = self.reversals.entry(invoice).or_default();
                *reversed = Reversed { reversal, times: reversed.times + 1 };
                self.to_look = true;
            }
            E::QuotaReleased { tranches, next_at, .. } => {
                self.to_look = false;
                self.awaited.extend(tranches.iter().map(|tranche| tranche.grant.id));
                self.released.extend(tranches);
                self.next_at = next_at;
            }
            E::QuotaGranted { grants, .. } => {
                self.awaited.retain(|awaited| !grants.contains(awaited));
            }
            read => self.follow(read),
        }
    }
}

impl Subscription {
    /// What was read at Stripe.
    fn follow(&mut self, event: SubscriptionEvent) {
        use SubscriptionEvent as E;
        self.readings += 1;
        let standing = self.standing.as_mut();
        match event {
            E::Began { stripe, standing, .. } => {
                self.status = standing.status;
                (self.stripe, self.standing) = (Some(stripe), Some(standing));
            }
            E::StatusChanged { status, .. } => {
                self.status = status;
                standing.into_iter().for_each(|standing| standing.status = status);
            }
            E::PeriodAdvanced { period, .. } => {
                standing.into_iter().for_each(|standing| standing.period = period);
            }
            E::PlanChanged { plan, .. } => {
                standing.into_iter().for_each(|standing| standing.plan.clone_from(&plan));
            }
            E::EndScheduled { ends_at, .. } => {
                standing.into_iter().for_each(|standing| standing.ends_at = Some(ends_at));
            }
            E::EndUnscheduled { .. } => {
                standing.into_iter().for_each(|standing| standing.ends_at = None);
            }
            E::ChangeAwaited { change, .. } => {
                standing.into_iter().for_each(|standing| standing.change = Some(change.clone()));
            }
            E::ChangeClosed { .. } => {
                standing.into_iter().for_each(|standing| standing.change = None);
            }
            E::Invoiced { invoice, .. } => {
                self.to_look |= invoice.state == InvoiceState::Paid;
                match self.invoices.iter_mut().find(|known| known.id == invoice.id) {
                    Some(known) => *known = invoice,
                    None => self.invoices.push(invoice),
                }
            }
            E::Ordered { .. }
            | E::CheckoutOpened { .. }
            | E::Abandoned { .. }
            | E::Duplicated { .. }
            | E::ReversalSet { .. }
            | E::QuotaReleased { .. }
            | E::QuotaGranted { .. } => {}
        }
    }
}
