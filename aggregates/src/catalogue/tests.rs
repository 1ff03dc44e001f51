//! The rules of offers.

use chrono::{DateTime, Utc};
use cqrs_es::test::TestFramework;

use super::*;
use crate::credits::Credits;
use crate::money::Money;

const AT: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn pack() -> TestFramework<Pack> {
    TestFramework::with(())
}

fn terms(amount_minor: i64) -> PackTerms {
    PackTerms {
        name: "Starter".into(),
        credits: Credits::new(200),
        bonus: Credits::ZERO,
        price: Money { amount_minor, currency: "usd".parse().expect("a currency") },
        lasts_days: None,
    }
}

fn ask(ask: Ask<PackTerms>) -> OfferCommand<PackTerms> {
    OfferCommand { now: AT, ask }
}

fn change(terms: PackTerms, instead_of: Option<u32>) -> OfferCommand<PackTerms> {
    ask(Ask::Change { terms, instead_of })
}

fn created() -> OfferEvent<PackTerms> {
    OfferEvent::Created { terms: terms(900), at: AT }
}

fn listing(version: u32, active: bool) -> Listing {
    Listing { product: "prod_1".into(), price: format!("price_{version}"), version, active }
}

#[test]
fn what_cannot_be_sold_is_refused() {
    let wrong = [
        (PackTerms { name: String::new(), ..terms(900) }, OfferError::Name),
        (terms(0), OfferError::Price),
        (terms(-1), OfferError::Price),
        (PackTerms { credits: Credits::ZERO, ..terms(900) }, OfferError::Credits),
        (PackTerms { lasts_days: Some(0), ..terms(900) }, OfferError::Lasts),
    ];
    for (terms, error) in wrong {
        pack()
            .given_no_previous_events()
            .when(ask(Ask::Create { terms: terms.clone() }))
            .then_expect_error(error);
        pack().given(vec![created()]).when(change(terms, None)).then_expect_error(error);
    }
}

#[test]
fn an_offer_is_made_once_and_changed_when_something_changes() {
    let create = || ask(Ask::Create { terms: terms(900) });
    pack().given_no_previous_events().when(create()).then_expect_events(vec![created()]);
    pack().given(vec![created()]).when(create()).then_expect_error(OfferError::Exists);
    let change = |price| change(terms(price), None);
    pack().given(vec![created()]).when(change(900)).then_expect_events(vec![]);
    pack()
        .given(vec![created()])
        .when(change(1000))
        .then_expect_events(vec![OfferEvent::Changed { terms: terms(1000), at: AT }]);
    pack().given_no_previous_events().when(change(900)).then_expect_error(OfferError::Unknown);
}

#[test]
fn terms_that_somebody_has_changed_since_they_were_read_are_not_overwritten() {
    let changed = |price| OfferEvent::Changed { terms: terms(price), at: AT };
    let twice = || pack().given(vec![created(), changed(1000)]);
    twice().when(change(terms(1100), Some(1))).then_expect_error(OfferError::Moved);
    twice().when(change(terms(1100), Some(2))).then_expect_events(vec![changed(1100)]);
    twice().when(change(terms(1100), None)).then_expect_events(vec![changed(1100)]);
}

#[test]
fn a_listing_of_terms_that_are_gone_says_nothing() {
    let changed = OfferEvent::Changed { terms: terms(1000), at: AT };
    let list = |version| ask(Ask::List { listing: listing(version, true) });
    pack().given(vec![created(), changed.clone()]).when(list(1)).then_expect_events(vec![]);
    let listed = OfferEvent::Listed { listing: listing(2, true), at: AT };
    pack()
        .given(vec![created(), changed.clone()])
        .when(list(2))
        .then_expect_events(vec![listed.clone()]);
    pack().given(vec![created(), changed, listed]).when(list(2)).then_expect_events(vec![]);
}

#[test]
fn an_offer_is_listed_as_it_is_until_it_changes() {
    let mut offer = Pack::default();
    let mut follow = |event| {
        offer.apply(event);
        (offer.is_on_sale(), offer.is_listed_as_it_is())
    };
    assert_eq!(follow(created()), (true, false));
    assert_eq!(follow(OfferEvent::Listed { listing: listing(1, true), at: AT }), (true, true));
    assert_eq!(follow(OfferEvent::Changed { terms: terms(1000), at: AT }), (true, false));
    assert_eq!(follow(OfferEvent::Listed { listing: listing(2, true), at: AT }), (true, true));
    assert_eq!(follow(OfferEvent::Retired { at: AT }), (false, false));
    assert_eq!(follow(OfferEvent::Listed { listing: listing(2, false), at: AT }), (false, true));
    assert_eq!(follow(OfferEvent::Restored { at: AT }), (true, false));
}
