//! Subscriptions as their table shows them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::invoices::Invoice;
use super::{Row, Shop};
use crate::verify::plans::{Fact, Order, Period, Plan, Standing};
use crate::verify::rows::Fields;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) user: Uuid,
    plan_id: Uuid,
    pub(super) plan: String,
    tier: String,
    status: String,
    /// It runs, and counts.
    live: bool,
    /// Since when it is not paid in time.
    behind_since: Option<i64>,
    duplicate: bool,
    stripe: Option<String>,
    checkout: Option<String>,
    period: [Option<i64>; 2],
    ends_at: Option<i64>,
    /// When somebody must look what of the quota is due.
    due_at: Option<i64>,
    /// Parts that are released, and not in the wallet as far as is known; since when there are any.
    awaited: i64,
    awaited_since: Option<i64>,
    created_at: i64,
}

impl Row for Subscription {
    type Key = Uuid;
    const TABLE: &str = "subscriptions";
    const QUERY: &str = "select subscription_id, user_id, plan_id, plan, tier, status, live, \
         behind_since, duplicate, stripe, checkout, period_start, period_end, ends_at, due_at, \
         awaited::int8, awaited_since, created_at from billing.subscriptions";

    fn key(fields: &mut Fields<'_>) -> Option<Uuid> {
        fields.uuid()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            user: fields.uuid()?,
            plan_id: fields.uuid()?,
            plan: fields.string()?,
            tier: fields.string()?,
            status: fields.string()?,
            live: fields.bool()?,
            behind_since: fields.opt_micros()?,
            duplicate: fields.bool()?,
            stripe: fields.opt_string()?,
            checkout: fields.opt_string()?,
            period: [fields.opt_micros()?, fields.opt_micros()?],
            ends_at: fields.opt_micros()?,
            due_at: fields.opt_micros()?,
            awaited: fields.i64()?,
            awaited_since: fields.opt_micros()?,
            created_at: fields.micros()?,
        })
    }
}

impl Subscription {
    fn of(order: &Order, at: DateTime<Utc>) -> Self {
        Self {
            user: order.user,
            plan_id: order.plan.plan,
            plan: order.plan.terms.name.clone(),
            tier: order.plan.terms.tier.clone(),
            status: "ordered".to_owned(),
            live: false,
            behind_since: None,
            duplicate: false,
            stripe: None,
            checkout: None,
            period: [None; 2],
            ends_at: None,
            due_at: None,
            awaited: 0,
            awaited_since: None,
            created_at: at.timestamp_micros(),
        }
    }

    fn follow(&mut self, fact: &Fact) {
        match fact {
            Fact::CheckoutOpened { checkout } => self.checkout = Some(checkout.clone()),
            Fact::Abandoned { at } => self.is("abandoned", *at),
            Fact::Began { stripe, standing, at } => {
                let Standing { status, plan, period, ends_at } = &**standing;
                self.stripe = Some(stripe.clone());
                self.is(status, *at);
                self.gets(plan);
                self.runs(*period);
                self.ends_at = ends_at.map(|at| at.timestamp_micros());
            }
            Fact::StatusChanged { status, at } => self.is(status, *at),
            Fact::PeriodAdvanced { period } => self.runs(*period),
            Fact::PlanChanged { plan } => self.gets(plan),
            Fact::EndScheduled { ends_at } => self.ends_at = Some(ends_at.timestamp_micros()),
            Fact::EndUnscheduled {} => self.ends_at = None,
            Fact::Duplicated {} => {
                (self.duplicate, self.live) = (true, false);
                (self.behind_since, self.due_at) = (None, None);
            }
            Fact::Invoiced { invoice, at } if invoice.state == "paid" => self.look(*at),
            Fact::ReversalSet { at, .. } => self.look(*at),
            Fact::QuotaReleased { tranches, next_at, at } => {
                self.due_at = next_at.map(|at| at.timestamp_micros());
                self.awaited += count(tranches);
                self.awaited_since.get_or_insert(at.timestamp_micros());
            }
            Fact::QuotaGranted { grants } => {
                self.awaited -= count(grants);
                self.awaited_since = self.awaited_since.filter(|_| self.awaited > 0);
            }
            Fact::Ordered { .. }
            | Fact::Invoiced { .. }
            | Fact::ChangeAwaited {}
            | Fact::ChangeClosed {}
            | Fact::Managed {} => {}
        }
    }

    fn is(&mut self, status: &str, at: DateTime<Utc>) {
        status.clone_into(&mut self.status);
        let runs = ["trialing", "active", "past_due", "unpaid", "paused"].contains(&status);
        let behind = ["past_due", "unpaid"].contains(&status) && !self.duplicate;
        self.live = runs && !self.duplicate;
        let since = self.behind_since.unwrap_or(at.timestamp_micros());
        self.behind_since = behind.then_some(since);
    }

    fn gets(&mut self, plan: &Plan) {
        self.plan_id = plan.plan;
        plan.terms.name.clone_into(&mut self.plan);
        plan.terms.tier.clone_into(&mut self.tier);
    }

    fn runs(&mut self, period: Period) {
        self.period = [period.start, period.end].map(|at| Some(at.timestamp_micros()));
    }

    /// What is due may be more than before, so that somebody must look at once.
    fn look(&mut self, at: DateTime<Utc>) {
        let at = at.timestamp_micros();
        let due_at = self.due_at.map_or(at, |due| due.min(at));
        self.due_at = (!self.duplicate).then_some(due_at);
    }
}

fn count<T>(these: &[T]) -> i64 {
    i64::try_from(these.len()).unwrap_or(i64::MAX)
}

impl Shop {
    pub(in crate::verify) fn subscription(&mut self, id: Uuid, fact: &Fact) {
        if let Fact::Ordered { order, at } = fact {
            self.subscriptions.insert(id, Subscription::of(order, *at));
            return;
        }
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        match fact {
            Fact::Invoiced { invoice, .. } => {
                let row = self.invoices.entry(invoice.id.clone());
                row.or_insert_with(|| Invoice::of(invoice, id, subscription.user))
                    .becomes(invoice, &subscription.plan);
            }
            Fact::ReversalSet { invoice, reversal, .. } => {
                if let Some(row) = self.invoices.get_mut(invoice) {
                    row.reverse(reversal);
                }
            }
            Fact::QuotaReleased { tranches, .. } => {
                for tranche in tranches {
                    if let Some(row) = self.invoices.get_mut(&tranche.invoice) {
                        row.bring(tranche.grant.amount);
                    }
                }
            }
            _ => {}
        }
        subscription.follow(fact);
    }
}
