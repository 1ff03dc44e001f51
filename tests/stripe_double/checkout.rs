//! Packs: checkouts in all their endings, and saved cards charged later.

use crate::stripe::Mood;
use serde_json::json;

use crate::support::{DAY, Shop, text};

#[tokio::test]
async fn a_paid_checkout_has_an_intent_and_a_charge() {
    let shop = Shop::open().await;
    let more = [("metadata[purchase]", "p1"), ("payment_intent_data[metadata][purchase]", "p1")];
    let session = shop.session("payment", &shop.pack, &more).await;
    let before = shop.stripe.events().len();
    let paid = shop.stripe.pay_checkout(&session);
    assert_eq!((&paid["status"], &paid["payment_status"]), (&json!("complete"), &json!("paid")));
    assert_eq!(
        shop.kinds_since(before),
        [
            "payment_intent.created",
            "charge.succeeded",
            "payment_intent.succeeded",
            "checkout.session.completed"
        ]
    );
    let intent = text(&paid["payment_intent"]);
    let (_, sessions) = shop.get(&format!("checkout/sessions?payment_intent={intent}")).await;
    assert_eq!(sessions["data"][0]["id"], *session);
    let (_, charges) = shop.get(&format!("charges?payment_intent={intent}")).await;
    assert_eq!(charges["data"][0]["amount"], 900);
    let truth = shop.stripe.truth().of(&shop.customer);
    assert_eq!(
        (truth.payments[0].paid, &truth.payments[0].metadata),
        (900, &json!({ "purchase": "p1" }))
    );
}

#[tokio::test]
async fn money_that_takes_days_comes_or_does_not() {
    let shop = Shop::open().await;
    for (comes, event) in [(true, "succeeded"), (false, "failed")] {
        let session = shop.checkout().await;
        let waiting = shop.stripe.pay_checkout_slowly(&session);
        assert_eq!(
            (&waiting["status"], &waiting["payment_status"]),
            (&json!("complete"), &json!("unpaid"))
        );
        if comes {
            shop.stripe.complete_processing(&session);
        } else {
            shop.stripe.fail_processing(&session);
        }
        let events = shop.stripe.events_of(&format!("checkout.session.async_payment_{event}"));
        let expected = if comes { "paid" } else { "unpaid" };
        assert_eq!(events[0]["data"]["object"]["payment_status"], expected);
        assert_eq!(shop.stripe.paid_for(&session), if comes { 900 } else { 0 });
    }
}

#[tokio::test]
async fn a_declined_or_challenged_page_stays_open() {
    let shop = Shop::open().await;
    let session = shop.checkout().await;
    assert_eq!(shop.stripe.decline_checkout(&session, "insufficient_funds")["status"], "open");
    assert_eq!(shop.stripe.challenge_checkout(&session)["status"], "open");
    shop.stripe.authenticate(&session);
    let paid = shop.stripe.object(&session);
    assert_eq!((&paid["status"], &paid["payment_status"]), (&json!("complete"), &json!("paid")));
    assert_eq!(shop.stripe.objects("payment_intent").len(), 1, "one intent for all attempts");
    assert_eq!(shop.stripe.events_of("payment_intent.payment_failed").len(), 1);
}

#[tokio::test]
async fn a_page_expires_by_time_and_on_demand() {
    let shop = Shop::open().await;
    let (left, ended) = (shop.checkout().await, shop.checkout().await);
    shop.stripe.abandon_checkout(&left);
    let path = format!("checkout/sessions/{ended}/expire");
    assert_eq!(shop.post(&path, &[]).await.1["status"], "expired");
    assert_eq!(shop.post(&path, &[]).await.0, 400);
    shop.stripe.advance(DAY);
    assert_eq!(shop.stripe.object(&left)["status"], "expired");
    assert_eq!(shop.stripe.events_of("checkout.session.expired").len(), 2);
}

#[tokio::test]
async fn a_saved_card_is_charged_without_its_owner() {
    let shop = Shop::open().await;
    let more = [("payment_intent_data[setup_future_usage]", "off_session")];
    let session = shop.session("payment", &shop.pack, &more).await;
    shop.stripe.pay_checkout(&session);
    let (_, cards) =
        shop.get(&format!("payment_methods?customer={}&type=card", shop.customer)).await;
    let card = text(&cards["data"][0]["id"]);
    let form = [
        ("amount", "500"),
        ("currency", "usd"),
        ("customer", shop.customer.as_str()),
        ("payment_method", card.as_str()),
        ("off_session", "true"),
        ("confirm", "true"),
    ];
    assert_eq!(shop.post("payment_intents", &form).await.1["status"], "succeeded");
    shop.stripe.card_is(&card, Mood::Declines("insufficient_funds"));
    let (status, body) = shop.post("payment_intents", &form).await;
    assert_eq!((status, &body["error"]["decline_code"]), (402, &json!("insufficient_funds")));
    assert_eq!(body["error"]["payment_intent"]["status"], "requires_payment_method");
    shop.stripe.card_is(&card, Mood::Authenticates);
    let (status, body) = shop.post("payment_intents", &form).await;
    assert_eq!((status, &body["error"]["code"]), (402, &json!("authentication_required")));
    let intent = text(&body["error"]["payment_intent"]["id"]);
    let (_, waiting) =
        shop.post(&format!("payment_intents/{intent}/confirm"), &[("payment_method", &card)]).await;
    assert_eq!(waiting["status"], "requires_action");
    shop.stripe.authenticate(&intent);
    assert_eq!(shop.stripe.object(&intent)["status"], "succeeded");
}
