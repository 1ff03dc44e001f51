//! Random histories: whatever people, banks and time do, the books of the double add up.

use crate::stripe::{Funds, Mood, StripeDouble};
use serde_json::Value;

use crate::support::{DAY, Shop, text};

/// Numbers that a seed decides.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("a small number") % sides
    }

    fn pick(&mut self, objects: &[Value]) -> Option<String> {
        if objects.is_empty() {
            return None;
        }
        Some(text(&objects[self.roll(objects.len())]["id"]))
    }
}

#[tokio::test]
async fn the_books_add_up_whatever_happens() {
    for seed in 0..8 {
        let shop = Shop::open().await;
        let mut dice = Dice(seed);
        for _ in 0..60 {
            step(&shop, &mut dice).await;
        }
        shop.stripe.advance(400 * DAY);
        balance(&shop.stripe, seed);
    }
}

async fn step(shop: &Shop, dice: &mut Dice) {
    let moods =
        [Mood::Pays, Mood::Declines("insufficient_funds"), Mood::Authenticates, Mood::Processes];
    let stripe = &shop.stripe;
    match dice.roll(9) {
        0 => drop(stripe.pay_checkout(&shop.checkout().await)),
        1 => drop(stripe.pay_checkout_slowly(&shop.checkout().await)),
        2 => drop(shop.subscribed(&shop.basic).await),
        3 => stripe.advance(i64::try_from(dice.roll(20)).expect("a small number") * DAY),
        4 => stripe.cards_of(&shop.customer, moods[dice.roll(4)]),
        5 => reverse(stripe, dice),
        6 => settle(stripe, dice),
        7 => change(shop, dice).await,
        _ => {
            let open = of_status(stripe, "invoice", "open");
            if let Some(invoice) = dice.pick(&open) {
                stripe.pay_invoice(&invoice);
            }
        }
    }
}

fn of_status(stripe: &StripeDouble, kind: &str, status: &str) -> Vec<Value> {
    let mut objects = stripe.objects(kind);
    objects.retain(|object| object["status"] == *status);
    objects
}

fn reverse(stripe: &StripeDouble, dice: &mut Dice) {
    let Some(intent) = dice.pick(&of_status(stripe, "payment_intent", "succeeded")) else { return };
    match (dice.roll(3), stripe.refundable(&intent)) {
        (0, _) => {
            let dispute = stripe.open_dispute(&intent, Some(100), Funds::Withdrawn);
            match dice.roll(3) {
                0 => stripe.win_dispute(&dispute),
                1 => stripe.lose_dispute(&dispute),
                _ => {}
            }
        }
        (_, left) if left > 1 => {
            let refund = stripe.refund(&intent, Some(left / 2));
            if dice.roll(3) == 0 {
                stripe.fail_refund(&refund);
            }
        }
        _ => {}
    }
}

fn settle(stripe: &StripeDouble, dice: &mut Dice) {
    if let Some(intent) = dice.pick(&of_status(stripe, "payment_intent", "processing")) {
        match dice.roll(2) {
            0 => stripe.complete_processing(&intent),
            _ => stripe.fail_processing(&intent),
        }
    }
    if let Some(intent) = dice.pick(&of_status(stripe, "payment_intent", "requires_action")) {
        match dice.roll(2) {
            0 => stripe.authenticate(&intent),
            _ => stripe.fail_authentication(&intent),
        }
    }
}

async fn change(shop: &Shop, dice: &mut Dice) {
    let Some(id) = dice.pick(&of_status(&shop.stripe, "subscription", "active")) else { return };
    let item = text(&shop.stripe.object(&id)["items"]["data"][0]["id"]);
    let behaviors = ["pending_if_incomplete", "allow_incomplete", "error_if_incomplete"];
    let form = [
        ("items[0][id]", item.as_str()),
        ("items[0][price]", [&shop.basic, &shop.pro][dice.roll(2)]),
        ("proration_behavior", ["always_invoice", "create_prorations", "none"][dice.roll(3)]),
        ("payment_behavior", behaviors[dice.roll(3)]),
    ];
    let (status, body) = shop.post(&format!("subscriptions/{id}"), &form).await;
    assert!([200, 402].contains(&status), "{body}");
    match dice.roll(4) {
        0 => drop(shop.stripe.portal_cancel(&id)),
        1 => drop(shop.stripe.cancel_now(&id)),
        _ => {}
    }
}

fn balance(stripe: &StripeDouble, seed: u64) {
    let truth = stripe.truth();
    for payment in &truth.payments {
        assert!(payment.refunded <= payment.paid, "{seed}: {payment:?}");
        assert!(payment.paid == 0 || payment.status == "succeeded", "{seed}: {payment:?}");
    }
    for invoice in &truth.invoices {
        let paid = invoice.payment_intent.as_deref().and_then(|intent| truth.payment(intent));
        let paid = paid.map_or(0, |payment| payment.paid);
        assert_eq!(invoice.amount_paid, paid, "{seed}: {invoice:?}");
        assert_eq!(invoice.total, invoice.lines.iter().map(|line| line.amount).sum::<i64>());
    }
    for subscription in &truth.subscriptions {
        let ended = ["canceled", "incomplete_expired"].contains(&subscription.status.as_str());
        assert_eq!(ended, subscription.ended_at.is_some(), "{seed}: {subscription:?}");
        assert!(ended || subscription.period_end > stripe.now(), "{seed}: {subscription:?}");
    }
}
