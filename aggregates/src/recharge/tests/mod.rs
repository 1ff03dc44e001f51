//! Auto-recharge under test: what is asked of it, and what happened.

mod invariants;
mod rules;

use chrono::{NaiveDate, TimeDelta};
use cqrs_es::test::TestFramework;

use super::*;
use crate::credits::Credits;
use crate::id::{PackId, UserId};
use crate::money::Money;
use crate::pii::Pii;

const AT: DateTime<Utc> = DateTime::UNIX_EPOCH;
const PRICE: i64 = 900;

fn recharge() -> TestFramework<Recharge> {
    TestFramework::with(())
}

fn at(now: DateTime<Utc>, ask: Ask) -> RechargeCommand {
    RechargeCommand { now, ask }
}

fn now(ask: Ask) -> RechargeCommand {
    at(AT, ask)
}

fn usd(amount_minor: i64) -> Money {
    Money { amount_minor, currency: "usd".parse().expect("a currency") }
}

/// Below 50 credits, twice a month at most.
fn terms() -> Terms {
    let (pack, price) = (PackId::default(), usd(PRICE));
    Terms { pack, price, threshold: Credits::new(50), monthly_cap: usd(2 * PRICE) }
}

fn consent() -> Consent {
    Consent { wording: "2026-11".into(), address: Pii::Clear(Some("192.0.2.1".into())) }
}

fn turn_on(terms: Terms) -> Ask {
    Ask::TurnOn { terms, consent: consent(), after: 10, card_since: None }
}

fn turned_on() -> RechargeEvent {
    turned_on_again(0, None)
}

/// With these declines before it, and none that follows sooner.
fn turned_on_again(declines: u32, hours: Option<i64>) -> RechargeEvent {
    let ready_at = hours.map(|hours| AT + TimeDelta::hours(hours));
    let (terms, consent) = (terms(), consent());
    RechargeEvent::TurnedOn { terms, consent, after: 10, declines, ready_at, at: AT }
}

fn order() -> Order {
    Order {
        user: UserId::default(),
        pack: PackId::default(),
        version: 1,
        name: "Starter".into(),
        credits: Credits::new(200),
        bonus: Credits::ZERO,
        price: usd(PRICE),
        lasts_days: None,
    }
}

fn purchase(number: u32) -> PurchaseId {
    PurchaseId::derive(uuid::Uuid::nil(), &number.to_string())
}

/// A wallet that has 49 left after a spend at this position.
fn spent(spent: i64) -> Need {
    Need { available: Credits::new(49), spent }
}

fn trigger(number: u32, need: Need) -> Ask {
    Ask::Trigger { number, purchase: purchase(number), order: order(), need }
}

fn charged(month: u32, amount_minor: i64) -> Charged {
    let month = NaiveDate::from_ymd_opt(1970, month, 1).expect("a month");
    Charged { month, total: usd(amount_minor) }
}

/// The recharge of this number, which a spend at ten times that caused, with what is charged then.
fn triggered(number: u32, amount_minor: i64) -> RechargeEvent {
    RechargeEvent::Triggered {
        number,
        purchase: purchase(number),
        order: order(),
        spent: 10 * i64::from(number) + 10,
        charged: charged(1, amount_minor),
        at: AT,
    }
}

fn succeeded(number: u32) -> RechargeEvent {
    RechargeEvent::Succeeded { number, ready_at: AT + TimeDelta::minutes(1), at: AT }
}

fn decline(number: u32, finality: Finality) -> RechargeCommand {
    now(Ask::Decline { number, code: "card_declined".into(), finality })
}

fn declined(number: u32, hours: Option<i64>) -> RechargeEvent {
    RechargeEvent::Declined {
        number,
        code: "card_declined".into(),
        declines: number,
        ready_at: hours.map(|hours| AT + TimeDelta::hours(hours)),
        charged: charged(1, 0),
        at: AT,
    }
}

fn turned_off(why: OffReason) -> RechargeEvent {
    RechargeEvent::TurnedOff { why, at: AT }
}
