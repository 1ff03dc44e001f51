//! The rules of auto-recharge.

use super::*;

#[test]
fn it_is_turned_on_with_consent_and_off_again() {
    recharge()
        .given_no_previous_events()
        .when(now(turn_on(terms())))
        .then_expect_events(vec![turned_on()]);
    recharge().given(vec![turned_on()]).when(now(turn_on(terms()))).then_expect_events(vec![]);
    let off = || now(Ask::TurnOff { why: OffReason::Asked });
    recharge().given_no_previous_events().when(off()).then_expect_events(vec![]);
    recharge()
        .given(vec![turned_on()])
        .when(off())
        .then_expect_events(vec![turned_off(OffReason::Asked)]);
}

#[test]
fn terms_that_buy_nothing_are_refused() {
    let none = Terms { threshold: Credits::ZERO, ..terms() };
    let low = Terms { monthly_cap: usd(PRICE - 1), ..terms() };
    let euros = Money { currency: "eur".parse().expect("a currency"), ..usd(2 * PRICE) };
    let other = Terms { monthly_cap: euros, ..terms() };
    for (terms, error) in
        [(none, RechargeError::Threshold), (low, RechargeError::Cap), (other, RechargeError::Cap)]
    {
        recharge().given_no_previous_events().when(now(turn_on(terms))).then_expect_error(error);
    }
}

#[test]
fn a_spend_that_leaves_less_than_the_threshold_begins_a_recharge() {
    recharge()
        .given(vec![turned_on()])
        .when(now(trigger(1, spent(20))))
        .then_expect_events(vec![triggered(1, PRICE)]);
}

#[test]
fn turning_it_on_charges_nothing_before_something_is_spent() {
    recharge()
        .given(vec![turned_on()])
        .when(now(trigger(1, spent(10))))
        .then_expect_error(RechargeError::NothingSpent);
    let enough = Need { available: Credits::new(50), spent: 20 };
    recharge()
        .given(vec![turned_on()])
        .when(now(trigger(1, enough)))
        .then_expect_error(RechargeError::Enough);
}

#[test]
fn nothing_begins_while_it_is_off_or_one_is_in_flight() {
    recharge()
        .given_no_previous_events()
        .when(now(trigger(1, spent(20))))
        .then_expect_error(RechargeError::Off);
    let flying = || vec![turned_on(), triggered(1, PRICE)];
    recharge()
        .given(flying())
        .when(now(trigger(2, spent(30))))
        .then_expect_error(RechargeError::InFlight);
    recharge().given(flying()).when(now(trigger(1, spent(20)))).then_expect_events(vec![]);
    let mut asked = flying();
    asked.push(RechargeEvent::AuthenticationRequired { number: 1, at: AT });
    recharge()
        .given(asked)
        .when(now(trigger(2, spent(30))))
        .then_expect_error(RechargeError::InFlight);
}

#[test]
fn after_a_recharge_the_next_waits_for_a_minute_and_for_another_spend() {
    let given = || vec![turned_on(), triggered(1, PRICE), succeeded(1)];
    let begin =
        |seconds, position| at(AT + TimeDelta::seconds(seconds), trigger(2, spent(position)));
    recharge().given(given()).when(begin(59, 30)).then_expect_error(RechargeError::TooSoon);
    recharge().given(given()).when(begin(60, 20)).then_expect_error(RechargeError::NothingSpent);
    let RechargeEvent::Triggered { number, purchase, order, spent, charged, .. } =
        triggered(2, 2 * PRICE)
    else {
        unreachable!("it is one")
    };
    let at = AT + TimeDelta::seconds(60);
    let again = RechargeEvent::Triggered { number, purchase, order, spent, charged, at };
    recharge().given(given()).when(begin(60, 30)).then_expect_events(vec![again]);
}

#[test]
fn a_month_is_charged_up_to_its_cap_and_the_next_begins_at_nothing() {
    let given = || {
        vec![turned_on(), triggered(1, PRICE), succeeded(1), triggered(2, 2 * PRICE), succeeded(2)]
    };
    let begin = |days| at(AT + TimeDelta::days(days), trigger(3, spent(40)));
    recharge().given(given()).when(begin(30)).then_expect_error(RechargeError::OverCap);
    let (at, mut next) = (AT + TimeDelta::days(31), triggered(3, 0));
    if let RechargeEvent::Triggered { charged: of, at: when, .. } = &mut next {
        (*of, *when) = (charged(2, PRICE), at);
    }
    recharge().given(given()).when(begin(31)).then_expect_events(vec![next]);
}

#[test]
fn a_pack_is_never_bought_dearer_than_agreed() {
    let dearer = Order { price: usd(PRICE + 1), ..order() };
    let other = Order { pack: PackId(uuid::Uuid::from_u128(1)), ..order() };
    for order in [dearer, other] {
        let ask = Ask::Trigger { number: 1, purchase: purchase(1), order, need: spent(20) };
        recharge().given(vec![turned_on()]).when(now(ask)).then_expect_error(RechargeError::Dearer);
    }
}

#[test]
fn a_declined_card_is_left_alone_for_longer_and_longer_and_then_for_good() {
    let mut given = vec![turned_on()];
    for (number, hours) in [(1, 1), (2, 6), (3, 24)] {
        given.push(triggered(number, PRICE));
        let expected = declined(number, Some(hours));
        recharge()
            .given(given.clone())
            .when(decline(number, Finality::ForNow))
            .then_expect_events(vec![expected.clone()]);
        given.push(expected);
        let early = AT + TimeDelta::hours(hours) - TimeDelta::seconds(1);
        recharge()
            .given(given.clone())
            .when(at(early, trigger(number + 1, spent(100))))
            .then_expect_error(RechargeError::TooSoon);
    }
    given.push(triggered(4, PRICE));
    recharge()
        .given(given)
        .when(decline(4, Finality::ForNow))
        .then_expect_events(vec![declined(4, None), turned_off(OffReason::Declined)]);
}

/// What was declined granted nothing: there may be nothing left to spend.
#[test]
fn after_a_decline_the_same_spend_is_reason_enough() {
    let later = AT + TimeDelta::hours(1);
    let given = vec![turned_on(), triggered(1, PRICE), declined(1, Some(1))];
    let result = recharge().given(given).when(at(later, trigger(2, spent(20)))).inspect_result();
    assert!(matches!(result.expect("a trigger")[..], [RechargeEvent::Triggered { number: 2, .. }]));
}

#[test]
fn a_card_that_is_gone_for_good_turns_it_off_at_once() {
    recharge()
        .given(vec![turned_on(), triggered(1, PRICE)])
        .when(decline(1, Finality::ForGood))
        .then_expect_events(vec![declined(1, None), turned_off(OffReason::Declined)]);
}

#[test]
fn what_is_in_flight_comes_to_its_end_though_it_was_turned_off() {
    let given = || vec![turned_on(), triggered(1, PRICE), turned_off(OffReason::Asked)];
    recharge()
        .given(given())
        .when(now(Ask::Succeed { number: 1 }))
        .then_expect_events(vec![succeeded(1)]);
    recharge()
        .given(given())
        .when(decline(1, Finality::ForNow))
        .then_expect_events(vec![declined(1, None)]);
    let why = CallOff::TurnedOff;
    let withdrawn = RechargeEvent::Withdrawn { number: 1, why, charged: charged(1, 0), at: AT };
    recharge()
        .given(given())
        .when(now(Ask::Withdraw { number: 1, why }))
        .then_expect_events(vec![withdrawn]);
}

#[test]
fn what_is_told_twice_or_late_counts_once() {
    let over = || vec![turned_on(), triggered(1, PRICE), succeeded(1)];
    for ask in [
        Ask::RequireAuthentication { number: 1 },
        Ask::Succeed { number: 1 },
        Ask::Decline { number: 1, code: "late".into(), finality: Finality::ForGood },
        Ask::Withdraw { number: 1, why: CallOff::TurnedOff },
    ] {
        recharge().given(over()).when(now(ask)).then_expect_events(vec![]);
    }
    recharge()
        .given(over())
        .when(now(Ask::Succeed { number: 2 }))
        .then_expect_error(RechargeError::Unknown);
}

#[test]
fn turning_it_on_again_is_no_way_around_the_pauses_of_a_card() {
    let once = || vec![turned_on(), triggered(1, PRICE), declined(1, Some(1))];
    let dearer = Terms { threshold: Credits::new(60), ..terms() };
    let changed = RechargeEvent::TurnedOn {
        terms: dearer,
        consent: consent(),
        after: 10,
        declines: 1,
        ready_at: Some(AT + TimeDelta::hours(1)),
        at: AT,
    };
    recharge().given(once()).when(now(turn_on(dearer))).then_expect_events(vec![changed]);
    let off = [once(), vec![turned_off(OffReason::Asked)]].concat();
    recharge()
        .given(off)
        .when(now(turn_on(terms())))
        .then_expect_events(vec![turned_on_again(1, Some(1))]);
    // For good, and then tried once a day.
    let stolen = [turned_on(), triggered(1, PRICE), declined(1, None)];
    let stolen = [stolen.to_vec(), vec![turned_off(OffReason::Declined)]].concat();
    recharge()
        .given(stolen.clone())
        .when(now(turn_on(terms())))
        .then_expect_events(vec![turned_on_again(1, Some(24))]);
    // Another card begins anew, be it on the same terms.
    let other = Ask::TurnOn {
        terms: terms(),
        consent: consent(),
        after: 10,
        card_since: Some(AT + TimeDelta::seconds(1)),
    };
    recharge().given(once()).when(now(turn_on(terms()))).then_expect_events(vec![]);
    recharge().given(once()).when(now(other.clone())).then_expect_events(vec![turned_on()]);
    recharge().given(stolen).when(now(other)).then_expect_events(vec![turned_on()]);
}
