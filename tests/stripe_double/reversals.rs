//! Refunds and disputes, and what is true after them.

use crate::stripe::Funds;
use serde_json::json;

use crate::support::{Shop, text};

async fn paid(shop: &Shop) -> String {
    let session = shop.checkout().await;
    text(&shop.stripe.pay_checkout(&session)["payment_intent"])
}

fn reversed(shop: &Shop, intent: &str) -> i64 {
    shop.stripe.truth().payment(intent).expect("a payment").reversed()
}

#[tokio::test]
async fn partial_refunds_sum_up_and_never_exceed_the_charge() {
    let shop = Shop::open().await;
    let intent = paid(&shop).await;
    let refund = async |amount: &str| {
        shop.post("refunds", &[("payment_intent", &intent), ("amount", amount)]).await
    };
    assert_eq!(refund("400").await.1["status"], "succeeded");
    assert_eq!(refund("600").await.0, 400);
    let (_, rest) = shop.post("refunds", &[("payment_intent", &intent)]).await;
    assert_eq!(rest["amount"], 500);
    let (status, body) = shop.post("refunds", &[("payment_intent", &intent)]).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("charge_already_refunded")));
    let charge = shop.stripe.object(&text(&rest["charge"]));
    assert_eq!((&charge["amount_refunded"], &charge["refunded"]), (&json!(900), &json!(true)));
    let (_, list) = shop.get(&format!("refunds?payment_intent={intent}")).await;
    assert_eq!(list["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(shop.stripe.events_of("charge.refunded").len(), 2);
    assert_eq!(reversed(&shop, &intent), 900);
}

#[tokio::test]
async fn a_refund_that_fails_later_never_was() {
    let shop = Shop::open().await;
    let intent = paid(&shop).await;
    let refund = shop.stripe.refund(&intent, Some(300));
    assert_eq!(reversed(&shop, &intent), 300);
    shop.stripe.fail_refund(&refund);
    assert_eq!(reversed(&shop, &intent), 0);
    assert_eq!(shop.get(&format!("refunds/{refund}")).await.1["status"], "failed");
    let event = shop.stripe.events_of("charge.refund.updated").remove(0);
    assert_eq!(event["data"]["previous_attributes"]["status"], "succeeded");
    assert_eq!(shop.stripe.events_of("refund.failed").len(), 1);
}

#[tokio::test]
async fn a_pending_refund_counts_when_it_arrives() {
    let shop = Shop::open().await;
    let intent = paid(&shop).await;
    shop.stripe.refunds_wait(true);
    let refund = shop.stripe.refund(&intent, None);
    assert_eq!(reversed(&shop, &intent), 0);
    shop.stripe.settle_refund(&refund);
    assert_eq!(reversed(&shop, &intent), 900);
}

#[tokio::test]
async fn a_dispute_takes_the_money_and_winning_brings_it_back() {
    let shop = Shop::open().await;
    let intent = paid(&shop).await;
    let dispute = shop.stripe.open_dispute(&intent, Some(500), Funds::Withdrawn);
    assert_eq!((reversed(&shop, &intent), shop.stripe.refundable(&intent)), (500, 0));
    let (status, body) = shop.post("refunds", &[("payment_intent", &intent)]).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!("charge_disputed")));
    shop.stripe.review_dispute(&dispute);
    shop.stripe.win_dispute(&dispute);
    assert_eq!(reversed(&shop, &intent), 0);
    let (_, found) = shop.get(&format!("disputes/{dispute}")).await;
    let moved: Vec<_> = found["balance_transactions"].as_array().expect("a list").iter().collect();
    assert_eq!((&moved[0]["amount"], &moved[1]["amount"]), (&json!(-500), &json!(500)));
    let kinds: Vec<_> = shop
        .stripe
        .events_of("charge.dispute.*")
        .iter()
        .map(|event| text(&event["type"]))
        .collect();
    assert_eq!(
        kinds,
        ["created", "funds_withdrawn", "updated", "updated", "closed", "funds_reinstated"]
            .map(|kind| format!("charge.dispute.{kind}"))
    );
}

#[tokio::test]
async fn money_may_come_back_though_the_dispute_is_lost() {
    let shop = Shop::open().await;
    let intent = paid(&shop).await;
    let dispute = shop.stripe.open_dispute(&intent, None, Funds::Withdrawn);
    shop.stripe.lose_dispute(&dispute);
    assert_eq!(reversed(&shop, &intent), 900);
    shop.stripe.reinstate_funds(&dispute, Some(400));
    assert_eq!(shop.stripe.object(&dispute)["status"], "lost");
    assert_eq!(reversed(&shop, &intent), 500);
}

#[tokio::test]
async fn an_inquiry_moves_nothing_until_it_escalates() {
    let shop = Shop::open().await;
    let intent = paid(&shop).await;
    let closed = shop.stripe.open_inquiry(&intent, None);
    shop.stripe.close_inquiry(&closed);
    assert_eq!(reversed(&shop, &intent), 0);
    let untouched = shop.stripe.open_dispute(&intent, Some(100), Funds::Untouched);
    assert_eq!(reversed(&shop, &intent), 0);
    shop.stripe.withdraw_funds(&untouched);
    let inquiry = shop.stripe.open_inquiry(&intent, Some(200));
    shop.stripe.escalate_inquiry(&inquiry);
    assert_eq!(reversed(&shop, &intent), 300);
    let warning = shop.stripe.warn_of_fraud(&intent);
    assert_eq!(shop.stripe.object(&warning)["actionable"], true);
}
