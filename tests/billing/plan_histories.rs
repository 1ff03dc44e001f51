//! Random lives of a subscription, told in a random order, twice, or not at all: what is in the wallet
//! in the end is what Stripe's own objects say.

use std::collections::BTreeSet;

use crate::histories::{Random, kept};
use crate::plans::DAY;
use crate::shop::Shop;
use crate::stripe::{Funds, InvoiceTruth, Manner, PaymentTruth, Truth};
use crate::world::change;

/// What a subscription is, and what became of its payments so far.
struct Life {
    subscription: String,
    refunds: Vec<String>,
    disputes: Vec<String>,
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

async fn step(shop: &Shop, random: &mut Random, life: &mut Life, now: i64) {
    let some = shop.refundable_invoice(random);
    match (random.below(11), some) {
        (9..=10, _) => {
            let key = format!("{}", shop.stripe.objects("checkout.session").len());
            let (_, checkout) = shop.order("Starter", &key).await;
            shop.stripe.pay_checkout(&checkout);
            if random.below(2) == 0 {
                let amount = (random.below(2) == 0).then_some(300);
                life.refunds.push(shop.stripe.refund(&checkout, amount));
            }
        }
        (0..=1, _) => {
            let object = shop.stripe.object(&life.subscription);
            let end = object["items"]["data"][0]["current_period_end"].as_i64().expect("an end");
            if end + DAY < now {
                shop.stripe.renew(&life.subscription);
            }
        }
        (2..=4, _) => {
            shop.stripe.advance(((now - shop.stripe.now()) / 20).min(2 * DAY));
            let amount = if random.below(2) == 0 { 900 } else { 2_900 };
            shop.stripe.portal_change_plan(&life.subscription, &shop.price(amount));
        }
        (5..=6, Some(invoice)) => {
            let left = shop.stripe.refundable(&invoice);
            let amount = (random.below(3) > 0).then_some(left / 3);
            life.refunds.push(shop.stripe.refund(&invoice, amount));
        }
        (7, _) if !life.refunds.is_empty() => {
            let refund = life.refunds.swap_remove(random.below(life.refunds.len()));
            shop.stripe.fail_refund(&refund);
        }
        (8, _) if !life.disputes.is_empty() => {
            let dispute = life.disputes.swap_remove(random.below(life.disputes.len()));
            match random.below(2) {
                0 => shop.stripe.win_dispute(&dispute),
                _ => shop.stripe.lose_dispute(&dispute),
            }
        }
        (_, Some(invoice)) => {
            life.disputes.push(shop.stripe.open_dispute(&invoice, None, Funds::Withdrawn));
        }
        (_, None) => {}
    }
}

fn quota(price: &str, shop: &Shop) -> i128 {
    let amount = shop.stripe.object(price)["unit_amount"].as_i64();
    if amount == Some(900) { 1_000 } else { 10_000 }
}

/// What of the quotas stands: each invoice brings what it makes a period worth beyond what it was
/// worth at its best, less what of its payment is reversed.
pub fn expected(shop: &Shop, truth: &Truth) -> i128 {
    let paid: Vec<&InvoiceTruth> = truth.paid_invoices().collect();
    let lines = || paid.iter().flat_map(|invoice| &invoice.lines);
    let periods: BTreeSet<_> =
        lines().filter(|line| !line.proration).map(|line| (line.start, line.end)).collect();
    let mut stands = 0;
    for (start, end) in periods {
        let (mut worth, mut best) = (0_i128, 0_i128);
        for invoice in &paid {
            for line in invoice.lines.iter().filter(|line| line.end == end && line.start >= start) {
                let part = quota(&line.price, shop) * i128::from(line.end - line.start);
                worth += if line.proration && line.amount < 0 { -part } else { part };
            }
            let brings = (worth.max(0) / i128::from(end - start) - best).max(0);
            best += brings;
            stands += brings - taken_back(truth, invoice, brings);
        }
    }
    stands
}

fn taken_back(truth: &Truth, invoice: &InvoiceTruth, brings: i128) -> i128 {
    let intent = invoice.payment_intent.as_deref();
    let reversed =
        intent.and_then(|intent| truth.payment(intent)).map_or(0, PaymentTruth::reversed);
    match invoice.amount_paid {
        0 => 0,
        paid if paid == reversed => brings,
        paid => brings * i128::from(reversed) / i128::from(paid),
    }
}

/// Waits until Stripe lists both plans.
pub async fn until_listed(shop: &Shop) {
    let listed = || async {
        let prices = shop.stripe.objects("price");
        prices.iter().filter(|price| !price["recurring"].is_null()).count() >= 2
    };
    shop.until(listed).await;
}

async fn history(seed: u64) {
    let shop = Shop::open_ago(100 * DAY).await;
    let now = shop.stripe.now() + 100 * DAY;
    let mut random = Random(seed);
    let subscription = shop.subscribed("Basic", "one").await;
    until_listed(&shop).await;
    let mut life = Life { subscription, refunds: vec![], disputes: vec![] };
    for number in 0..24 {
        step(&shop, &mut random, &mut life, now).await;
        let manner = Manner::shuffled(seed + number);
        let manner = if random.below(2) == 0 { manner.twice() } else { manner };
        // What is older is not in the list of events that heals: it is not lost.
        let heals = shop.stripe.now() > now - 28 * DAY;
        if heals && random.below(2) == 0 {
            shop.stripe.lose_some(30, seed);
        }
        if !heals || random.below(3) == 0 {
            shop.stripe.deliver_in(manner).await;
        }
    }
    shop.stripe.deliver().await;
    // Stripe's clock is behind ours: what it told lately was long before we looked last.
    change(&shop.database, "delete from stripe_cursor").await;
    change(&shop.database, "select graphile_worker.add_job('heal', '{}'::json)").await;
    shop.until(|| shop.is_quiet()).await;
    let (wallet, truth) = (shop.wallet().await, shop.stripe.truth());
    let expected = 100 + i128::from(kept(&truth)) + expected(&shop, &truth);
    assert_eq!(
        wallet["available"],
        i64::try_from(expected).expect("fits"),
        "seed {seed}: {truth:#?}"
    );
    assert_eq!(wallet["debt"], 0);
    let status = shop.subscription().await["status"].clone();
    assert_eq!(status, truth.subscriptions[0].status.as_str(), "seed {seed}");
    shop.close().await;
}

#[tokio::test]
async fn whatever_is_told_however_quota_ends_where_stripe_is() {
    for seed in 100..105 {
        history(seed).await;
    }
}
