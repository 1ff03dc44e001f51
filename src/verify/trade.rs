//! What is on sale and what was bought, as the oracle follows it: nothing is granted that was not
//! paid for, and what was paid for is granted as it was ordered.

use std::collections::HashMap;

use aggregates::event::Event;
use serde::Deserialize;
use uuid::Uuid;

use super::facts::Terms;
use super::fold::WalletTrail;
use super::plans::{self, Subscribed};
use super::purchases::{self, Trade};
use super::recharges::{self, RechargeTrail};
use super::report::{Kind, Report};

/// Purchases, packs and plans, by their ids; auto-recharges, by whose they are.
#[derive(Debug, Default)]
pub(super) struct Trades {
    purchases: HashMap<Uuid, Trade>,
    subscriptions: HashMap<Uuid, Subscribed>,
    recharges: HashMap<Uuid, RechargeTrail>,
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
        matches!(kind, "purchase" | "subscription" | "pack" | "plan" | "recharge")
    }

    pub(super) fn join(&mut self, other: Self) {
        self.purchases.extend(other.purchases);
        self.subscriptions.extend(other.subscriptions);
        self.recharges.extend(other.recharges);
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
        if let Err(error) = Event::decode_text(kind, event_type, version, payload) {
            report.find(Kind::Unreadable, place, "an event has its shape", "that shape", error);
            return;
        }
        let length = match *kind {
            "purchase" => &mut self.purchases.entry(*id).or_default().sequence,
            "subscription" => &mut self.subscriptions.entry(*id).or_default().sequence,
            "recharge" => &mut self.recharges.entry(*id).or_default().sequence,
            _ => self.offers.entry(*id).or_default(),
        };
        if sequence != *length + 1 {
            let expected = *length + 1;
            report.find(Kind::Sequence, place, "a stream has no holes", expected, sequence);
        }
        *length = sequence;
        let broken = match *kind {
            "purchase" => read(payload, event_type, purchases::Fact::name)
                .map(|fact| self.purchases.entry(*id).or_default().enter(fact)),
            "subscription" => read(payload, event_type, plans::Fact::name)
                .map(|fact| self.subscriptions.entry(*id).or_default().enter(fact)),
            "recharge" => read(payload, event_type, recharges::Fact::name)
                .map(|fact| self.recharges.entry(*id).or_default().enter(fact)),
            _ => Ok(None),
        };
        match broken {
            Ok(None) => {}
            Ok(Some(rule)) => report.find(Kind::Domain, place, rule, "what follows", event_type),
            Err(why) => {
                report.find(
                    Kind::Unreadable,
                    place,
                    "an event is what its type says",
                    event_type,
                    why,
                );
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
            let wallet = trade.user().and_then(|user| wallets.get(&user));
            if let Some(wallet) = wallet.filter(|wallet| !wallet.book.lost) {
                trade.close(*id, wallet, report);
            }
        }
        for (id, subscribed) in &self.subscriptions {
            let wallet = subscribed.user().and_then(|user| wallets.get(&user));
            if let Some(wallet) = wallet.filter(|wallet| !wallet.book.lost) {
                subscribed.close(*id, wallet, report);
            }
        }
        let released: HashMap<_, _> =
            self.subscriptions.values().flat_map(Subscribed::released).collect();
        for (user, trail) in &self.recharges {
            trail.close(*user, &self.purchases, report);
        }
        for (id, wallet) in wallets {
            for grant in &wallet.book.grants {
                self.find_unpaid(*id, &grant.terms, &released, report);
            }
        }
    }

    /// What says that it was paid for must have been, by whom it is of.
    fn find_unpaid(
        &self,
        owner: Uuid,
        terms: &Terms,
        released: &HashMap<Uuid, (Uuid, i64)>,
        report: &mut Report,
    ) {
        let purchase = terms.funding.get("purchase").and_then(|id| id.as_str());
        let is_bought = |purchase: &str| {
            let paid = purchase.parse().ok().and_then(|id: Uuid| self.purchases.get(&id));
            paid.is_some_and(|trade| trade.is_paid() && trade.user() == Some(owner))
        };
        // What is carried over is of a grant that was.
        let quota = terms.kind == "quota" && terms.funding.get("subscription_period").is_some();
        let is_paid = purchase.is_none_or(is_bought)
            && (!quota || released.get(&terms.id) == Some(&(owner, terms.amount)));
        if !is_paid {
            let place = format_args!("wallet {owner}, grant {}", terms.id);
            let rule = "nothing is granted that its owner did not pay for";
            report.find(Kind::Domain, place, rule, "a payment", &terms.funding);
        }
    }
}

/// An event as the oracle reads it, or why it cannot.
fn read<'a, T: Deserialize<'a>>(
    payload: &'a str,
    event_type: &str,
    name: fn(&T) -> &'static str,
) -> Result<T, String> {
    let fact = serde_json::from_str::<T>(payload).map_err(|error| error.to_string())?;
    if name(&fact) == event_type { Ok(fact) } else { Err(name(&fact).to_owned()) }
}
