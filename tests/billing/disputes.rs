//! What a dispute stops and takes: as the policy says, while it is open, and when it is over.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::shop::Shop;
use crate::stripe::Funds;
use crate::world::send;

/// Whether Ada may spend a credit; she has one less then.
async fn may_spend(shop: &Shop) -> bool {
    let body = json!({ "amount": 1, "reason": "render" });
    let path = "/wallet/debits";
    let answer = send(&shop.server, Method::POST, path, &shop.ada.access, &body).await;
    if answer.status != StatusCode::CREATED {
        assert_eq!(answer.status, StatusCode::PAYMENT_REQUIRED, "{:?}", answer.body);
        assert_eq!(answer.body["reason"], "frozen", "{:?}", answer.body);
    }
    answer.status == StatusCode::CREATED
}

/// Whether Ada may spend when all is heard, and what she has afterwards.
async fn stands(shop: &Shop) -> (bool, i64) {
    shop.hear().await;
    (may_spend(shop).await, shop.available().await)
}

#[tokio::test]
async fn a_disputed_payment_stops_no_spending_where_that_is_the_policy() {
    for (policy, spends, left) in [("keep", true, 99), ("freeze", false, 100)] {
        let shop = Shop::open_with(0, &[("SALDO_DISPUTED", policy)]).await;
        let (_, checkout) = shop.bought("Starter", "one").await;
        shop.stripe.open_dispute(&checkout, None, Funds::Withdrawn);
        // What the bank has withdrawn is taken in any case.
        assert_eq!(stands(&shop).await, (spends, left), "{policy}");
        shop.close().await;
    }
}

#[tokio::test]
async fn a_bank_that_only_asks_stops_and_takes_nothing() {
    let shop = Shop::open().await;
    let (_, checkout) = shop.bought("Starter", "one").await;
    let inquiry = shop.stripe.open_inquiry(&checkout, None);
    assert_eq!(stands(&shop).await, (true, 299));
    shop.stripe.close_inquiry(&inquiry);
    assert_eq!(stands(&shop).await, (true, 298));
    // One that becomes a dispute is a dispute.
    let inquiry = shop.stripe.open_inquiry(&checkout, None);
    assert_eq!(stands(&shop).await, (true, 297));
    shop.stripe.escalate_inquiry(&inquiry);
    assert_eq!(stands(&shop).await, (false, 97));
    shop.close().await;
}

#[tokio::test]
async fn a_dispute_that_is_over_lets_spending_go_on_and_what_was_taken_is_as_the_bank_decides() {
    for (is_won, left) in [(true, 299), (false, 99)] {
        let shop = Shop::open().await;
        let (_, checkout) = shop.bought("Starter", "one").await;
        let dispute = shop.stripe.open_dispute(&checkout, None, Funds::Withdrawn);
        assert_eq!(stands(&shop).await, (false, 100));
        shop.stripe.review_dispute(&dispute);
        assert_eq!(stands(&shop).await, (false, 100), "nobody has decided yet");
        if is_won {
            shop.stripe.win_dispute(&dispute);
        } else {
            shop.stripe.lose_dispute(&dispute);
        }
        assert_eq!(stands(&shop).await, (true, left), "won: {is_won}");
        shop.close().await;
    }
}

/// It is the bank that has the money: an open dispute stops spending before anything is withdrawn.
#[tokio::test]
async fn a_dispute_that_has_taken_nothing_yet_stops_spending_and_takes_nothing() {
    let shop = Shop::open().await;
    let (_, checkout) = shop.bought("Starter", "one").await;
    let dispute = shop.stripe.open_dispute(&checkout, None, Funds::Untouched);
    assert_eq!(stands(&shop).await, (false, 300));
    shop.stripe.withdraw_funds(&dispute);
    assert_eq!(stands(&shop).await, (false, 100));
    shop.close().await;
}
