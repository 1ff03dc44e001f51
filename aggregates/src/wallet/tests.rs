//! The wallet's rules, and its invariants under random commands.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use proptest::prelude::*;

use super::*;
use crate::credits::Credits;
use crate::id::{DebitId, GrantId, HoldId, ReversalGroup, UserId};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn credits(amount: i64) -> Credits {
    Credits::try_from(amount).expect("not negative")
}

fn id<T: From<uuid::Uuid>>(number: u128) -> T {
    uuid::Uuid::from_u128(number).into()
}

/// A wallet, and every event it has had.
#[derive(Default)]
struct Run {
    wallet: Wallet,
    events: Vec<WalletEvent>,
}

impl Run {
    fn opened() -> Self {
        let mut run = Self::default();
        run.ask(0, Ask::Open { owner: UserId::default() }).expect("opens");
        run
    }

    fn with(amount: i64) -> Self {
        let mut run = Self::opened();
        run.grant(1, amount, None).expect("grants");
        run
    }

    fn ask(&mut self, seconds: i64, ask: Ask) -> Result<Vec<WalletEvent>, WalletError> {
        let sink = EventSink::default();
        let command = WalletCommand { now: at(seconds), ask };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(self.wallet.handle(command, &(), &sink))?;
        let events = runtime.block_on(sink.collect());
        self.events.extend(events.iter().cloned());
        Ok(events)
    }

    fn grant(
        &mut self,
        grant: u128,
        amount: i64,
        expires_at: Option<i64>,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        self.ask(1, granting(grant, amount, expires_at, None))
    }

    fn debit(&mut self, seconds: i64, amount: i64) -> Result<Vec<WalletEvent>, WalletError> {
        self.ask(seconds, debiting(1, amount))
    }

    fn available(&self, seconds: i64) -> i64 {
        self.wallet.balance(at(seconds)).available.get()
    }
}

fn granting(grant: u128, amount: i64, expires_at: Option<i64>, group: Option<u128>) -> Ask {
    Ask::Grant {
        grant: GrantTerms {
            id: id(grant),
            kind: GrantKind::Purchased,
            amount: credits(amount),
            priority: Priority::default(),
            expires_at: expires_at.map(at),
            funding: Funding::Adjustment,
            reversal_group: group.map(id),
        },
        reason: "test".into(),
    }
}

fn debiting(debit: u128, amount: i64) -> Ask {
    Ask::Debit {
        debit: id(debit),
        origin: Origin::Api,
        amount: credits(amount),
        price: Price::Stated,
        reason: "test".into(),
    }
}

fn holding(hold: u128, amount: i64, expires_at: i64) -> Ask {
    Ask::Authorize {
        hold: id(hold),
        origin: Origin::Api,
        amount: credits(amount),
        expires_at: at(expires_at),
        price: Price::Stated,
        reason: "test".into(),
    }
}

fn capturing(hold: u128, amount: i64, last: bool) -> Ask {
    Ask::Capture { hold: id(hold), origin: Origin::Api, amount: credits(amount), last, usage: None }
}

fn releasing(hold: u128) -> Ask {
    Ask::Release { hold: id(hold), origin: Origin::Api, reason: "test".into() }
}

fn targeting(group: u128, reversed_minor: i64) -> Ask {
    Ask::SetReversalTarget { group: id(group), reversed_minor, paid_minor: 100 }
}

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
    let release = Ask::Release { hold: id(1), origin: Origin::Gateway, reason: "test".into() };
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
    let late =
        Ask::CaptureLate { hold: id(1), amount: credits(30), expired: credits(40), usage: None };
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
    run.ask(2, Ask::SetSpendLimit { window: SpendWindow::Day, limit: Some(credits(50)) })
        .expect("limits");
    run.ask(3, holding(1, 40, 500)).expect("holds");
    assert!(matches!(run.debit(4, 11), Err(WalletError::OverSpendLimit { .. })));
    run.ask(5, releasing(1)).expect("releases");
    assert!(run.debit(6, 50).is_ok());
    assert!(matches!(run.debit(7, 1), Err(WalletError::OverSpendLimit { .. })));
    assert!(run.debit(86_400, 1).is_ok());
}

/// Nodes' clocks differ: around midnight the day that has begun must not be forgotten again.
#[test]
fn a_clock_that_is_behind_does_not_open_a_past_window_again() {
    let mut run = Run::with(100);
    run.ask(2, Ask::SetSpendLimit { window: SpendWindow::Day, limit: Some(credits(50)) })
        .expect("limits");
    run.debit(86_400, 40).expect("spends");
    assert!(matches!(run.debit(86_399, 11), Err(WalletError::OverSpendLimit { .. })));
    run.debit(86_399, 5).expect("spends");
    assert!(matches!(run.debit(86_401, 6), Err(WalletError::OverSpendLimit { .. })));
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

/// The books of one grant, kept from the amounts in events, apart from the wallet's own code.
#[derive(Default, Debug)]
struct Books {
    granted: i64,
    remaining: i64,
    held: i64,
    consumed: i64,
    expired: i64,
    voided: i64,
    recovered: i64,
    repaid: i64,
}

#[derive(Default)]
struct Ledger {
    grants: BTreeMap<GrantId, Books>,
    holds: BTreeMap<HoldId, (i64, i64, i64)>,
    groups: BTreeMap<ReversalGroup, (i64, i64)>,
    debt: i64,
}

impl Ledger {
    fn follow(&mut self, event: &WalletEvent) {
        use WalletEvent as E;
        if let Some(terms) = event.granted() {
            let books = self.grants.entry(terms.id).or_default();
            books.granted += terms.amount.get();
            books.remaining += terms.amount.get();
        }
        for movement in event.movements() {
            let books = self.grants.get_mut(&movement.grant).expect("a known grant");
            let (amount, released) = (movement.amount.get(), movement.released.get());
            let (expired, from_expired) = (movement.expired.get(), movement.from_expired.get());
            match event {
                E::GrantVoided { .. } => {
                    (books.remaining, books.voided) =
                        (books.remaining - amount, books.voided + amount);
                }
                E::GrantExpired { .. } => {
                    (books.remaining, books.expired) =
                        (books.remaining - amount, books.expired + amount);
                }
                E::HoldAuthorized { .. } | E::HoldIncremented { .. } => {
                    (books.remaining, books.held) = (books.remaining - amount, books.held + amount);
                }
                E::HoldCaptured { .. } | E::HoldReleased { .. } | E::HoldExpired { .. } => {
                    books.held -= amount + released + expired;
                    books.consumed += amount;
                    books.remaining += released;
                    books.expired += expired;
                }
                E::Debited { .. } | E::HoldLateCaptured { .. } => {
                    (books.remaining, books.consumed) =
                        (books.remaining - amount, books.consumed + amount);
                }
                E::DebitReversed { .. } => {
                    books.consumed -= amount;
                    books.remaining += amount - expired;
                    books.expired += expired;
                }
                E::ClawedBack { .. } => {
                    books.recovered += amount;
                    books.remaining -= amount - from_expired;
                    books.expired -= from_expired;
                }
                E::DebtRepaid { .. } => {
                    (books.remaining, books.repaid) =
                        (books.remaining - amount, books.repaid + amount);
                }
                _ => panic!("{event:?} moves no grant"),
            }
            assert_eq!(books.remaining, movement.remaining.get(), "{event:?}");
            assert_eq!(books.held, movement.held.get(), "{event:?}");
        }
        match event {
            E::HoldAuthorized { hold, amount, .. } => {
                self.holds.insert(*hold, (amount.get(), 0, 0));
            }
            E::HoldIncremented { hold, amount, .. } => self.hold(*hold).0 += amount.get(),
            E::HoldCaptured { hold, amount, released, .. } => {
                self.hold(*hold).1 += amount.get();
                self.hold(*hold).2 += released.get();
            }
            E::HoldReleased { hold, amount, .. } | E::HoldExpired { hold, amount, .. } => {
                self.hold(*hold).2 += amount.get();
            }
            E::ClawedBack { group, recovered, indebted, .. } => {
                self.groups.entry(*group).or_default().1 += recovered.get() + indebted.get();
                self.debt += indebted.get();
            }
            E::Reinstated { group, debt_forgiven, restored, .. } => {
                let back = debt_forgiven.get() + restored.as_ref().map_or(0, |g| g.amount.get());
                self.groups.entry(*group).or_default().1 -= back;
                self.debt -= debt_forgiven.get();
            }
            E::ReversalTargetSet { group, reversed_minor, .. } => {
                self.groups.entry(*group).or_default().0 = *reversed_minor;
            }
            E::DebtRepaid { amount, .. } | E::DebtWrittenOff { amount, .. } => {
                self.debt -= amount.get();
            }
            _ => {}
        }
    }

    fn hold(&mut self, hold: HoldId) -> &mut (i64, i64, i64) {
        self.holds.get_mut(&hold).expect("a known hold")
    }

    fn check(&self, wallet: &Wallet, groups: &BTreeMap<GrantId, Option<ReversalGroup>>) {
        for books in self.grants.values() {
            let Books { granted, remaining, held, consumed, expired, voided, recovered, repaid } =
                *books;
            assert!(
                [remaining, held, consumed, expired, voided, recovered, repaid]
                    .iter()
                    .all(|n| *n >= 0),
                "I1 {books:?}"
            );
            assert_eq!(
                granted,
                remaining + held + consumed + expired + voided + recovered + repaid,
                "I2"
            );
        }
        for (id, (authorized, captured, released)) in &self.holds {
            let open = wallet.hold(*id).map_or(0, |hold| hold.open().get());
            assert_eq!(*authorized, captured + released + open, "I3");
        }
        let balance = wallet.balance;
        assert_eq!(balance.available.get(), self.grants.values().map(|b| b.remaining).sum::<i64>());
        assert_eq!(balance.held.get(), self.grants.values().map(|b| b.held).sum::<i64>());
        assert_eq!(balance.debt.get(), self.debt, "I11");
        for (group, (reversed, net)) in &self.groups {
            let mine = || {
                self.grants
                    .iter()
                    .filter(|(id, _)| groups.get(*id).copied().flatten() == Some(*group))
            };
            if mine().any(|(_, books)| books.held > 0) {
                continue;
            }
            let target: i64 =
                mine().map(|(_, b)| (b.granted * reversed / 100).min(b.granted - b.voided)).sum();
            let granted: i64 = mine().map(|(_, books)| books.granted).sum();
            assert!(*net <= granted, "I6: never more than granted");
            // A void after a reversal lowers the target only when the next cause is looked at.
            assert!(
                *net == target || mine().any(|(_, b)| b.voided > 0),
                "I6: {net} is not {target}"
            );
        }
    }
}

fn ask() -> impl Strategy<Value = Ask> {
    let amount = 1..60_i64;
    prop_oneof![
        3 => (1..12_u128, amount.clone(), proptest::option::of(1..400_i64), proptest::option::of(1..3_u128))
            .prop_map(|(grant, amount, expires, group)| granting(grant, amount, expires, group)),
        4 => (1..9_u128, amount.clone()).prop_map(|(debit, amount)| debiting(debit, amount)),
        4 => (1..9_u128, amount.clone(), 1..400_i64).prop_map(|(hold, amount, until)| holding(hold, amount, until)),
        2 => (1..9_u128, amount.clone()).prop_map(|(hold, amount)| Ask::Increment { hold: id(hold), origin: Origin::Api, amount: credits(amount) }),
        4 => (1..9_u128, 0..60_i64, any::<bool>()).prop_map(|(hold, amount, last)| capturing(hold, amount, last)),
        2 => (1..9_u128).prop_map(releasing),
        2 => (1..9_u128).prop_map(|hold| Ask::ExpireHold { hold: id(hold) }),
        1 => (1..12_u128).prop_map(|grant| Ask::ExpireGrant { grant: id(grant) }),
        1 => (1..12_u128, 1..60_i64).prop_map(|(grant, amount)| Ask::VoidGrant { grant: id(grant), amount: Some(credits(amount)), reason: "test".into() }),
        4 => (1..3_u128, 0..=100_i64).prop_map(|(group, reversed)| targeting(group, reversed)),
        1 => amount.prop_map(|amount| Ask::WriteOffDebt { amount: credits(amount), reason: "test".into() }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_invariants_hold_under_any_commands(asks in proptest::collection::vec((0..12_i64, ask()), 1..60)) {
        let mut run = Run::opened();
        let (mut ledger, mut groups, mut now) = (Ledger::default(), BTreeMap::new(), 0);
        // A closed hold's id is not used again: its command's id is in the log.
        let mut used = std::collections::BTreeSet::new();
        for (later, ask) in asks {
            now += later;
            if let Ask::Authorize { hold, .. } = &ask
                && run.wallet.hold(*hold).is_none() && !used.insert(*hold) {
                    continue;
                }
            let snapshot = run.wallet.clone();
            let available = run.available(now);
            let Ok(events) = run.ask(now, ask.clone()) else {
                prop_assert_eq!(&run.wallet, &snapshot, "a refusal leaves no trace");
                continue;
            };
            if let Ask::Debit { amount, .. } | Ask::Authorize { amount, .. } = &ask {
                prop_assert!(events.is_empty() || amount.get() <= available, "I4");
            }
            for event in &events {
                if let Some(grant) = event.granted() {
                    groups.insert(grant.id, grant.reversal_group);
                }
                ledger.follow(event);
            }
            if !events.is_empty() {
                ledger.check(&run.wallet, &groups);
            }
            // I8: a snapshot, through its stored form, and the tail.
            let stored = serde_json::to_string(&snapshot).expect("a state can be written");
            let mut replayed: Wallet = serde_json::from_str(&stored).expect("and read");
            for event in events {
                replayed.apply(event);
            }
            prop_assert_eq!(&replayed, &run.wallet, "I8");
        }
        let mut replayed = Wallet::default();
        for event in run.events {
                replayed.apply(event);
            }
        prop_assert_eq!(replayed, run.wallet);
    }
}
