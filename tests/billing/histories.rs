//! Random histories, told in a random order, twice, or not at all, while people spend: what is in the
//! wallet and what is shown in the end is what Stripe's own objects say.

use std::collections::BTreeSet;

use reqwest::Method;

use crate::seeds::{Random, histories, is_alone};
use crate::shop::Shop;
use crate::stripe::{Funds, Manner, Truth};
use crate::world::{ask, change};

/// What was bought, and what became of it so far.
#[derive(Default)]
struct Payments {
    /// Pages that nobody has paid.
    open: Vec<String>,
    /// What is paid by a method that takes days.
    slow: Vec<String>,
    paid: Vec<String>,
    refunds: Vec<String>,
    pending: Vec<String>,
    disputes: Vec<String>,
    spent: i64,
}

impl Payments {
    async fn step(&mut self, shop: &Shop, random: &mut Random, number: usize) {
        let refundable = |checkout: &&String| shop.stripe.refundable(checkout) > 100;
        let some = self.paid.iter().find(refundable).cloned();
        match (random.below(16), some) {
            (0..=2, _) | (7.., None) => {
                let checkout = order(shop, random, number).await;
                shop.stripe.pay_checkout(&checkout);
                self.paid.push(checkout);
            }
            (3, _) => {
                let checkout = order(shop, random, number).await;
                shop.stripe.pay_checkout_slowly(&checkout);
                self.slow.push(checkout);
            }
            (4..=5, _) if !self.slow.is_empty() => self.come_of_slow(shop, random),
            (6, _) if !self.open.is_empty() => self.come_of_open(shop, random),
            (4..=6, _) => self.open.push(order(shop, random, number).await),
            (7..=9, Some(checkout)) => {
                let left = shop.stripe.refundable(&checkout);
                let amount = (!random.once_in(3)).then_some(left / 3);
                shop.stripe.refunds_wait(random.once_in(3));
                let refund = shop.stripe.refund(&checkout, amount);
                let waits = shop.stripe.object(&refund)["status"] == "pending";
                if waits { &mut self.pending } else { &mut self.refunds }.push(refund);
            }
            (10..=11, Some(_)) if !self.refunds.is_empty() => {
                let refund = random.take(&mut self.refunds).expect("a refund");
                shop.stripe.fail_refund(&refund);
            }
            (12, Some(_)) if !self.pending.is_empty() => {
                let refund = random.take(&mut self.pending).expect("a refund");
                match random.below(2) {
                    0 => shop.stripe.settle_refund(&refund),
                    _ => shop.stripe.fail_refund(&refund),
                }
            }
            (13..=14, Some(_)) if !self.disputes.is_empty() => {
                let dispute = random.take(&mut self.disputes).expect("a dispute");
                decide(shop, random, &dispute);
            }
            (_, Some(checkout)) => {
                if random.once_in(2) {
                    self.spent += dispute_what_is_spent(shop, random, &checkout).await;
                    return;
                }
                let amount = random.once_in(2).then_some(300);
                let funds = if random.once_in(4) { Funds::Untouched } else { Funds::Withdrawn };
                self.disputes.push(shop.stripe.open_dispute(&checkout, amount, funds));
            }
        }
    }

    /// The money comes, or it does not.
    fn come_of_slow(&mut self, shop: &Shop, random: &mut Random) {
        let checkout = random.take(&mut self.slow).expect("a payment");
        if random.once_in(2) {
            shop.stripe.fail_processing(&checkout);
        } else {
            shop.stripe.complete_processing(&checkout);
            self.paid.push(checkout);
        }
    }

    /// Somebody is declined, comes back, or does not.
    fn come_of_open(&mut self, shop: &Shop, random: &mut Random) {
        let checkout = random.take(&mut self.open).expect("a page");
        match random.below(3) {
            0 => {
                shop.stripe.decline_checkout(&checkout, "card_declined");
                self.open.push(checkout);
            }
            1 => {
                shop.stripe.pay_checkout(&checkout);
                self.paid.push(checkout);
            }
            _ => {
                shop.stripe.expire_checkout(&checkout);
            }
        }
    }
}

/// Orders a pack; the checkout.
async fn order(shop: &Shop, random: &mut Random, number: usize) -> String {
    let pack = if random.once_in(2) { "Starter" } else { "Pro" };
    shop.order(pack, &number.to_string()).await.1
}

/// All is spent before the bank asks, and the bank decides soon: what was owed meanwhile may be
/// forgiven. How much was spent.
pub async fn dispute_what_is_spent(shop: &Shop, random: &mut Random, payment: &str) -> i64 {
    shop.until(|| shop.is_quiet()).await;
    let spent = shop.spend_some(4).await;
    let dispute = shop.stripe.open_dispute(payment, None, Funds::Withdrawn);
    deliver(shop, random).await;
    shop.until(|| shop.is_quiet()).await;
    decide(shop, random, &dispute);
    deliver(shop, random).await;
    spent
}

/// What a bank says in the end, and maybe takes back.
pub fn decide(shop: &Shop, random: &mut Random, dispute: &str) {
    match random.below(3) {
        0 => shop.stripe.win_dispute(dispute),
        1 => shop.stripe.lose_dispute(dispute),
        _ => {
            shop.stripe.lose_dispute(dispute);
            shop.stripe.reinstate_funds(dispute, None);
        }
    }
}

/// What the wallet must have, where nothing was spent: 100 for signing up, and of each pack what
/// stands of its payment (I6).
pub fn expected(shop: &Shop) -> i64 {
    100 + kept(&shop.stripe.truth())
}

/// What stands of the packs.
pub fn kept(truth: &Truth) -> i64 {
    let packs = truth.payments.iter().filter(|payment| !payment.metadata["purchase"].is_null());
    let kept = packs.map(|payment| {
        let (paid, reversed) = (i128::from(payment.paid), i128::from(payment.reversed()));
        let credits = match payment.paid {
            0 => 0,
            900 => 200,
            1_900 => 500,
            other => panic!("no pack is sold for {other}"),
        };
        let target = if reversed == paid { credits } else { credits * reversed / paid.max(1) };
        i64::try_from(credits - target).expect("a pack")
    });
    kept.sum()
}

/// Delivers what waits in some order, maybe twice, one by one or all at once.
pub async fn deliver(shop: &Shop, random: &mut Random) {
    let manner = Manner::shuffled(random.below(1 << 20) as u64);
    let manner = if random.once_in(2) { manner.twice() } else { manner };
    let manner = if random.once_in(4) { manner } else { manner.at_once() };
    shop.stripe.deliver_in(manner).await;
}

/// What became of debt: made, repaid, forgiven. A history in which nobody owes proves nothing of it.
pub async fn fates_of_debt(shop: &Shop) -> BTreeSet<&'static str> {
    let path = "/wallet/transactions?limit=200";
    let history = ask(&shop.server, Method::GET, path, &shop.ada.access).await;
    let (mut fates, mut before) = (BTreeSet::new(), 0);
    for row in history.body["items"].as_array().expect("rows").iter().rev() {
        let debt = row["debt_after"].as_i64().expect("a number");
        match row["kind"].as_str() {
            Some("clawback") if debt > before => fates.insert("indebted"),
            Some("debt_repayment") => fates.insert("repaid"),
            Some("reinstatement") if debt < before => fates.insert("forgiven"),
            _ => false,
        };
        before = debt;
    }
    fates
}

async fn history(seed: u64) -> BTreeSet<&'static str> {
    let shop = Shop::open_with(0, &[("SALDO_DISPUTED", "keep")]).await;
    let (mut random, mut payments) = (Random(seed), Payments::default());
    for number in 0..20 {
        payments.step(&shop, &mut random, number).await;
        if random.once_in(3) {
            shop.stripe.lose_some(30, random.below(1 << 20) as u64);
        }
        if random.once_in(2) {
            deliver(&shop, &mut random).await;
        }
        if random.once_in(2) {
            shop.until(|| shop.is_quiet()).await;
        }
        let quarters = random.below(7).min(4);
        payments.spent += shop.spend_some(quarters).await;
    }
    shop.stripe.lose_some(30, seed);
    deliver(&shop, &mut random).await;
    change(&shop.database, "select graphile_worker.add_job('heal', '{}'::json)").await;
    shop.until(|| shop.is_quiet()).await;
    // Nothing of it expires: what there is, is what came and was not spent, whatever the order (I11).
    let (truth, spent) = (shop.stripe.truth(), payments.spent);
    assert_eq!(shop.balance().await, 100 + kept(&truth) - spent, "spent {spent}: {truth:#?}");
    shop.shows_packs_as_at(&truth).await;
    let fates = fates_of_debt(&shop).await;
    shop.close().await;
    fates
}

#[tokio::test]
async fn whatever_is_told_however_the_wallet_ends_where_stripe_is() {
    let fates = histories(&[11, 23, 37], history).await;
    assert!(fates.len() == 3 || is_alone(), "nobody had debt of every fate: {fates:?}");
}
