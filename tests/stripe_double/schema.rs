//! Every object that the double makes, checked against Stripe's own description.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::spec::Spec;
use crate::stripe::{Funds, Mood};
use crate::support::{DAY, Shop, text};

/// A little of everything.
async fn history() -> Shop {
    let shop = Shop::open().await;
    let sold = shop.checkout().await;
    shop.stripe.pay_checkout(&sold);
    let refund = shop.stripe.refund(&sold, Some(100));
    shop.stripe.fail_refund(&refund);
    let dispute = shop.stripe.open_dispute(&sold, Some(500), Funds::Withdrawn);
    shop.stripe.win_dispute(&dispute);
    shop.stripe.warn_of_fraud(&sold);
    shop.stripe.pay_checkout_slowly(&shop.checkout().await);
    shop.stripe.challenge_checkout(&shop.checkout().await);
    shop.stripe.decline_checkout(&shop.checkout().await, "insufficient_funds");
    shop.stripe.expire_checkout(&shop.checkout().await);
    let subscription = shop.subscribed(&shop.basic).await;
    shop.stripe.advance(DAY);
    shop.stripe.portal_change_plan(&subscription, &shop.pro);
    shop.stripe.cards_of(&shop.customer, Mood::Authenticates);
    let item = text(&shop.stripe.object(&subscription)["items"]["data"][0]["id"]);
    let form = [
        ("items[0][id]", item.as_str()),
        ("items[0][quantity]", "2"),
        ("proration_behavior", "always_invoice"),
        ("payment_behavior", "pending_if_incomplete"),
    ];
    shop.post(&format!("subscriptions/{subscription}"), &form).await;
    let trial = [("subscription_data[trial_period_days]", "7")];
    let session = shop.session("subscription", &shop.basic, &trial).await;
    shop.stripe.pay_checkout(&session);
    shop.stripe.cards_of(&shop.customer, Mood::Declines("insufficient_funds"));
    shop.stripe.renew(&subscription);
    shop.stripe.advance(30 * DAY);
    shop.made("billing_portal/sessions", &[("customer", &shop.customer)]).await;
    shop
}

/// What it made, each with its kind.
async fn made(shop: &Shop) -> Vec<(String, Value)> {
    let mut made = Vec::new();
    for event in shop.stripe.events() {
        let object = event["data"]["object"].clone();
        made.push((text(&object["object"]), object));
        made.push(("event".to_owned(), event));
    }
    for kind in ["invoice_payment", "payment_method", "checkout.session", "subscription", "invoice"]
    {
        let objects = shop.stripe.objects(kind);
        made.extend(objects.into_iter().map(|object| (kind.to_owned(), object)));
    }
    let (_, sessions) = shop.get("checkout/sessions?expand[]=data.line_items&limit=1").await;
    made.push(("checkout.session".to_owned(), sessions["data"][0].clone()));
    let preview = [
        ("customer", shop.customer.as_str()),
        ("subscription_details[items][0][price]", &shop.pro),
    ];
    made.push(("invoice".to_owned(), shop.post("invoices/create_preview", &preview).await.1));
    made.push(("error".to_owned(), shop.get("customers/cus_nobody").await.1));
    let gone = shop.delete(&format!("customers/{}", shop.customer)).await.1;
    made.push(("deleted_customer".to_owned(), gone));
    made
}

#[tokio::test]
async fn objects_are_as_stripe_describes_them() {
    let Some(spec) = Spec::installed() else { return };
    let mut wrong = BTreeSet::new();
    for (kind, object) in made(&history().await).await {
        wrong.extend(spec.complaints(&kind, &object));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn what_is_wrong_is_found() {
    let Some(spec) = Spec::installed() else { return };
    let shop = Shop::open().await;
    let subscription = shop.subscribed(&shop.basic).await;
    let good = shop.stripe.object(&subscription);
    assert_eq!(spec.complaints("subscription", &good), Vec::<String>::new());
    let wrongs = [
        ("", "status", json!("alive")),
        ("", "created", json!("today")),
        ("", "customer", Value::Null),
        ("", "current_period_end", json!(1)),
        ("", "currency", json!("USD")),
        ("/items/data/0", "quantity", json!("1")),
        ("/items/data/0/price", "type", json!("once")),
        ("/metadata", "user", json!(7)),
    ];
    for (place, field, value) in wrongs {
        let mut bad = good.clone();
        bad.pointer_mut(place).expect("it is there")[field] = value;
        let complaints = spec.complaints("subscription", &bad);
        assert!(complaints.len() == 1 && complaints[0].contains(field), "{complaints:?}");
    }
    let mut bad = good;
    bad.as_object_mut().expect("an object").remove("items");
    assert_eq!(spec.complaints("subscription", &bad), ["subscription items: is missing"]);
}
