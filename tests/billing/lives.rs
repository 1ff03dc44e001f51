//! What becomes of a subscription, by chance: it is renewed or not paid, changed, ended, gone on with
//! and begun anew, by its owner through us, in the portal and by time; and its payments are given back.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::histories::{decide, deliver, dispute_what_is_spent};
use crate::plan_histories::until_listed;
use crate::plans::DAY;
use crate::seeds::Random;
use crate::shop::Shop;
use crate::stripe::{Funds, Mood};

/// The subscription that began last, and what became of the payments so far.
pub struct Life {
    /// Our time, behind which Stripe's stays.
    now: i64,
    subscription: String,
    begun: usize,
    refunds: Vec<String>,
    disputes: Vec<String>,
    pub spent: i64,
    /// What was asked of us and done, and what else has come of it.
    pub came_to: BTreeSet<&'static str>,
}

impl Shop {
    /// The price that Stripe lists for so much.
    pub fn price(&self, amount: i64) -> String {
        let prices = self.stripe.objects("price");
        let price = prices.iter().find(|price| {
            price["unit_amount"] == amount
                && !price["recurring"].is_null()
                && price["active"] == true
        });
        price.expect("a price")["id"].as_str().expect("an id").to_owned()
    }

    /// An invoice of which something can still be given back.
    pub fn refundable_invoice(&self, random: &mut Random) -> Option<String> {
        let truth = self.stripe.truth();
        let paid = truth.paid_invoices().filter(|invoice| invoice.payment_intent.is_some());
        let ids: Vec<_> = paid.map(|invoice| invoice.id.clone()).collect();
        let ids: Vec<_> = ids.into_iter().filter(|id| self.stripe.refundable(id) > 100).collect();
        (!ids.is_empty()).then(|| ids[random.below(ids.len())].clone())
    }
}

impl Life {
    /// With both plans listed, and Stripe's clock so far behind ours.
    pub async fn begin(shop: &Shop, behind: i64) -> Self {
        let now = shop.stripe.now() + behind;
        let subscription = shop.subscribed("Basic", "begun 0").await;
        until_listed(shop).await;
        Self {
            now,
            subscription,
            begun: 0,
            refunds: vec![],
            disputes: vec![],
            spent: 0,
            came_to: BTreeSet::new(),
        }
    }

    /// What happens in few histories by chance happens at the start of some.
    pub async fn start(&mut self, shop: &Shop, random: &mut Random, seed: u64) {
        match seed % 4 {
            1 => {
                shop.cards_of(&self.subscription, Mood::Declines("card_declined"));
                self.renew(shop, random).await;
                self.pay_later(shop);
            }
            2 => {
                self.ask_for(shop, "cancel", &json!({})).await;
                self.ask_for(shop, "resume", &json!(null)).await;
            }
            3 => {
                let invoice = shop.refundable_invoice(random).expect("the first invoice");
                self.spent += dispute_what_is_spent(shop, random, &invoice).await;
            }
            _ => {}
        }
    }

    /// Whether what is lost now is found again: what is older is not in the list of events.
    pub fn heals(&self, shop: &Shop) -> bool {
        shop.stripe.now() > self.now - 27 * DAY
    }

    pub async fn step(&mut self, shop: &Shop, random: &mut Random) {
        match random.below(22) {
            0..=2 => self.renew(shop, random).await,
            3..=14 if self.is_over(shop) => self.begin_anew(shop, random).await,
            3..=4 => {
                self.pass_some(shop);
                let amount = if random.once_in(2) { 900 } else { 2_900 };
                shop.stripe.portal_change_plan(&self.subscription, &shop.price(amount));
            }
            5..=6 => {
                self.pass_some(shop);
                let plan = shop.plan(if random.once_in(2) { "Basic" } else { "Pro" }).await;
                self.ask_for(shop, "change", &json!({ "plan": plan })).await;
            }
            7..=9 => self.end_with_period(shop, random).await,
            10 => self.end_now(shop, random).await,
            11..=12 => {
                shop.cards_of(&self.subscription, Mood::Declines("card_declined"));
                self.renew(shop, random).await;
                if random.once_in(2) {
                    self.pay_later(shop);
                }
            }
            13 => shop.cards_of(&self.subscription, Mood::Pays),
            14 => self.pay_later(shop),
            15 => self.buy(shop, random).await,
            _ => self.give_back(shop, random).await,
        }
    }

    /// Asks for something; that it cannot be now is an answer.
    async fn ask_for(&mut self, shop: &Shop, what: &'static str, body: &Value) {
        let before = shop.stripe.object(&self.subscription);
        let answer = shop.manage(what, body).await;
        let known = [StatusCode::OK, StatusCode::PAYMENT_REQUIRED, StatusCode::CONFLICT];
        assert!(known.contains(&answer.status), "{what}: {:?}", answer.body);
        if answer.status == StatusCode::OK && shop.stripe.object(&self.subscription) != before {
            self.came_to.insert(what);
        }
    }

    /// With another card, on the page of the invoice.
    fn pay_later(&mut self, shop: &Shop) {
        let truth = shop.stripe.truth();
        let mut open = truth.invoices.iter().filter(|invoice| invoice.status == "open");
        if let Some(invoice) = open.next_back() {
            shop.stripe.pay_invoice(&invoice.id);
            self.came_to.insert("paid later");
        }
    }

    fn is_over(&self, shop: &Shop) -> bool {
        shop.stripe.object(&self.subscription)["status"] == "canceled"
    }

    /// Some time, so that all the history is behind us.
    fn pass_some(&self, shop: &Shop) {
        shop.stripe.advance(((self.now - shop.stripe.now()) / 20).min(2 * DAY));
    }

    /// Until the period is over and its invoice tried. Stripe tells for three days what it has to
    /// tell: what will not be found again is told on the way.
    async fn renew(&self, shop: &Shop, random: &mut Random) {
        let object = shop.stripe.object(&self.subscription);
        let end = object["items"]["data"][0]["current_period_end"].as_i64().expect("an end");
        if end + DAY >= self.now {
            return;
        }
        while shop.stripe.now() < end + 3600 {
            shop.stripe.advance((end + 3600 - shop.stripe.now()).min(2 * DAY));
            if !self.heals(shop) {
                deliver(shop, random).await;
            }
        }
    }

    /// Where it is not heard yet that the one before is over, there is no other.
    async fn begin_anew(&mut self, shop: &Shop, random: &mut Random) {
        let plan = shop.plan(if random.once_in(2) { "Basic" } else { "Pro" }).await;
        self.begun += 1;
        let answer = shop.try_subscribe(&plan, &format!("begun {}", self.begun)).await;
        if answer.status == StatusCode::CONFLICT {
            return;
        }
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        let checkout = shop.checkout_of(answer.body["id"].as_str().expect("an id"));
        shop.stripe.pay_checkout(&checkout);
        self.came_to.insert("begun anew");
        let subscription = shop.stripe.object(&checkout)["subscription"].clone();
        subscription.as_str().expect("a subscription").clone_into(&mut self.subscription);
    }

    /// It is to end with its period, or goes on.
    async fn end_with_period(&mut self, shop: &Shop, random: &mut Random) {
        let ends = !shop.stripe.object(&self.subscription)["cancel_at"].is_null();
        match (ends, random.once_in(2)) {
            (false, true) => {
                self.ask_for(shop, "cancel", &json!({})).await;
                if random.once_in(2) {
                    self.ask_for(shop, "resume", &json!(null)).await;
                }
            }
            (true, true) => self.ask_for(shop, "resume", &json!(null)).await,
            (false, false) => {
                shop.stripe.portal_cancel(&self.subscription);
            }
            (true, false) => {
                shop.stripe.portal_undo_cancel(&self.subscription);
            }
        }
    }

    async fn end_now(&mut self, shop: &Shop, random: &mut Random) {
        if random.once_in(2) {
            self.ask_for(shop, "cancel", &json!({ "when": "now" })).await;
        } else {
            shop.stripe.cancel_now(&self.subscription);
        }
    }

    async fn buy(&mut self, shop: &Shop, random: &mut Random) {
        let key = format!("pack {}", shop.stripe.objects("checkout.session").len());
        let (_, checkout) = shop.order("Starter", &key).await;
        shop.stripe.pay_checkout(&checkout);
        if random.once_in(2) {
            let amount = random.once_in(2).then_some(300);
            self.refunds.push(shop.stripe.refund(&checkout, amount));
        }
    }

    async fn give_back(&mut self, shop: &Shop, random: &mut Random) {
        let some = shop.refundable_invoice(random);
        match (random.below(7), some) {
            (0..=1, Some(invoice)) => {
                let left = shop.stripe.refundable(&invoice);
                let amount = (!random.once_in(3)).then_some(left / 3);
                self.refunds.push(shop.stripe.refund(&invoice, amount));
            }
            (2, Some(invoice)) => {
                self.disputes.push(shop.stripe.open_dispute(&invoice, None, Funds::Withdrawn));
            }
            (3, Some(invoice)) => {
                self.spent += dispute_what_is_spent(shop, random, &invoice).await;
            }
            (4, _) => {
                if let Some(refund) = random.take(&mut self.refunds) {
                    shop.stripe.fail_refund(&refund);
                }
            }
            _ => {
                if let Some(dispute) = random.take(&mut self.disputes) {
                    decide(shop, random, &dispute);
                }
            }
        }
    }
}
