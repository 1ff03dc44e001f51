//! The rules of subscriptions, and what their tests begin from.

mod quota;
mod standing;

use uuid::Uuid;

use super::*;
use crate::catalogue::{Interval, PlanTerms, Tier};
use crate::credits::Credits;
use crate::id::{PlanId, SubscriptionId, UserId};
use crate::money::Money;
use crate::wallet::{GrantKind, GrantTerms};

const ID: SubscriptionId = SubscriptionId(Uuid::from_u128(7));

fn at(text: &str) -> DateTime<Utc> {
    format!("{text}T00:00:00Z").parse().expect("a day")
}

fn usd(amount_minor: i64) -> Money {
    Money { amount_minor, currency: "usd".parse().expect("a currency") }
}

fn plan(name: &str, quota: u32, interval: Interval) -> PlanVersion {
    let terms = PlanTerms {
        name: name.into(),
        tier: Tier::Basic,
        quota: Credits::new(quota),
        price: usd(900),
        interval,
        rollover: Credits::ZERO,
        trial_days: 0,
    };
    PlanVersion { plan: PlanId::default(), version: quota, terms }
}

fn basic() -> PlanVersion {
    plan("Basic", 1_000, Interval::Month)
}

fn pro() -> PlanVersion {
    plan("Pro", 10_000, Interval::Month)
}

fn rolling_over(most: u32) -> PlanVersion {
    let terms = PlanTerms { rollover: Credits::new(most), ..basic().terms };
    PlanVersion { terms, ..basic() }
}

fn period(start: &str, end: &str) -> Period {
    Period { start: at(start), end: at(end) }
}

fn standing(plan: PlanVersion) -> Standing {
    let period = period("2027-06-01", "2027-07-01");
    Standing { status: Status::Active, plan, period, ends_at: None, change: None }
}

fn line(kind: LineKind, plan: PlanVersion, start: &str, end: &str) -> Line {
    Line { kind, plan, period: period(start, end) }
}

/// Paid on the day on which its lines begin.
fn paid(id: &str, lines: Vec<Line>) -> Invoice {
    let day = lines[0].period.start;
    Invoice {
        id: id.into(),
        state: InvoiceState::Paid,
        reason: InvoiceReason::Cycle,
        total: usd(900),
        paid_minor: 900,
        intents: vec![format!("pi_{id}")],
        attempts: 1,
        lines,
        created_at: day,
        paid_at: Some(day),
    }
}

fn whole(id: &str, plan: PlanVersion, start: &str, end: &str) -> Invoice {
    paid(id, vec![line(LineKind::Whole, plan, start, end)])
}

/// A change of plans on a day of June.
fn change(id: &str, day: &str, old: PlanVersion, new: PlanVersion) -> Invoice {
    let end = "2027-07-01";
    paid(id, vec![line(LineKind::GivenBack, old, day, end), line(LineKind::Rest, new, day, end)])
}

fn ordered() -> Ask {
    Ask::Create { order: Order { user: UserId::default(), plan: basic() } }
}

fn sync(after: u32, invoices: Vec<Invoice>) -> Ask {
    Ask::Sync { stripe: "sub_1".into(), standing: standing(basic()), invoices, after }
}

fn ask(
    subscription: &mut Subscription,
    day: &str,
    ask: Ask,
) -> Result<Vec<SubscriptionEvent>, SubscriptionError> {
    let events = subscription.decide(SubscriptionCommand { now: at(day), ask })?;
    for event in events.clone() {
        subscription.apply(event);
    }
    Ok(events)
}

/// One that is active and has these invoices.
fn with(invoices: Vec<Invoice>) -> Subscription {
    let mut subscription = Subscription::default();
    ask(&mut subscription, "2027-01-01", ordered()).expect("ordered");
    ask(&mut subscription, "2027-01-01", sync(0, invoices)).expect("begun");
    subscription
}

fn more(subscription: &mut Subscription, invoices: Vec<Invoice>) {
    let after = subscription.readings();
    ask(subscription, "2027-01-01", sync(after, invoices)).expect("read");
}

/// What is released on a day.
fn release(subscription: &mut Subscription, day: &str) -> Vec<Tranche> {
    let events = ask(subscription, day, Ask::Release { id: ID }).expect("released");
    let mut released = vec![];
    for event in events {
        if let SubscriptionEvent::QuotaReleased { tranches, .. } = event {
            released.extend(tranches);
        }
    }
    released
}

fn amounts(tranches: &[Tranche]) -> Vec<i64> {
    tranches.iter().map(|tranche| tranche.grant.amount.get()).collect()
}
