//! Given, when, then: each rule by name.

use super::*;

#[test]
fn spending_more_than_is_available_is_refused() {
    let mut run = Run::with(100);
    assert_eq!(
        run.debit(2, 101),
        Err(WalletError::InsufficientCredits {
            required: credits(101),
            available: credits(100),
            held: Credits::ZERO
        })
    );
    assert!(run.debit(2, 100).is_ok());
    assert!(matches!(run.debit(3, 1), Err(WalletError::InsufficientCredits { .. })));
}

#[test]
fn a_known_grant_is_not_granted_again() {
    let mut run = Run::with(100);
    assert_eq!(run.grant(1, 100, None), Ok(vec![]));
    assert_eq!(run.available(2), 100);
}

#[test]
fn nothing_happens_in_a_wallet_that_is_not_open() {
    let mut run = Run::default();
    assert_eq!(run.grant(1, 100, None), Err(WalletError::NotOpen));
    assert_eq!(run.debit(1, 1), Err(WalletError::NotOpen));
}

#[test]
fn what_expires_sooner_is_spent_first() {
    let mut run = Run::with(100);
    run.grant(2, 50, Some(100)).expect("grants");
    run.grant(3, 50, Some(50)).expect("grants");
    let events = run.debit(2, 60).expect("spends");
    let paid: Vec<_> = events[0].movements().iter().map(|m| (m.grant, m.amount.get())).collect();
    assert_eq!(paid, [(id(3), 50), (id(2), 10)]);
}

#[test]
fn an_expired_grant_cannot_be_spent_and_is_booked_with_the_next_command() {
    let mut run = Run::with(10);
    run.grant(2, 50, Some(100)).expect("grants");
    assert_eq!(run.available(99), 60);
    assert_eq!(run.available(100), 10);
    assert!(run.debit(100, 11).is_err());
    let events = run.debit(100, 10).expect("spends");
    assert!(matches!(events[0], WalletEvent::GrantExpired { .. }));
    assert_eq!(events[1].balance().map(|balance| balance.available), Some(Credits::ZERO));
}

#[test]
fn a_refusal_and_a_no_op_book_nothing() {
    let mut run = Run::with(10);
    run.grant(2, 50, Some(100)).expect("grants");
    assert!(run.debit(200, 11).is_err());
    assert_eq!(run.ask(200, granting(1, 10, None, None)), Ok(vec![]));
}

#[test]
fn held_credits_of_an_expired_grant_are_captured_or_breakage() {
    let mut run = Run::opened();
    run.grant(1, 50, Some(100)).expect("grants");
    run.ask(2, holding(1, 40, 500)).expect("holds");
    let events = run.ask(200, capturing(1, 30, true)).expect("captures");
    let movement = &events[1].movements()[0];
    assert_eq!((movement.amount, movement.expired), (credits(30), credits(10)));
    assert_eq!(run.available(200), 0);
}

#[test]
fn a_hold_ends_once() {
    let mut run = Run::with(100);
    run.ask(2, holding(1, 40, 500)).expect("holds");
    assert_eq!(run.ask(2, holding(1, 40, 500)), Ok(vec![]));
    assert_eq!(run.ask(2, holding(1, 41, 500)), Err(WalletError::HoldIdTaken));
    run.ask(3, capturing(1, 10, false)).expect("captures");
    run.ask(4, releasing(1)).expect("releases");
    assert_eq!(run.available(4), 90);
    assert_eq!(run.ask(5, capturing(1, 1, false)), Err(WalletError::HoldNotOpen));
    assert_eq!(run.ask(600, Ask::ExpireHold { hold: id(1) }), Err(WalletError::HoldNotOpen));
}

#[test]
fn nobody_ends_a_hold_of_another_origin() {
    let mut run = Run::with(100);
    run.ask(2, holding(1, 40, 500)).expect("holds");
    let gateway = By { origin: Origin::Gateway, key: None };
    let release = Ask::Release { hold: id(1), by: gateway, reason: "test".into() };
    assert_eq!(run.ask(3, release), Err(WalletError::HoldNotOpen));
}

#[test]
fn more_than_was_authorised_cannot_be_captured() {
    let mut run = Run::with(100);
    run.ask(2, holding(1, 40, 500)).expect("holds");
    let more = WalletError::MoreThanHeld { asked: credits(41), open: credits(40) };
    assert_eq!(run.ask(3, capturing(1, 41, true)), Err(more));
}

#[test]
fn an_expired_hold_is_charged_late_once_and_only_with_what_is_there() {
    let mut run = Run::with(100);
    run.ask(2, holding(1, 40, 500)).expect("holds");
    assert_eq!(run.ask(499, Ask::ExpireHold { hold: id(1) }), Err(WalletError::HoldNotDue));
    run.ask(500, Ask::ExpireHold { hold: id(1) }).expect("expires");
    run.debit(501, 90).expect("spends");
    let late = Ask::CaptureLate {
        hold: id(1),
        key: None,
        amount: credits(30),
        expired: credits(40),
        usage: None,
    };
    let events = run.ask(502, late.clone()).expect("captures");
    assert!(
        matches!(events[0], WalletEvent::HoldLateCaptured { uncovered, .. } if uncovered == credits(20))
    );
    assert_eq!(run.ask(503, late), Err(WalletError::AlreadyLateCaptured));
}

#[test]
fn a_frozen_wallet_spends_nothing_and_finishes_what_it_held() {
    let mut run = Run::with(100);
    run.ask(2, holding(1, 40, 500)).expect("holds");
    run.ask(3, Ask::Freeze { reason: "dispute".into() }).expect("freezes");
    assert!(matches!(run.debit(4, 1), Err(WalletError::Frozen { .. })));
    assert!(run.ask(4, capturing(1, 40, true)).is_ok());
    run.ask(5, Ask::Unfreeze { reason: "won".into() }).expect("thaws");
    assert!(run.debit(6, 1).is_ok());
}

#[test]
fn a_spend_limit_counts_holds_and_forgets_what_they_give_back() {
    let mut run = Run::with(100);
    run.ask(2, limiting(None, 50)).expect("limits");
    run.ask(3, holding(1, 40, 500)).expect("holds");
    for over in [11, i64::MAX] {
        assert!(matches!(run.debit(4, over), Err(WalletError::OverSpendLimit { .. })));
    }
    run.ask(5, releasing(1)).expect("releases");
    assert!(run.debit(6, 50).is_ok());
    assert!(matches!(run.debit(7, 1), Err(WalletError::OverSpendLimit { .. })));
    assert!(run.debit(86_400, 1).is_ok());
}

/// Nodes' clocks differ: around midnight the day that has begun must not be forgotten again.
#[test]
fn a_clock_that_is_behind_does_not_open_a_past_window_again() {
    let mut run = Run::with(100);
    run.ask(2, limiting(None, 50)).expect("limits");
    run.debit(86_400, 40).expect("spends");
    assert!(matches!(run.debit(86_399, 11), Err(WalletError::OverSpendLimit { .. })));
    run.debit(86_399, 5).expect("spends");
    assert!(matches!(run.debit(86_401, 6), Err(WalletError::OverSpendLimit { .. })));
}

#[test]
fn a_key_spends_no_more_than_its_own_limit_and_the_wallet_s() {
    let by = |key, amount| Ask::Debit { debit: id(7), spend: spending(key, amount) };
    let mut run = Run::with(100);
    run.ask(2, by(Some(1), 5)).expect("spends");
    let month =
        Ask::SetSpendLimits { key: Some(id(1)), per_day: None, per_month: Some(credits(20)) };
    run.ask(3, month).expect("limits");
    // What it spent before it had a limit counts.
    let over = run.ask(4, by(Some(1), 16)).expect_err("20 are less than 21");
    assert_eq!(
        over.to_string(),
        "the API key's spend limit per month is 20 credits, and 5 are spent or held"
    );
    run.ask(4, by(Some(1), 15)).expect("spends");
    run.ask(5, by(Some(2), 16)).expect("another key has no limit");
    run.ask(5, by(None, 16)).expect("nor who asks in person");
    run.ask(6, limiting(None, 60)).expect("limits");
    assert!(matches!(
        run.ask(7, by(Some(2), 9)),
        Err(WalletError::OverSpendLimit { key: None, .. })
    ));
    run.ask(31 * 86_400, by(Some(1), 20)).expect("a month later");
}

#[test]
fn a_key_s_holds_count_against_its_limit_until_they_give_back() {
    let hold = id(1);
    let mut run = Run::with(100);
    run.ask(2, limiting(Some(1), 50)).expect("limits");
    let opening = Ask::Authorize { hold, spend: spending(Some(1), 30), expires_at: at(500) };
    run.ask(3, opening).expect("holds");
    let more = |key, amount| Ask::Increment { hold, by: by(key), amount: credits(amount) };
    assert!(matches!(run.ask(4, more(Some(1), 21)), Err(WalletError::OverSpendLimit { .. })));
    // Whoever adds to it, the hold is the key's.
    assert!(matches!(run.ask(4, more(None, 21)), Err(WalletError::OverSpendLimit { .. })));
    run.ask(4, more(Some(1), 20)).expect("50 are 50");
    run.ask(5, capturing(1, 10, true)).expect("captures");
    let by_key = |amount| Ask::Debit { debit: id(7), spend: spending(Some(1), amount) };
    assert!(matches!(run.ask(6, by_key(41)), Err(WalletError::OverSpendLimit { .. })));
    run.ask(6, by_key(40)).expect("40 came back");
}

#[test]
fn a_key_changes_no_hold_of_another_and_a_person_all() {
    let hold = id(1);
    let (one, expires_at) = (credits(1), at(900));
    let all = |by| {
        [
            Ask::Increment { hold, by, amount: one },
            Ask::Extend { hold, by, expires_at },
            Ask::Capture { hold, by, amount: one, last: false, usage: None },
            Ask::Release { hold, by, reason: "test".into() },
        ]
    };
    for opener in [None, Some(2)] {
        let mut run = Run::with(100);
        let spend = spending(opener, 10);
        run.ask(2, Ask::Authorize { hold, spend: spend.clone(), expires_at: at(500) })
            .expect("holds");
        for ask in all(by(Some(1))) {
            assert_eq!(run.ask(3, ask), Err(WalletError::OfAnother));
        }
        let again = Ask::Authorize { hold, spend: spending(Some(1), 10), expires_at: at(500) };
        assert_eq!(run.ask(3, again), Err(WalletError::HoldIdTaken));
        for ask in all(by(None)) {
            run.ask(3, ask).expect("the person may");
        }
    }
}

#[test]
fn a_key_that_has_no_limit_is_forgotten_when_its_month_is_over() {
    let mut run = Run::with(100);
    let by_key = |key| Ask::Debit { debit: id(7), spend: spending(Some(key), 1) };
    run.ask(2, limiting(Some(1), 50)).expect("limits");
    for key in [1, 2, 3] {
        run.ask(3, by_key(key)).expect("spends");
    }
    run.ask(31 * 86_400, by_key(3)).expect("a month later");
    assert!(run.wallet.spending(Some(id(1))).is_some(), "it has a limit");
    assert!(run.wallet.spending(Some(id(2))).is_none());
    assert!(run.wallet.spending(Some(id(3))).is_some());
    let nothing = Ask::SetSpendLimits { key: Some(id(1)), per_day: None, per_month: None };
    run.ask(31 * 86_400, nothing).expect("lifts");
    run.ask(62 * 86_400, by_key(3)).expect("another month later");
    assert!(run.wallet.spending(Some(id(1))).is_none());
}

#[test]
fn a_refund_of_spent_credits_is_debt_that_the_next_grant_repays() {
    let mut run = Run::opened();
    run.ask(1, granting(1, 100, None, Some(9))).expect("grants");
    run.debit(2, 80).expect("spends");
    run.ask(3, targeting(9, 50)).expect("reverses");
    assert_eq!(run.wallet.balance(at(3)).debt, credits(30));
    assert!(matches!(run.debit(4, 1), Err(WalletError::InDebt { .. })));
    run.grant(2, 40, None).expect("grants");
    let balance = run.wallet.balance(at(5));
    assert_eq!((balance.debt, balance.available), (Credits::ZERO, credits(10)));
}

#[test]
fn t7_t8_refunds_in_any_order_end_in_the_same_place() {
    for order in [[25, 50, 100, 0], [100, 25, 50, 0], [50, 50, 100, 0]] {
        let mut run = Run::opened();
        run.ask(1, granting(1, 100, None, Some(9))).expect("grants");
        run.debit(2, 30).expect("spends");
        for target in order {
            run.ask(3, targeting(9, target)).expect("reverses");
        }
        let balance = run.wallet.balance(at(3));
        assert_eq!((balance.available.get(), balance.debt.get()), (70, 0), "{order:?}");
    }
}

#[test]
fn a_refund_that_arrives_before_its_grant_is_applied_when_it_comes() {
    let mut run = Run::opened();
    run.ask(1, targeting(9, 100)).expect("remembers");
    run.ask(2, granting(1, 100, None, Some(9))).expect("grants");
    assert_eq!(run.available(2), 0);
}

#[test]
fn a_refund_leaves_held_credits_alone_until_their_hold_ends() {
    let mut run = Run::opened();
    run.ask(1, granting(1, 100, None, Some(9))).expect("grants");
    run.ask(2, holding(1, 60, 500)).expect("holds");
    run.ask(3, targeting(9, 100)).expect("reverses");
    let balance = run.wallet.balance(at(3));
    assert_eq!((balance.available.get(), balance.held.get(), balance.debt.get()), (0, 60, 0));
    run.ask(4, capturing(1, 20, true)).expect("captures");
    let balance = run.wallet.balance(at(4));
    assert_eq!((balance.available.get(), balance.held.get(), balance.debt.get()), (0, 0, 20));
}

#[test]
fn reversed_credits_return_to_the_grants_they_came_from_and_only_once() {
    let mut run = Run::with(100);
    let spent = vec![(GrantId::from(uuid::Uuid::from_u128(1)), credits(30))];
    run.debit(2, 30).expect("spends");
    let reverse = |amount| Ask::ReverseDebit {
        debit: DebitId::default(),
        amount: credits(amount),
        spent: spent.clone(),
        reason: "test".into(),
    };
    run.ask(3, reverse(20)).expect("reverses");
    let more = WalletError::MoreThanDebited { asked: credits(11), left: credits(10) };
    assert_eq!(run.ask(4, reverse(11)), Err(more));
    run.ask(5, reverse(10)).expect("reverses");
    assert_eq!(run.available(5), 100);
}

#[test]
fn while_quota_is_suspended_only_what_did_not_come_of_subscriptions_is_spent() {
    let mut run = Run::with(30);
    let Ask::Grant { grant, reason } = granting(2, 100, Some(50), None) else { return };
    let grant = GrantTerms { kind: GrantKind::Quota, ..grant };
    run.ask(1, Ask::Grant { grant, reason }).expect("grants");
    run.ask(2, Ask::SuspendQuota).expect("suspends");
    assert_eq!(run.ask(2, Ask::SuspendQuota), Ok(vec![]));
    let (required, available) = (credits(31), credits(30));
    let held = Credits::ZERO;
    let refused = WalletError::InsufficientCredits { required, available, held };
    assert_eq!(run.debit(3, 31), Err(refused));
    run.debit(3, 30).expect("spends what was bought");
    assert_eq!(run.available(4), 100);
    run.ask(4, Ask::ResumeQuota).expect("resumes");
    run.ask(5, debiting(2, 100)).expect("spends all");
}

#[test]
fn what_is_left_of_grants_is_carried_over_once_and_no_more_than_may_be() {
    let mut run = Run::opened();
    run.grant(1, 100, Some(50)).expect("grants");
    run.grant(2, 100, Some(50)).expect("grants");
    run.debit(2, 70).expect("spends");
    run.ask(3, carrying(&[1, 2], 90, 80)).expect("carries");
    run.ask(4, carrying(&[1, 2], 90, 80)).expect("carries nothing more");
    assert_eq!(run.available(10), 130);
    // 30 of the first and 60 of the second.
    assert_eq!(run.available(60), 90);
    assert_eq!(run.available(80), 0);
}

#[test]
fn what_was_lost_to_expiry_can_be_carried_over_too() {
    let mut run = Run::opened();
    run.grant(1, 100, Some(50)).expect("grants");
    run.debit(2, 70).expect("spends");
    run.ask(60, carrying(&[1, 9], 90, 80)).expect("carries");
    assert_eq!(run.available(60), 30);
}

#[test]
fn a_wallet_is_frozen_for_the_last_reason_that_was_told() {
    let mut run = Run::with(10);
    let freeze = |reason: &str| Ask::Freeze { reason: reason.into() };
    run.ask(2, freeze("a dispute")).expect("freezes");
    assert_eq!(run.ask(2, freeze("a dispute")), Ok(vec![]));
    run.ask(3, freeze("abuse")).expect("freezes");
    assert_eq!(run.wallet.frozen(), Some("abuse"));
}
