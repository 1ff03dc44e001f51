//! What always holds, whatever is asked when.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn ask() -> impl Strategy<Value = Ask> {
    let number = || 1..=6_u32;
    prop_oneof![
        Just(turn_on(terms())),
        Just(turn_on(Terms { threshold: Credits::new(60), ..terms() })),
        Just(Ask::TurnOff { why: OffReason::Asked }),
        (number(), 0..100_i64).prop_map(|(number, position)| trigger(number, spent(position))),
        (number(), 0..100_i64).prop_map(|(number, position)| trigger(number, spent(position))),
        number().prop_map(|number| Ask::RequireAuthentication { number }),
        number().prop_map(|number| Ask::Succeed { number }),
        (number(), any::<bool>()).prop_map(|(number, gone)| Ask::Decline {
            number,
            code: "card_declined".into(),
            finality: if gone { Finality::ForGood } else { Finality::ForNow },
        }),
        number().prop_map(|number| Ask::Withdraw { number, why: CallOff::WalletStopped }),
    ]
}

proptest! {
    /// Whatever is asked when: numbers count up, one is in flight at most, and what a month was
    /// charged with what is in flight is never above the cap.
    #[test]
    fn one_is_in_flight_and_the_cap_is_kept(
        asks in proptest::collection::vec((ask(), 0..20_i64), 1..60)
    ) {
        let (mut recharge, mut now) = (Recharge::default(), AT);
        let (mut number, mut flight) = (0, None);
        let mut months = BTreeMap::<_, i64>::new();
        for (ask, days) in asks {
            now += TimeDelta::days(days);
            for event in recharge.decide(at(now, ask)).unwrap_or_default() {
                match &event {
                    RechargeEvent::Triggered { number: this, charged, .. } => {
                        prop_assert!(flight.is_none() && *this == number + 1);
                        (number, flight) = (*this, Some(charged.month));
                        *months.entry(charged.month).or_default() += PRICE;
                    }
                    RechargeEvent::Succeeded { .. } => flight = None,
                    RechargeEvent::Declined { .. } | RechargeEvent::Withdrawn { .. } => {
                        let month = flight.take().expect("one in flight");
                        *months.entry(month).or_default() -= PRICE;
                    }
                    _ => {}
                }
                recharge.apply(event);
            }
            prop_assert!(months.values().all(|charged| (0..=2 * PRICE).contains(charged)));
        }
    }
}
