//! The rules of purchases.

use proptest::prelude::*;

use super::*;
use crate::credits::Credits;
use crate::id::UserId;
use crate::money::Money;

const AT: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn usd(amount_minor: i64) -> Money {
    Money { amount_minor, currency: "usd".parse().expect("a currency") }
}

fn order() -> Order {
    Order {
        user: UserId::default(),
        pack: crate::id::PackId::default(),
        version: 1,
        name: "Starter".into(),
        credits: Credits::new(200),
        bonus: Credits::new(20),
        price: usd(900),
        lasts_days: Some(30),
    }
}

fn paying(amount_minor: i64) -> Ask {
    Ask::Pay { payment: Payment { intent: "pi_1".into(), paid: usd(amount_minor) } }
}

fn opening() -> Ask {
    Ask::OpenCheckout { checkout: "cs_1".into(), expires_at: AT, keeps_card: false }
}

fn reversing(reversed_minor: i64) -> Ask {
    reversing_after(0, reversed_minor)
}

fn reversing_after(after: u32, reversed_minor: i64) -> Ask {
    let reversal =
        Reversal { refunded_minor: reversed_minor, reversed_minor, ..Reversal::default() };
    Ask::SetReversal { reversal, after }
}

/// What comes of these, one after the other; refusals are told and change nothing.
fn after(asks: impl IntoIterator<Item = Ask>) -> (Purchase, Vec<PurchaseError>) {
    let (mut purchase, mut refused) = (Purchase::default(), vec![]);
    for ask in asks {
        match purchase.decide(PurchaseCommand { now: AT, ask }) {
            Ok(events) => events.into_iter().for_each(|event| purchase.apply(event)),
            Err(error) => refused.push(error),
        }
    }
    (purchase, refused)
}

fn stage(asks: impl IntoIterator<Item = Ask>) -> Stage {
    let (purchase, refused) = after(asks);
    assert_eq!(refused, []);
    purchase.stage()
}

#[test]
fn a_purchase_is_ordered_paid_and_fulfilled() {
    let create = || Ask::Create { order: order() };
    assert_eq!(stage([create(), opening()]), Stage::CheckoutOpened);
    assert_eq!(stage([create(), opening(), paying(900), Ask::Fulfil]), Stage::Fulfilled);
    let twice = [create(), create(), opening(), opening(), paying(900), paying(900)];
    assert_eq!(stage(twice.into_iter().chain([Ask::Fulfil, Ask::Fulfil])), Stage::Fulfilled);
    assert_eq!(after([opening()]).1, [PurchaseError::Unknown]);
    assert_eq!(after([create(), Ask::Fulfil]).1, [PurchaseError::NotPaid]);
    let other = Ask::Create { order: Order { price: usd(1), ..order() } };
    assert_eq!(after([create(), other]).1, [PurchaseError::Exists]);
}

/// T12: completed and unpaid, then paid, in both orders.
#[test]
fn a_payment_that_takes_days_is_known_in_whatever_order_it_is_told() {
    let create = || Ask::Create { order: order() };
    let told = [create(), opening(), Ask::AwaitPayment, paying(900)];
    assert_eq!(stage(told), Stage::Paid);
    let told = [create(), opening(), paying(900), Ask::AwaitPayment];
    assert_eq!(stage(told), Stage::Paid);
    assert_eq!(stage([create(), opening(), Ask::AwaitPayment, Ask::Fail]), Stage::PaymentFailed);
}

#[test]
fn money_that_has_come_counts_whatever_was_known_before() {
    for end in [Ask::Expire, Ask::Fail] {
        let told = [Ask::Create { order: order() }, opening(), end.clone(), paying(900), end];
        assert_eq!(stage(told), Stage::Paid);
    }
}

#[test]
fn what_was_not_asked_for_is_quarantined_until_somebody_accepts_it() {
    let euros = Money { amount_minor: 900, currency: "eur".parse().expect("a currency") };
    for paid in [usd(899), usd(901), euros] {
        let pay = Ask::Pay { payment: Payment { intent: "pi_1".into(), paid } };
        let told = || [Ask::Create { order: order() }, opening(), pay.clone()];
        let (purchase, _) = after(told());
        assert_eq!(purchase.stage(), Stage::Quarantined);
        assert_eq!(purchase.grants(PurchaseId::default()), []);
        let accepted = told().into_iter().chain([Ask::Accept { reason: "rounding".into() }]);
        assert_eq!(after(accepted).0.stage(), Stage::Paid);
    }
}

#[test]
fn a_purchase_is_paid_once() {
    let again = Ask::Pay { payment: Payment { intent: "pi_2".into(), paid: usd(900) } };
    let told = [Ask::Create { order: order() }, opening(), paying(900), again];
    assert_eq!(after(told).1, [PurchaseError::PaidAlready]);
}

#[test]
fn the_grants_are_those_of_the_order_and_always_the_same() {
    let id = PurchaseId(uuid::Uuid::from_u128(7));
    let (purchase, _) = after([Ask::Create { order: order() }, opening(), paying(900)]);
    let grants = purchase.grants(id);
    let amounts: Vec<_> = grants.iter().map(|grant| (grant.kind, grant.amount.get())).collect();
    assert_eq!(amounts, [(GrantKind::Purchased, 200), (GrantKind::Bonus, 20)]);
    assert!(grants.iter().all(|grant| grant.expires_at == Some(AT + TimeDelta::days(30))));
    assert!(grants.iter().all(|grant| grant.reversal_group == Some(ReversalGroup(id.0))));
    assert_eq!(purchase.grants(id), grants);
    assert_ne!(grants[0].id, grants[1].id);
}

#[test]
fn what_is_reversed_is_part_of_what_was_paid() {
    let paid = || [Ask::Create { order: order() }, opening(), paying(900)];
    for (reversed, refused) in [(0, false), (450, false), (900, false), (901, true), (-1, true)] {
        let (purchase, errors) = after(paid().into_iter().chain([reversing(reversed)]));
        assert_eq!(errors.is_empty(), !refused, "{reversed}");
        let known = purchase.reversal().reversed_minor;
        assert_eq!(known, if refused { 0 } else { reversed });
    }
    let early = [Ask::Create { order: order() }, reversing(1)];
    assert_eq!(after(early).1, [PurchaseError::NotPaid]);
}

#[test]
fn what_is_paid_is_refunded_unless_a_bank_may_take_it_or_it_is_given_back() {
    let refund = || Ask::Refund { reason: "asked for by mail".into() };
    let create = || Ask::Create { order: order() };
    assert_eq!(after([create(), refund()]).1, [PurchaseError::NotPaid]);
    for paid in [paying(900), paying(899)] {
        assert_eq!(after([create(), paid.clone(), refund(), refund()]).1, []);
        let reversal = Reversal { disputed: true, ..Reversal::default() };
        let disputed = Ask::SetReversal { reversal, after: 0 };
        let told = [create(), paid.clone(), disputed, refund()];
        assert_eq!(after(told).1, [PurchaseError::Disputed]);
        assert_eq!(after([create(), paid, reversing(450), refund()]).1, []);
    }
    let told = [create(), paying(900), reversing(900), refund()];
    assert_eq!(after(told).1, [PurchaseError::GivenBack]);
}

/// Of two who read, the one who read before does not undo what the other has noted.
#[test]
fn an_older_reading_of_what_is_reversed_does_not_count() {
    let paid = || [Ask::Create { order: order() }, opening(), paying(900)];
    let told = [reversing_after(0, 500), reversing_after(0, 100)];
    let (purchase, refused) = after(paid().into_iter().chain(told));
    assert_eq!(refused, [PurchaseError::ReversalMoved]);
    assert_eq!(purchase.reversal().reversed_minor, 500);
    let told = [reversing_after(0, 500), reversing_after(0, 500), reversing_after(1, 100)];
    let (purchase, refused) = after(paid().into_iter().chain(told));
    assert_eq!((purchase.reversal().reversed_minor, refused), (100, vec![]));
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        Just(Ask::Create { order: order() }),
        Just(opening()),
        Just(Ask::AwaitPayment),
        Just(Ask::Fail),
        Just(Ask::Expire),
        (899..=901_i64).prop_map(paying),
        Just(Ask::Accept { reason: "test".into() }),
        Just(Ask::Refund { reason: "test".into() }),
        Just(Ask::Fulfil),
        (0..=900_i64).prop_map(reversing),
    ]
}

proptest! {
    /// Once paid as asked, a purchase stays paid, and grants the same for ever.
    #[test]
    fn what_was_paid_is_never_unpaid(asks in proptest::collection::vec(ask(), 1..30)) {
        let (mut purchase, mut grants) = (Purchase::default(), vec![]);
        for ask in asks {
            let command = PurchaseCommand { now: AT, ask };
            for event in purchase.decide(command).unwrap_or_default() {
                purchase.apply(event);
            }
            let now = purchase.grants(PurchaseId::default());
            prop_assert!(grants.is_empty() || now == grants);
            grants = now;
        }
    }
}
