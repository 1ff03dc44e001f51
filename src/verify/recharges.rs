//! Auto-recharge, as the oracle follows it: recharges are counted, one is in flight at a time, no
//! month is charged more than was agreed to, and each pays for a purchase.

use std::collections::HashMap;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::purchases::{Money, Order, Trade};
use super::report::{Kind, Report};

/// What happened to a person's auto-recharge, as far as money follows from it, and what they are
/// shown.
#[derive(Debug, Deserialize)]
pub(super) enum Fact {
    TurnedOn {
        terms: Terms,
        consent: Consent,
        after: i64,
        #[serde(default)]
        declines: u32,
        ready_at: Option<DateTime<Utc>>,
        at: DateTime<Utc>,
    },
    Triggered {
        number: u32,
        purchase: Uuid,
        order: Order,
        spent: i64,
        charged: Charged,
        at: DateTime<Utc>,
    },
    AuthenticationRequired {
        number: u32,
    },
    Succeeded {
        number: u32,
        ready_at: DateTime<Utc>,
    },
    Declined {
        number: u32,
        code: String,
        ready_at: Option<DateTime<Utc>>,
        charged: Charged,
        at: DateTime<Utc>,
    },
    Withdrawn {
        number: u32,
        why: String,
        charged: Charged,
        at: DateTime<Utc>,
    },
    TurnedOff {
        why: String,
    },
}

#[derive(Debug, Deserialize)]
pub(super) struct Terms {
    pub(super) pack: Uuid,
    pub(super) price: Money,
    pub(super) threshold: i64,
    pub(super) monthly_cap: Money,
}

/// Where from is personal, and nobody is shown it.
#[derive(Debug, Deserialize)]
pub(super) struct Consent {
    pub(super) wording: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Charged {
    pub(super) month: NaiveDate,
    pub(super) total: Money,
}

/// A person's auto-recharge so far.
#[derive(Debug, Default)]
pub(super) struct RechargeTrail {
    pub(super) sequence: i64,
    terms: Option<Terms>,
    number: u32,
    in_flight: bool,
    charged: Option<Charged>,
    /// In the order of their numbers.
    recharges: Vec<Recharge>,
}

#[derive(Debug)]
struct Recharge {
    purchase: Uuid,
    order: Order,
    succeeded: bool,
}

impl RechargeTrail {
    /// Enters a fact; the rule that it breaks, where it breaks one.
    pub(super) fn enter(&mut self, fact: Fact) -> Option<&'static str> {
        match fact {
            Fact::TurnedOn { terms, .. } => self.terms = Some(terms),
            Fact::TurnedOff { .. } => {
                let was_on = self.terms.take().is_some();
                return (!was_on).then_some("what is off is not turned off");
            }
            Fact::Triggered { number, purchase, order, charged, at, .. } => {
                let broken = self.may_begin(number, &order, &charged, at);
                (self.number, self.in_flight, self.charged) = (number, true, Some(charged));
                self.recharges.push(Recharge { purchase, order, succeeded: false });
                return broken;
            }
            Fact::AuthenticationRequired { number } => {
                return self.is_not_in_flight(number);
            }
            Fact::Succeeded { number, .. } => {
                let broken = self.is_not_in_flight(number);
                self.in_flight = false;
                if let Some(last) = self.recharges.last_mut() {
                    last.succeeded = true;
                }
                return broken;
            }
            Fact::Declined { number, charged, .. } | Fact::Withdrawn { number, charged, .. } => {
                let broken = self.is_not_in_flight(number);
                self.in_flight = false;
                let before = self.charged.replace(charged);
                return broken.or_else(|| self.gives_back_another_price(before));
            }
        }
        None
    }

    fn may_begin(
        &self,
        number: u32,
        order: &Order,
        charged: &Charged,
        at: DateTime<Utc>,
    ) -> Option<&'static str> {
        let Some(Terms { pack, price, monthly_cap, .. }) = &self.terms else {
            return Some("nothing is charged while auto-recharge is off");
        };
        if self.in_flight || number != self.number + 1 {
            return Some("recharges are counted, and one is in flight at a time");
        }
        let cost = &order.price;
        if order.pack != *pack
            || cost.currency != price.currency
            || cost.amount_minor > price.amount_minor
        {
            return Some("nothing is charged that was not agreed to");
        }
        let before = self.charged.as_ref().filter(|before| {
            before.month == charged.month && before.total.currency == charged.total.currency
        });
        let before = before.map_or(0, |before| before.total.amount_minor);
        let total = &charged.total;
        // A node whose clock is behind still counts to the month that others have begun.
        let month = at.date_naive().with_day(1).unwrap_or_default();
        if charged.month < month || total.amount_minor != before + cost.amount_minor {
            return Some("what a month was charged is the sum of its recharges");
        }
        let within = total.currency == monthly_cap.currency
            && total.amount_minor <= monthly_cap.amount_minor;
        (!within).then_some("no month is charged more than was agreed to")
    }

    fn is_not_in_flight(&self, number: u32) -> Option<&'static str> {
        let is_it = self.in_flight && number == self.number;
        (!is_it).then_some("what ends is in flight")
    }

    /// What was not charged does not count.
    fn gives_back_another_price(&self, before: Option<Charged>) -> Option<&'static str> {
        let (before, now) = (before?.total, self.charged.as_ref()?.total.clone());
        let price = self.recharges.last()?.order.price.amount_minor;
        let same =
            now.currency == before.currency && now.amount_minor == before.amount_minor - price;
        (!same).then_some("what a month was charged is the sum of its recharges")
    }

    /// The log is at its end: each recharge has paid for its purchase, where it succeeded.
    pub(super) fn close(&self, user: Uuid, purchases: &HashMap<Uuid, Trade>, report: &mut Report) {
        for (recharge, number) in self.recharges.iter().zip(1_u32..) {
            let place = format_args!("recharge {number} of {user}");
            let trade = purchases.get(&recharge.purchase);
            let flies = self.in_flight && number == self.number;
            let ordered = trade.map_or(flies, |trade| trade.is_of(&recharge.order));
            if !ordered || recharge.order.user != user {
                let rule = "a recharge has a purchase";
                report.find(Kind::Domain, place, rule, "its purchase", recharge.purchase);
            }
            if recharge.succeeded && !trade.is_some_and(Trade::is_fulfilled) {
                let rule = "a recharge that succeeded is in the wallet";
                report.find(Kind::Domain, place, rule, "a purchase that is", recharge.purchase);
            }
        }
    }
}

impl Fact {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::TurnedOn { .. } => "TurnedOn",
            Self::Triggered { .. } => "Triggered",
            Self::AuthenticationRequired { .. } => "AuthenticationRequired",
            Self::Succeeded { .. } => "Succeeded",
            Self::Declined { .. } => "Declined",
            Self::Withdrawn { .. } => "Withdrawn",
            Self::TurnedOff { .. } => "TurnedOff",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const PACK: &str = "01a1fc45-72e0-75f1-9528-00000000000b";
    const AT: &str = "2026-11-21T04:00:00Z";
    const FLIES: &str = "recharges are counted, and one is in flight at a time";
    const SUM: &str = "what a month was charged is the sum of its recharges";

    fn usd(amount_minor: i64) -> Value {
        json!({ "amount_minor": amount_minor, "currency": "usd" })
    }

    fn charged(amount_minor: i64) -> Value {
        json!({ "month": "2026-11-01", "total": usd(amount_minor) })
    }

    /// 900 each, 1800 a month at most.
    fn on() -> Value {
        json!({ "TurnedOn": { "terms": {
            "pack": PACK, "price": usd(900), "threshold": 50, "monthly_cap": usd(1800),
        }, "consent": { "wording": "2026-11" }, "after": 41, "at": AT } })
    }

    fn triggered(number: u32, price: i64, total: i64) -> Value {
        let order = json!({
            "user": PACK, "pack": PACK, "name": "Starter", "credits": 200, "bonus": 0,
            "price": usd(price),
        });
        json!({ "Triggered": {
            "number": number, "purchase": PACK, "order": order, "spent": 42,
            "charged": charged(total), "at": AT,
        } })
    }

    fn succeeded(number: u32) -> Value {
        json!({ "Succeeded": { "number": number, "ready_at": AT } })
    }

    fn declined(number: u32, total: i64) -> Value {
        let charged = charged(total);
        json!({ "Declined": {
            "number": number, "code": "stolen_card", "ready_at": null, "charged": charged, "at": AT,
        } })
    }

    fn off() -> Value {
        json!({ "TurnedOff": { "why": "asked" } })
    }

    /// The first rule that these break.
    fn broken(facts: impl IntoIterator<Item = Value>) -> Option<&'static str> {
        let mut trail = RechargeTrail::default();
        let facts = facts.into_iter().map(|fact| serde_json::from_value(fact).expect("a fact"));
        facts.into_iter().find_map(|fact| trail.enter(fact))
    }

    #[test]
    fn a_history_by_the_rules_breaks_none() {
        let first = [on(), triggered(1, 900, 900), declined(1, 0), triggered(2, 800, 800)];
        let rest = [succeeded(2), triggered(3, 900, 1700), off(), succeeded(3), on()];
        assert_eq!(broken(first.into_iter().chain(rest)), None);
    }

    #[test]
    fn a_history_against_the_rules_is_found() {
        let above = "no month is charged more than was agreed to";
        let agreed = "nothing is charged that was not agreed to";
        let twice = [on(), triggered(1, 900, 900), triggered(2, 900, 1800)];
        assert_eq!(broken(twice), Some(FLIES));
        assert_eq!(broken([on(), triggered(2, 900, 900)]), Some(FLIES));
        assert_eq!(broken([on(), triggered(1, 901, 901)]), Some(agreed));
        assert_eq!(broken([on(), triggered(1, 900, 0)]), Some(SUM));
        assert_eq!(broken([on(), triggered(1, 900, 900), declined(1, 900)]), Some(SUM));
        let paid = |number, total| [triggered(number, 900, total), succeeded(number)];
        let third = [[on(), on()], paid(1, 900), paid(2, 1800), paid(3, 2700)];
        assert_eq!(broken(third.into_iter().flatten()), Some(above));
        assert!(broken([on(), off(), triggered(1, 900, 900)]).is_some());
        assert!(broken([on(), succeeded(1)]).is_some());
    }
}
