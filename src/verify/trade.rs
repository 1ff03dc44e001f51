//! What is on sale and what was bought, as the oracle follows it: nothing is granted that was not
//! paid for, and what was paid for is granted as it was ordered.

use std::collections::HashMap;

use aggregates::event::Event;
use serde::Deserialize;
use uuid::Uuid;

use super::facts::Terms;
use super::fold::WalletTrail;
use super::offers::{self, Offered, PackTerms, PlanTerms};
use super::plans::{self, Subscribed};
use super::purchases::{self, Trade};
use super::recharges::{self, RechargeTrail};
use super::report::{Kind, Report};
use super::shop::Shop;

/// Purchases, packs and plans, by their ids; auto-recharges, by whose they are.
#[derive(Debug, Default)]
pub(super) struct Trades {
    purchases: HashMap<Uuid, Trade>,
    subscriptions: HashMap<Uuid, Subscribed>,
    recharges: HashMap<Uuid, RechargeTrail>,
    offers: HashMap<Uuid, Offered>,
    /// How far the read models of all this have come, and what they must say there.
    reached: i64,
    pub(super) shop: Shop,
}

/// An event of a purchase, an offer, or a chat.
pub(super) struct Deal<'a> {
    pub(super) kind: &'a str,
    pub(super) id: Uuid,
    pub(super) event_type: &'a str,
    pub(super) version: &'a str,
    pub(super) payload: &'a str,
}

impl Trades {
    /// Nothing yet; the read models have come up to this position.
    pub(super) fn up_to(reached: i64) -> Self {
        Self { reached, ..Self::default() }
    }

    /// Whether streams of this kind are followed here.
    pub(super) fn know(kind: &str) -> bool {
        matches!(kind, "purchase" | "subscription" | "pack" | "plan" | "recharge")
    }

    pub(super) fn join(&mut self, other: Self) {
        self.purchases.extend(other.purchases);
        self.subscriptions.extend(other.subscriptions);
        self.recharges.extend(other.recharges);
        self.offers.extend(other.offers);
        self.shop.join(other.shop);
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
            _ => &mut self.offers.entry(*id).or_default().sequence,
        };
        if sequence != *length + 1 {
            let expected = *length + 1;
            report.find(Kind::Sequence, place, "a stream has no holes", expected, sequence);
        }
        *length = sequence;
        match self.enter(deal, position) {
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

    /// Enters what an event says: the rule that it breaks, where it breaks one, or why it cannot be
    /// read.
    fn enter(&mut self, deal: &Deal<'_>, position: i64) -> Result<Option<&'static str>, String> {
        let Deal { kind, id, event_type, payload, .. } = *deal;
        // What the read models have not seen is shown nowhere.
        let mut nowhere = Shop::default();
        let shop = if position <= self.reached { &mut self.shop } else { &mut nowhere };
        Ok(match kind {
            "purchase" => {
                let fact = read(payload, event_type, purchases::Fact::name)?;
                shop.purchase(id, &fact);
                self.purchases.entry(id).or_default().enter(fact)
            }
            "subscription" => {
                let fact = read(payload, event_type, plans::Fact::name)?;
                shop.subscription(id, &fact);
                self.subscriptions.entry(id).or_default().enter(fact)
            }
            "recharge" => {
                let fact = read(payload, event_type, recharges::Fact::name)?;
                shop.recharge(id, &fact);
                self.recharges.entry(id).or_default().enter(fact)
            }
            "pack" => {
                let fact = read(payload, event_type, offers::Fact::<PackTerms>::name)?;
                shop.pack(id, &fact);
                self.offers.entry(id).or_default().enter(&fact)
            }
            _ => {
                let fact = read(payload, event_type, offers::Fact::<PlanTerms>::name)?;
                shop.plan(id, &fact);
                self.offers.entry(id).or_default().enter(&fact)
            }
        })
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
pub(super) fn read<'a, T: Deserialize<'a>>(
    payload: &'a str,
    event_type: &str,
    name: fn(&T) -> &'static str,
) -> Result<T, String> {
    let fact = serde_json::from_str::<T>(payload).map_err(|error| error.to_string())?;
    if name(&fact) == event_type { Ok(fact) } else { Err(name(&fact).to_owned()) }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Every form that an event has ever had in the log.
    #[test]
    fn what_aggregates_read_is_read_here() {
        let golden = include_str!("../../aggregates/tests/wire.jsonl").lines();
        let golden = golden.map(|line| serde_json::from_str(line).expect("a line of four"));
        let mut read = 0;
        for (kind, event_type, version, payload) in golden {
            let (kind, event_type, version): (String, String, String) = (kind, event_type, version);
            let payload = Value::to_string(&payload);
            let (id, payload) = (Uuid::nil(), payload.as_str());
            let (kind, event_type) = (kind.as_str(), event_type.as_str());
            let deal = Deal { kind, id, event_type, version: &version, payload };
            if Trades::know(kind) {
                assert!(Trades::default().enter(&deal, 0).is_ok(), "{payload}");
                read += 1;
            }
        }
        assert!(read > 50, "{read} were read");
    }
}
