//! What the next decision about a subscription needs, and how events change it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::SubscriptionEvent;
use super::terms::{Invoice, InvoiceState, Order, Standing, Status, Tranche};
use crate::id::GrantId;
use crate::money::Reversal;

/// What the next decision about a subscription needs: everything that was paid, since what is due
/// follows from all of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    pub(super) status: Status,
    pub(super) order: Option<Order>,
    pub(super) checkout: Option<String>,
    pub(super) stripe: Option<String>,
    pub(super) standing: Option<Standing>,
    pub(super) duplicate: bool,
    /// In the order in which they were first seen.
    pub(super) invoices: Vec<Invoice>,
    pub(super) reversals: BTreeMap<String, Reversed>,
    /// How often something was noted that Stripe has changed.
    pub(super) readings: u32,
    pub(super) released: Vec<Tranche>,
    /// Released, and not known to be in the wallet.
    pub(super) awaited: Vec<GrantId>,
    pub(super) next_at: Option<DateTime<Utc>>,
    /// Something was paid or reversed since what is due was looked at.
    pub(super) to_look: bool,
}

/// What of an invoice's payment is reversed, and how often that has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reversed {
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

    /// Follows an event. Assigns the figures it carries; decides nothing.
    pub(super) fn assign(&mut self, event: SubscriptionEvent) {
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
            // Known by the id of its command.
            E::Managed { .. } => {}
            read => {
                self.readings += 1;
                self.read(read);
            }
        }
    }

    /// What was read at Stripe.
    fn read(&mut self, event: SubscriptionEvent) {
        use SubscriptionEvent as E;
        match event {
            E::Began { stripe, standing, .. } => {
                self.status = standing.status;
                (self.stripe, self.standing) = (Some(stripe), Some(standing));
            }
            E::Invoiced { invoice, .. } => {
                self.to_look |= invoice.state == InvoiceState::Paid;
                match self.invoices.iter_mut().find(|known| known.id == invoice.id) {
                    Some(known) => *known = invoice,
                    None => self.invoices.push(invoice),
                }
            }
            changed => {
                let Some(standing) = &mut self.standing else { return };
                standing.follow(changed);
                self.status = standing.status;
            }
        }
    }
}

impl Standing {
    fn follow(&mut self, event: SubscriptionEvent) {
        use SubscriptionEvent as E;
        match event {
            E::StatusChanged { status, .. } => self.status = status,
            E::PeriodAdvanced { period, .. } => self.period = period,
            E::PlanChanged { plan, .. } => self.plan = plan,
            E::EndScheduled { ends_at, .. } => self.ends_at = Some(ends_at),
            E::EndUnscheduled { .. } => self.ends_at = None,
            E::ChangeAwaited { change, .. } => self.change = Some(change),
            E::ChangeClosed { .. } => self.change = None,
            E::Ordered { .. }
            | E::CheckoutOpened { .. }
            | E::Abandoned { .. }
            | E::Began { .. }
            | E::Duplicated { .. }
            | E::Invoiced { .. }
            | E::ReversalSet { .. }
            | E::QuotaReleased { .. }
            | E::QuotaGranted { .. }
            | E::Managed { .. } => {}
        }
    }
}
