//! Random histories, told in a random order, twice, or not at all: what is in the wallet in the end is
//! what Stripe's own objects say.

use crate::shop::Shop;
use crate::stripe::{Funds, Manner, Truth};
use crate::world::change;

/// xorshift64*: small, and the same each time.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).expect("31 bits") % end
    }
}

/// What was bought, and what became of it so far.
#[derive(Default)]
struct Payments {
    paid: Vec<String>,
    refunds: Vec<String>,
    disputes: Vec<String>,
}

async fn step(shop: &Shop, random: &mut Random, payments: &mut Payments, number: usize) {
    let refundable = |checkout: &&String| shop.stripe.refundable(checkout) > 100;
    let some = payments.paid.iter().find(refundable).cloned();
    match (random.below(8), some) {
        (0..=2, _) | (_, None) => {
            let (_, checkout) = shop.order("Starter", &format!("{number}")).await;
            shop.stripe.pay_checkout(&checkout);
            payments.paid.push(checkout);
        }
        (3..=4, Some(checkout)) => {
            let left = shop.stripe.refundable(&checkout);
            let amount = (random.below(3) > 0).then_some(left / 3);
            payments.refunds.push(shop.stripe.refund(&checkout, amount));
        }
        (5, Some(_)) if !payments.refunds.is_empty() => {
            let refund = payments.refunds.swap_remove(random.below(payments.refunds.len()));
            shop.stripe.fail_refund(&refund);
        }
        (6, Some(_)) if !payments.disputes.is_empty() => {
            let dispute = payments.disputes.swap_remove(random.below(payments.disputes.len()));
            match random.below(3) {
                0 => shop.stripe.win_dispute(&dispute),
                1 => shop.stripe.lose_dispute(&dispute),
                _ => {
                    shop.stripe.lose_dispute(&dispute);
                    shop.stripe.reinstate_funds(&dispute, None);
                }
            }
        }
        (_, Some(checkout)) => {
            let dispute = shop.stripe.open_dispute(&checkout, None, Funds::Withdrawn);
            payments.disputes.push(dispute);
        }
    }
}

/// What the wallet must have: 100 for signing up, and of each pack what stands of its payment (I6).
pub fn expected(shop: &Shop) -> i64 {
    100 + kept(&shop.stripe.truth())
}

/// What stands of the packs.
pub fn kept(truth: &Truth) -> i64 {
    let packs = truth.payments.iter().filter(|payment| !payment.metadata["purchase"].is_null());
    let kept = packs.map(|payment| {
        let (paid, reversed) = (i128::from(payment.paid), i128::from(payment.reversed()));
        let target = if reversed == paid { 200 } else { 200 * reversed / paid.max(1) };
        200 - i64::try_from(target).expect("at most 200")
    });
    kept.sum()
}

async fn history(seed: u64) {
    let shop = Shop::open().await;
    let (mut random, mut payments) = (Random(seed), Payments::default());
    for number in 0..14 {
        step(&shop, &mut random, &mut payments, number).await;
        if random.below(3) == 0 {
            let manner = Manner::shuffled(seed + number as u64);
            let manner = if random.below(2) == 0 { manner.twice() } else { manner };
            shop.stripe.lose_some(30, seed);
            shop.stripe.deliver_in(manner).await;
        }
    }
    shop.stripe.lose_some(30, seed);
    shop.stripe.deliver().await;
    change(&shop.database, "select graphile_worker.add_job('heal', '{}'::json)").await;
    shop.until(|| shop.is_quiet()).await;
    let wallet = shop.wallet().await;
    assert_eq!(wallet["available"], expected(&shop), "seed {seed}: {wallet}");
    assert_eq!(wallet["debt"], 0);
    shop.close().await;
}

#[tokio::test]
async fn whatever_is_told_however_the_wallet_ends_where_stripe_is() {
    for seed in [11, 23, 37] {
        history(seed).await;
    }
}
