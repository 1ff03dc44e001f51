//! Random lives of subscriptions, told in a random order, twice, or not at all, while people spend:
//! what is in the wallet and what is shown in the end is what Stripe's own objects say.

use std::collections::{BTreeMap, BTreeSet};

use crate::histories::{deliver, fates_of_debt, kept};
use crate::lives::Life;
use crate::plans::DAY;
use crate::seeds::{Random, histories, is_alone};
use crate::shop::Shop;
use crate::stripe::{AfterDunning, InvoiceTruth, PaymentTruth, Truth};
use crate::world::change;

fn quota(price: &str, shop: &Shop) -> i128 {
    let amount = shop.stripe.object(price)["unit_amount"].as_i64();
    if amount == Some(900) { 1_000 } else { 10_000 }
}

/// What of the quotas stands: what each invoice brings, less what of its payment is reversed.
pub fn expected(shop: &Shop, truth: &Truth) -> i128 {
    let brought = brought(shop, truth);
    let paid = truth.paid_invoices().filter(|invoice| brought.contains_key(&invoice.id));
    let stands = |invoice: &InvoiceTruth| {
        let brings = brought[&invoice.id];
        brings - taken_back(truth, invoice, brings)
    };
    paid.map(stands).sum()
}

/// What each invoice brings: what it makes a period worth beyond what that was worth at its best, in
/// the order in which they were paid.
pub fn brought(shop: &Shop, truth: &Truth) -> BTreeMap<String, i128> {
    let mut paid: Vec<&InvoiceTruth> = truth.paid_invoices().collect();
    paid.sort_by_key(|invoice| (invoice.paid_at, invoice.created, &invoice.id));
    let lines = || paid.iter().flat_map(|it| it.lines.iter().map(|line| (&it.subscription, line)));
    let whole = lines().filter(|(_, line)| !line.proration);
    let periods: BTreeSet<_> = whole.map(|(of, line)| (of, line.start, line.end)).collect();
    let mut brought = BTreeMap::new();
    for (subscription, start, end) in periods {
        let (mut worth, mut best) = (0_i128, 0_i128);
        for invoice in paid.iter().filter(|invoice| invoice.subscription == *subscription) {
            for line in invoice.lines.iter().filter(|line| line.end == end && line.start >= start) {
                let part = quota(&line.price, shop) * i128::from(line.end - line.start);
                worth += if line.proration && line.amount < 0 { -part } else { part };
            }
            let brings = (worth.max(0) / i128::from(end - start) - best).max(0);
            best += brings;
            *brought.entry(invoice.id.clone()).or_default() += brings;
        }
    }
    brought
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

async fn history(seed: u64) -> BTreeSet<&'static str> {
    let shop = Shop::open_with(100 * DAY, &[("SALDO_DISPUTED", "keep")]).await;
    let mut random = Random(seed);
    let ends = [AfterDunning::Cancel, AfterDunning::Unpaid, AfterDunning::PastDue];
    shop.stripe.after_dunning(ends[random.below(ends.len())]);
    let mut life = Life::begin(&shop, 100 * DAY).await;
    life.start(&shop, &mut random, seed).await;
    for _ in 0..18 {
        life.step(&shop, &mut random).await;
        if life.heals(&shop) && random.once_in(2) {
            shop.stripe.lose_some(30, random.below(1 << 20) as u64);
        }
        if !life.heals(&shop) || random.once_in(3) {
            deliver(&shop, &mut random).await;
        }
        if random.once_in(3) {
            shop.until(|| shop.is_quiet()).await;
        }
        let quarters = random.below(7).min(4);
        life.spent += shop.spend_some(quarters).await;
    }
    deliver(&shop, &mut random).await;
    // Stripe's clock is behind ours: what it told lately was long before we looked last.
    change(&shop.database, "delete from stripe_cursor").await;
    change(&shop.database, "select graphile_worker.add_job('heal', '{}'::json)").await;
    shop.until(|| shop.is_quiet()).await;
    // What comes too late for its time lasts as long as it would have: nothing expires on the way, so
    // that what there is, is what came and was not spent.
    let (truth, spent) = (shop.stripe.truth(), life.spent);
    let came = 100 + kept(&truth) + i64::try_from(expected(&shop, &truth)).expect("fits");
    assert_eq!(shop.balance().await, came - spent, "spent {spent}: {truth:#?}");
    shop.shows_the_subscription_as_at(&truth).await;
    shop.shows_invoices_as_at(&truth, &brought(&shop, &truth)).await;
    shop.shows_packs_as_at(&truth).await;
    life.came_to.extend(fates_of_debt(&shop).await);
    shop.close().await;
    life.came_to
}

#[tokio::test]
async fn whatever_is_told_however_quota_ends_where_stripe_is() {
    let came_to = histories(&[100, 101, 102, 103, 104], history).await;
    let debt = ["indebted", "repaid", "forgiven"];
    let life = ["change", "cancel", "resume", "begun anew", "paid later"];
    let all = debt.into_iter().chain(life).all(|what| came_to.contains(what));
    assert!(all || is_alone(), "the histories came to no more than {came_to:?}");
}
