//! Subscriptions as the oracle follows them: no quota is released but for what invoices have paid
//! for, nor more than that is worth, and what is released is what comes into the wallet.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::fold::WalletTrail;
use super::offers::PlanTerms;
use super::purchases::{Money, Reversal};
use super::report::{Kind, Report};

/// What happened to a subscription, as far as credits follow from it, and what people are shown.
#[derive(Debug, Deserialize)]
pub(super) enum Fact {
    Ordered { order: Order, at: DateTime<Utc> },
    CheckoutOpened { checkout: String },
    Abandoned { at: DateTime<Utc> },
    Began { stripe: String, standing: Box<Standing>, at: DateTime<Utc> },
    StatusChanged { status: String, at: DateTime<Utc> },
    PeriodAdvanced { period: Period },
    PlanChanged { plan: Plan },
    EndScheduled { ends_at: DateTime<Utc> },
    EndUnscheduled {},
    ChangeAwaited {},
    ChangeClosed {},
    Duplicated {},
    Invoiced { invoice: Invoice, at: DateTime<Utc> },
    ReversalSet { invoice: String, reversal: Reversal, at: DateTime<Utc> },
    QuotaReleased { tranches: Vec<Tranche>, next_at: Option<DateTime<Utc>>, at: DateTime<Utc> },
    QuotaGranted { grants: Vec<Uuid> },
    Managed {},
}

#[derive(Debug, Deserialize)]
pub(super) struct Order {
    pub(super) user: Uuid,
    pub(super) plan: Plan,
}

#[derive(Debug, Deserialize)]
pub(super) struct Standing {
    pub(super) status: String,
    pub(super) plan: Plan,
    pub(super) period: Period,
    pub(super) ends_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Period {
    pub(super) start: DateTime<Utc>,
    pub(super) end: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Invoice {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) reason: String,
    pub(super) total: Money,
    pub(super) paid_minor: i64,
    pub(super) intents: Vec<String>,
    pub(super) attempts: i64,
    lines: Vec<Line>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) paid_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
struct Line {
    kind: String,
    plan: Plan,
}

#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    pub(super) plan: Uuid,
    pub(super) terms: PlanTerms,
}

#[derive(Debug, Deserialize)]
pub(super) struct Tranche {
    pub(super) invoice: String,
    pub(super) grant: Grant,
}

#[derive(Debug, Deserialize)]
pub(super) struct Grant {
    id: Uuid,
    pub(super) amount: i64,
    reversal_group: Uuid,
}

/// A subscription so far.
#[derive(Debug, Default)]
pub(super) struct Subscribed {
    pub(super) sequence: i64,
    user: Option<Uuid>,
    over: bool,
    duplicate: bool,
    invoices: HashMap<String, Bill>,
    /// The amounts, and the invoices that paid for them, by grant.
    released: HashMap<Uuid, i64>,
    granted: HashSet<Uuid>,
}

/// An invoice so far.
#[derive(Debug, Default)]
struct Bill {
    is_paid: bool,
    paid_minor: i64,
    /// What its lines are worth, at most.
    worth: i128,
    released: i128,
    group: Option<Uuid>,
    /// All that was reversed at some time: the wallet follows, and may be behind.
    reversed: BTreeSet<i64>,
}

impl Invoice {
    /// The plan that it brings something of, if it does.
    pub(super) fn plan(&self) -> Option<&Plan> {
        self.lines.iter().rfind(|line| line.brings()).map(|line| &line.plan)
    }
}

impl Line {
    fn brings(&self) -> bool {
        self.kind != "given_back"
    }

    /// What a line brings, at most: each month of it, the quota.
    fn worth(&self) -> i128 {
        let months = if self.plan.terms.interval == "year" { 12 } else { 1 };
        if self.brings() { i128::from(self.plan.terms.quota) * months } else { 0 }
    }
}

impl Subscribed {
    /// Enters a fact; the rule that it breaks, where it breaks one.
    pub(super) fn enter(&mut self, fact: Fact) -> Option<&'static str> {
        match fact {
            Fact::Ordered { order, .. } => {
                let first = self.user.is_none();
                self.user = Some(order.user);
                (!first).then_some("a subscription is ordered once")
            }
            _ if self.user.is_none() => Some("a subscription is ordered first"),
            Fact::StatusChanged { .. } if self.over => Some("what is over stays over"),
            Fact::StatusChanged { status, .. } => {
                self.over = matches!(status.as_str(), "canceled" | "incomplete_expired");
                None
            }
            Fact::Duplicated {} => {
                self.duplicate = true;
                None
            }
            Fact::Invoiced { invoice, .. } => self.invoice(&invoice),
            Fact::ReversalSet { invoice, reversal, .. } => {
                let paid = self.invoices.get_mut(&invoice).filter(|paid| paid.is_paid);
                let most = paid.as_ref().map_or(-1, |paid| paid.paid_minor);
                paid.map(|paid| paid.reversed.insert(reversal.reversed_minor));
                let within = (0..=most).contains(&reversal.reversed_minor);
                (!within).then_some("what is reversed is part of what was paid")
            }
            Fact::QuotaReleased { tranches, .. } => {
                tranches.into_iter().find_map(|tranche| self.release(&tranche))
            }
            Fact::QuotaGranted { grants } => {
                let known = grants.iter().all(|grant| self.released.contains_key(grant));
                let new = grants.into_iter().all(|grant| self.granted.insert(grant));
                (!known || !new).then_some("what is granted was released, once")
            }
            Fact::CheckoutOpened { .. }
            | Fact::Abandoned { .. }
            | Fact::Began { .. }
            | Fact::PeriodAdvanced { .. }
            | Fact::PlanChanged { .. }
            | Fact::EndScheduled { .. }
            | Fact::EndUnscheduled {}
            | Fact::ChangeAwaited {}
            | Fact::ChangeClosed {}
            | Fact::Managed {} => None,
        }
    }

    fn invoice(&mut self, invoice: &Invoice) -> Option<&'static str> {
        let paid = self.invoices.entry(invoice.id.clone()).or_default();
        if paid.is_paid {
            return Some("what is paid stays paid");
        }
        paid.is_paid = invoice.state == "paid";
        paid.paid_minor = invoice.paid_minor;
        paid.worth = invoice.lines.iter().map(Line::worth).sum();
        None
    }

    fn release(&mut self, tranche: &Tranche) -> Option<&'static str> {
        let Grant { id, amount, reversal_group } = tranche.grant;
        if self.duplicate {
            return Some("a duplicate brings nothing");
        }
        let Some(paid) = self.invoices.get_mut(&tranche.invoice).filter(|paid| paid.is_paid) else {
            return Some("quota comes of a paid invoice only");
        };
        paid.released += i128::from(amount);
        paid.group = Some(reversal_group);
        if amount < 1 || paid.released > paid.worth {
            return Some("an invoice brings no more than its lines are worth");
        }
        let first = self.released.insert(id, amount).is_none();
        (!first).then_some("a part of the quota is released once")
    }

    /// What the wallet has of it must be what was released.
    pub(super) fn close(&self, id: Uuid, wallet: &WalletTrail, report: &mut Report) {
        let place = format_args!("subscription {id}");
        for grant in &self.granted {
            let amount = self.released.get(grant).copied();
            let found = wallet.book.grants.iter().find(|known| known.terms.id == *grant);
            let found = found.map(|known| known.terms.amount);
            if amount != found {
                let rule = "what was released is granted";
                report.find(
                    Kind::Domain,
                    place,
                    rule,
                    format_args!("{amount:?}"),
                    format_args!("{found:?}"),
                );
            }
        }
        for paid in self.invoices.values() {
            let target = paid.group.map_or(0, |group| wallet.book.reversed_of(group));
            if target != 0 && !paid.reversed.contains(&target) {
                let rule = "a wallet follows what of an invoice is reversed";
                let expected = format_args!("{:?}", paid.reversed);
                report.find(Kind::Domain, place, rule, expected, target);
            }
        }
    }

    pub(super) fn user(&self) -> Option<Uuid> {
        self.user
    }

    /// What was released, by grant: for whom, and how much.
    pub(super) fn released(&self) -> impl Iterator<Item = (Uuid, (Uuid, i64))> {
        let user = self.user.unwrap_or_default();
        self.released.iter().map(move |(grant, amount)| (*grant, (user, *amount)))
    }
}

impl Fact {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ordered { .. } => "Ordered",
            Self::CheckoutOpened { .. } => "CheckoutOpened",
            Self::Abandoned { .. } => "Abandoned",
            Self::Began { .. } => "Began",
            Self::StatusChanged { .. } => "StatusChanged",
            Self::PeriodAdvanced { .. } => "PeriodAdvanced",
            Self::PlanChanged { .. } => "PlanChanged",
            Self::EndScheduled { .. } => "EndScheduled",
            Self::EndUnscheduled {} => "EndUnscheduled",
            Self::ChangeAwaited {} => "ChangeAwaited",
            Self::ChangeClosed {} => "ChangeClosed",
            Self::Duplicated {} => "Duplicated",
            Self::Invoiced { .. } => "Invoiced",
            Self::ReversalSet { .. } => "ReversalSet",
            Self::QuotaReleased { .. } => "QuotaReleased",
            Self::QuotaGranted { .. } => "QuotaGranted",
            Self::Managed {} => "Managed",
        }
    }
}
