//! The invariants under random commands, against books of their own.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The books of one grant, kept from the amounts in events, apart from the wallet's own code.
#[derive(Default, Debug)]
struct Books {
    expires_at: Option<DateTime<Utc>>,
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
            books.expires_at = terms.expires_at;
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

    /// What is available, held and owed, where it is `now`.
    fn balance(&self, now: DateTime<Utc>) -> Balance {
        let live = |books: &&Books| books.expires_at.is_none_or(|at| at > now);
        Balance {
            available: credits(self.grants.values().filter(live).map(|b| b.remaining).sum()),
            held: credits(self.grants.values().map(|b| b.held).sum()),
            debt: credits(self.debt),
        }
    }

    fn check(&self, wallet: &Wallet, groups: &BTreeMap<GrantId, Option<ReversalGroup>>) {
        for books in self.grants.values() {
            let Books { granted, remaining, held, consumed, expired, .. } = *books;
            let Books { voided, recovered, repaid, .. } = *books;
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
    let key = || proptest::option::of(1..3_u128);
    prop_oneof![
        3 => (1..12_u128, amount.clone(), proptest::option::of(1..400_i64), proptest::option::of(1..3_u128))
            .prop_map(|(grant, amount, expires, group)| granting(grant, amount, expires, group)),
        4 => (1..9_u128, key(), amount.clone()).prop_map(|(debit, key, amount)| Ask::Debit { debit: id(debit), spend: spending(key, amount) }),
        4 => (1..9_u128, key(), amount.clone(), 1..400_i64).prop_map(|(hold, key, amount, until)| Ask::Authorize { hold: id(hold), spend: spending(key, amount), expires_at: at(until) }),
        2 => (1..9_u128, key(), amount.clone()).prop_map(|(hold, key, amount)| Ask::Increment { hold: id(hold), by: by(key), amount: credits(amount) }),
        1 => (key(), 20..200_i64).prop_map(|(key, limit)| limiting(key, limit)),
        4 => (1..9_u128, 0..60_i64, any::<bool>()).prop_map(|(hold, amount, last)| capturing(hold, amount, last)),
        2 => (1..9_u128).prop_map(releasing),
        2 => (1..9_u128).prop_map(|hold| Ask::ExpireHold { hold: id(hold) }),
        1 => (1..12_u128).prop_map(|grant| Ask::ExpireGrant { grant: id(grant) }),
        1 => (1..12_u128, 1..12_u128, 1..60_i64, 0..400_i64).prop_map(|(one, other, most, until)| carrying(&[one, other], most, until)),
        1 => Just(Ask::SuspendQuota),
        1 => Just(Ask::ResumeQuota),
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
        let mut log: Vec<_> = run.events.iter().map(|event| (0, event.clone())).collect();
        let mut balances = BTreeMap::new();
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
            if let Ask::Debit { spend, .. } | Ask::Authorize { spend, .. } = &ask {
                prop_assert!(events.is_empty() || spend.amount.get() <= available, "I4");
                for spending in [None, spend.by.key].map(|key| run.wallet.spending(key)) {
                    let over = spending.and_then(|spending| {
                        let spent = spending.spent(SpendWindow::Day, at(now));
                        spending.limit(SpendWindow::Day).filter(|limit| spent > *limit)
                    });
                    prop_assert!(events.is_empty() || over.is_none(), "I4");
                }
            }
            for event in &events {
                if let Some(grant) = event.granted() {
                    groups.insert(grant.id, grant.reversal_group);
                }
                ledger.follow(event);
                log.push((now, event.clone()));
            }
            balances.insert(now, ledger.balance(at(now)));
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
        // I9: what the books had at a time is the fold of what had happened by then.
        for (then, balance) in balances {
            let mut replayed = Wallet::default();
            for (_, event) in log.iter().filter(|(happened, _)| *happened <= then) {
                replayed.apply(event.clone());
            }
            prop_assert_eq!(replayed.balance(at(then)), balance, "I9");
        }
    }
}
