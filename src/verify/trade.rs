//! What is on sale and what was bought, as the oracle follows it: nothing is granted that was not
//! paid for, and what was paid for is granted as it was ordered.

use std::collections::{BTreeSet, HashMap};

use aggregates::event::Event;
use serde::Deserialize;
use uuid::Uuid;

use super::fold::WalletTrail;
use super::report::{Kind, Report};

/// What happened to a purchase, as far as credits follow from it.
#[derive(Debug, Deserialize)]
enum Fact {
    Created { order: Order },
    CheckoutOpened {},
    PaymentAwaited {},
    PaymentFailed {},
    Expired {},
    Paid { payment: Payment },
    Quarantined { payment: Payment },
    Accepted {},
    Fulfilled {},
    ReversalSet { reversal: Reversal },
    RefundRequested {},
}

#[derive(Clone, Debug, Deserialize)]
struct Order {
    user: Uuid,
    credits: i64,
    bonus: i64,
    price: Money,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Money {
    amount_minor: i64,
    currency: String,
}

#[derive(Debug, Deserialize)]
struct Payment {
    paid: Money,
}

#[derive(Debug, Deserialize)]
struct Reversal {
    reversed_minor: i64,
}

/// A purchase so far.
#[derive(Debug, Default)]
pub(super) struct Trade {
    sequence: i64,
    order: Option<Order>,
    paid: Option<Money>,
    granted: bool,
    fulfilled: bool,
    /// All that was reversed at some time: the wallet follows, and may be behind.
    reversed: BTreeSet<i64>,
}

/// Purchases, packs and plans, by their ids.
#[derive(Debug, Default)]
pub(super) struct Trades {
    purchases: HashMap<Uuid, Trade>,
    /// How long the streams of offers are.
    offers: HashMap<Uuid, i64>,
}

/// An event of a purchase or an offer.
pub(super) struct Deal<'a> {
    pub(super) kind: &'a str,
    pub(super) id: Uuid,
    pub(super) event_type: &'a str,
    pub(super) version: &'a str,
    pub(super) payload: &'a str,
}

impl Trades {
    /// Whether streams of this kind are followed here.
    pub(super) fn know(kind: &str) -> bool {
        matches!(kind, "purchase" | "pack" | "plan")
    }

    pub(super) fn join(&mut self, other: Self) {
        self.purchases.extend(other.purchases);
        self.offers.extend(other.offers);
    }

    /// Enters an event, as the oracle reads it; the aggregate must be able to read it, too.
    pub(super) fn follow(
        &mut self,
        deal: &Deal<'_>,
        (position, sequence): (i64, i64),
        report: &mut Report,
    ) {
        let Deal { kind, id, event_type, version, payload } = deal;
        let place = format_args!("position {position}");
        let read = Event::decode_text(kind, event_type, version, payload);
        if let Err(error) = read {
            report.find(Kind::Unreadable, place, "an event has its shape", "that shape", error);
            return;
        }
        let length = match *kind {
            "purchase" => &mut self.purchases.entry(*id).or_default().sequence,
            _ => self.offers.entry(*id).or_default(),
        };
        if sequence != *length + 1 {
            let expected = *length + 1;
            report.find(Kind::Sequence, place, "a stream has no holes", expected, sequence);
        }
        *length = sequence;
        if *kind != "purchase" {
            return;
        }
        match serde_json::from_str::<Fact>(payload) {
            Ok(fact) if fact.name() == *event_type => {
                let trade = self.purchases.entry(*id).or_default();
                if let Some(rule) = trade.enter(fact) {
                    report.find(Kind::Domain, place, rule, "what follows", event_type);
                }
            }
            Ok(fact) => {
                let rule = "an event is what its type says";
                report.find(Kind::Unreadable, place, rule, event_type, fact.name());
            }
            Err(error) => {
                report.find(Kind::Unreadable, place, "an event has its shape", "that shape", error);
            }
        }
    }

    /// The log is at its end: wallets and purchases must agree.
    pub(super) fn close<S: std::hash::BuildHasher>(
        &self,
        wallets: &HashMap<Uuid, WalletTrail, S>,
        report: &mut Report,
    ) {
        for (id, trade) in &self.purchases {
            let Some(order) = &trade.order else { continue };
            let wallet = wallets.get(&order.user).filter(|wallet| !wallet.book.lost);
            let Some(wallet) = wallet else { continue };
            let grants = wallet.book.grants.iter();
            let granted: i64 = grants
                .filter(|grant| grant.terms.reversal_group == Some(*id))
                .map(|grant| grant.terms.amount)
                .sum();
            let place = format_args!("purchase {id}");
            let expected = order.credits + order.bonus;
            if trade.fulfilled && granted != expected {
                let rule = "what was paid for is granted as it was ordered";
                report.find(Kind::Domain, place, rule, expected, granted);
            }
            let target = wallet.book.reversed_of(*id);
            if target != 0 && !trade.reversed.contains(&target) {
                let rule = "a wallet follows what of a payment is reversed";
                report.find(
                    Kind::Domain,
                    place,
                    rule,
                    format_args!("{:?}", trade.reversed),
                    target,
                );
            }
        }
        for (id, wallet) in wallets {
            for grant in &wallet.book.grants {
                let purchase = grant.terms.funding.get("purchase").and_then(|id| id.as_str());
                let Some(purchase) = purchase else { continue };
                let paid = purchase.parse().ok().and_then(|id: Uuid| self.purchases.get(&id));
                let paid = paid.filter(|trade| {
                    trade.granted && trade.order.as_ref().is_some_and(|order| order.user == *id)
                });
                if paid.is_none() {
                    let place = format_args!("wallet {id}, grant {}", grant.terms.id);
                    let rule = "nothing is granted that its owner did not pay for";
                    report.find(Kind::Domain, place, rule, "a paid purchase", purchase);
                }
            }
        }
    }
}

impl Trade {
    /// Enters a fact; the rule that it breaks, where it breaks one.
    fn enter(&mut self, fact: Fact) -> Option<&'static str> {
        match fact {
            Fact::Created { order } => {
                let first = self.order.is_none();
                self.order = Some(order);
                return (!first).then_some("a purchase is ordered once");
            }
            _ if self.order.is_none() => return Some("a purchase is ordered first"),
            Fact::CheckoutOpened {} => {}
            Fact::PaymentAwaited {} | Fact::PaymentFailed {} | Fact::Expired {} => {
                return self.paid.is_some().then_some("what is paid stays paid");
            }
            Fact::Paid { payment } => {
                let price = self.order.as_ref().map(|order| &order.price);
                if self.paid.is_some() || price != Some(&payment.paid) {
                    return Some("what is paid is what was asked for, once");
                }
                (self.paid, self.granted) = (Some(payment.paid), true);
            }
            Fact::Quarantined { payment } => {
                if self.paid.is_some() {
                    return Some("a purchase is paid once");
                }
                self.paid = Some(payment.paid);
            }
            Fact::Accepted {} => {
                if self.paid.is_none() || self.granted {
                    return Some("what is in quarantine is accepted, once");
                }
                self.granted = true;
            }
            Fact::Fulfilled {} => {
                if !self.granted || self.fulfilled {
                    return Some("what is paid is fulfilled, once");
                }
                self.fulfilled = true;
            }
            Fact::ReversalSet { reversal } => {
                let paid = self.paid.as_ref().map_or(-1, |paid| paid.amount_minor);
                if !(0..=paid).contains(&reversal.reversed_minor) {
                    return Some("what is reversed is part of what was paid");
                }
                self.reversed.insert(reversal.reversed_minor);
            }
            Fact::RefundRequested {} => {
                return self.paid.is_none().then_some("what is refunded was paid");
            }
        }
        None
    }
}

impl Fact {
    fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "Created",
            Self::CheckoutOpened {} => "CheckoutOpened",
            Self::PaymentAwaited {} => "PaymentAwaited",
            Self::PaymentFailed {} => "PaymentFailed",
            Self::Expired {} => "Expired",
            Self::Paid { .. } => "Paid",
            Self::Quarantined { .. } => "Quarantined",
            Self::Accepted {} => "Accepted",
            Self::Fulfilled {} => "Fulfilled",
            Self::ReversalSet { .. } => "ReversalSet",
            Self::RefundRequested {} => "RefundRequested",
        }
    }
}
