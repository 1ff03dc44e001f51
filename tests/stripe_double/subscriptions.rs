//! Plans: beginning, renewal, change, failure and end, on the double's clock.

use crate::stripe::{AfterDunning, Mood};
use serde_json::{Value, json};

use crate::support::{DAY, START, Shop, text};

const HOUR: i64 = 3600;

fn status(shop: &Shop, id: &str) -> String {
    text(&shop.stripe.object(id)["status"])
}

fn item_of(subscription: &Value) -> Value {
    subscription["items"]["data"][0].clone()
}

async fn change(shop: &Shop, id: &str, price: &str, more: &[(&str, &str)]) -> (u16, Value) {
    let item = text(&item_of(&shop.stripe.object(id))["id"]);
    let mut form = vec![("items[0][id]", item.as_str()), ("items[0][price]", price)];
    form.extend(more);
    shop.post(&format!("subscriptions/{id}"), &form).await
}

fn latest(shop: &Shop, id: &str) -> Value {
    shop.stripe.object(&text(&shop.stripe.object(id)["latest_invoice"]))
}

#[tokio::test]
async fn a_paid_checkout_begins_a_subscription_with_a_paid_invoice() {
    let shop = Shop::open().await;
    let more = [("subscription_data[metadata][user]", "7")];
    let session = shop.session("subscription", &shop.basic, &more).await;
    let paid = shop.stripe.pay_checkout(&session);
    assert_eq!((&paid["status"], &paid["payment_status"]), (&json!("complete"), &json!("paid")));
    let (_, subscription) =
        shop.get(&format!("subscriptions/{}", text(&paid["subscription"]))).await;
    assert_eq!(
        (&subscription["status"], &subscription["metadata"]["user"]),
        (&json!("active"), &json!("7"))
    );
    assert_eq!(subscription["current_period_end"], Value::Null, "the period is on the item");
    let end = item_of(&subscription)["current_period_end"].as_i64().expect("a moment");
    assert_eq!(end, START + 28 * DAY, "31 January and a month is 28 February");
    let (_, list) = shop.get(&format!("invoices?subscription={}", text(&subscription["id"]))).await;
    let invoice = &list["data"][0];
    assert_eq!(
        (&invoice["status"], &invoice["billing_reason"]),
        (&json!("paid"), &json!("subscription_create"))
    );
    assert_eq!(invoice["parent"]["subscription_details"]["subscription"], subscription["id"]);
    let (_, payments) =
        shop.get(&format!("invoice_payments?invoice={}", text(&invoice["id"]))).await;
    let intent = text(&payments["data"][0]["payment"]["payment_intent"]);
    let by_intent =
        format!("invoice_payments?payment[type]=payment_intent&payment[payment_intent]={intent}");
    assert_eq!(shop.get(&by_intent).await.1["data"], payments["data"]);
    let path = format!("invoices/{}?expand[]=payments", text(&invoice["id"]));
    assert_eq!(shop.get(&path).await.1["payments"]["data"], payments["data"]);
}

#[tokio::test]
async fn renewals_follow_the_anchor_and_are_paid_after_an_hour() {
    let shop = Shop::open().await;
    let id = shop.subscribed(&shop.basic).await;
    shop.stripe.advance_to(START + 28 * DAY);
    assert_eq!(
        (text(&latest(&shop, &id)["status"]), status(&shop, &id)),
        ("draft".into(), "active".into())
    );
    let item = item_of(&shop.stripe.object(&id));
    assert_eq!(item["current_period_end"], START + 59 * DAY, "and then 31 March");
    shop.stripe.advance(HOUR);
    assert_eq!(
        (&latest(&shop, &id)["status"], &latest(&shop, &id)["billing_reason"]),
        (&json!("paid"), &json!("subscription_cycle"))
    );
    assert_eq!(shop.stripe.renew(&id)["status"], "paid");
    shop.stripe.advance(365 * DAY);
    assert_eq!(shop.stripe.truth().paid_invoices().count(), 15);
}

#[tokio::test]
async fn an_upgrade_is_prorated_to_the_second() {
    let shop = Shop::open().await;
    let id = shop.subscribed(&shop.basic).await;
    let passed = 10 * DAY + 12_345;
    shop.stripe.advance(passed);
    let item = text(&item_of(&shop.stripe.object(&id))["id"]);
    let form = [
        ("subscription", id.as_str()),
        ("subscription_details[items][0][id]", item.as_str()),
        ("subscription_details[items][0][price]", shop.pro.as_str()),
        ("subscription_details[proration_behavior]", "always_invoice"),
    ];
    let (_, preview) = shop.post("invoices/create_preview", &form).await;
    let more =
        [("proration_behavior", "always_invoice"), ("payment_behavior", "pending_if_incomplete")];
    let (_, changed) = change(&shop, &id, &shop.pro, &more).await;
    assert_eq!(
        (&item_of(&changed)["price"]["id"], &changed["pending_update"]),
        (&json!(shop.pro), &Value::Null)
    );
    let (period, left) = (28 * DAY, 28 * DAY - passed);
    let share = |amount: i64| (2 * amount * left + period) / (2 * period);
    let invoice = latest(&shop, &id);
    let lines = invoice["lines"]["data"].as_array().expect("lines");
    assert_eq!(
        (&lines[0]["amount"], &lines[1]["amount"]),
        (&json!(-share(1000)), &json!(share(3000)))
    );
    assert_eq!(
        (&invoice["total"], &invoice["total"]),
        (&preview["total"], &json!(share(3000) - share(1000)))
    );
    assert_eq!(
        (&invoice["status"], &invoice["billing_reason"]),
        (&json!("paid"), &json!("subscription_update"))
    );
    assert_eq!(lines[0]["parent"]["subscription_item_details"]["proration"], true);
}

#[tokio::test]
async fn a_downgrade_becomes_credit_that_the_next_invoice_uses() {
    let shop = Shop::open().await;
    let id = shop.subscribed(&shop.pro).await;
    shop.stripe.advance(14 * DAY);
    change(&shop, &id, &shop.basic, &[("proration_behavior", "always_invoice")]).await;
    let invoice = latest(&shop, &id);
    assert_eq!(
        (&invoice["total"], &invoice["amount_paid"], &invoice["status"]),
        (&json!(-1000), &json!(0), &json!("paid"))
    );
    assert_eq!(shop.stripe.object(&shop.customer)["balance"], -1000);
    assert_eq!(shop.stripe.renew(&id)["amount_due"], 0);
    assert_eq!(shop.stripe.object(&shop.customer)["balance"], 0);
}

#[tokio::test]
async fn prorations_wait_for_the_renewal_or_are_not_made() {
    let shop = Shop::open().await;
    let id = shop.subscribed(&shop.basic).await;
    shop.stripe.advance(14 * DAY);
    change(&shop, &id, &shop.pro, &[]).await;
    assert_eq!(latest(&shop, &id)["billing_reason"], "subscription_create");
    assert_eq!(shop.stripe.renew(&id)["total"], 3000 + 1500 - 500);
    change(&shop, &id, &shop.basic, &[("proration_behavior", "none")]).await;
    assert_eq!(shop.stripe.renew(&id)["total"], 1000);
}

#[tokio::test]
async fn another_interval_begins_a_new_period() {
    let shop = Shop::open().await;
    let id = shop.subscribed(&shop.basic).await;
    let product = text(&shop.stripe.object(&shop.basic)["product"]);
    let yearly = shop.price(&product, "10000", Some("year")).await;
    shop.stripe.advance(14 * DAY);
    let (_, changed) = change(&shop, &id, &yearly, &[]).await;
    assert_eq!(item_of(&changed)["current_period_end"], START + (14 + 365) * DAY);
    assert_eq!(latest(&shop, &id)["total"], 10_000 - 500);
}

#[tokio::test]
async fn a_change_waits_for_its_payment() {
    let shop = Shop::open().await;
    let id = shop.subscribed(&shop.basic).await;
    shop.stripe.cards_of(&shop.customer, Mood::Authenticates);
    let more =
        [("proration_behavior", "always_invoice"), ("payment_behavior", "pending_if_incomplete")];
    let (_, changed) = change(&shop, &id, &shop.pro, &more).await;
    assert_eq!(item_of(&changed)["price"]["id"], *shop.basic);
    assert_eq!(changed["pending_update"]["subscription_items"][0]["price"]["id"], *shop.pro);
    assert_eq!(shop.stripe.events_of("invoice.payment_action_required").len(), 1);
    shop.stripe.authenticate(&id);
    let now = shop.stripe.object(&id);
    assert_eq!(
        (&item_of(&now)["price"]["id"], &now["pending_update"]),
        (&json!(shop.pro), &Value::Null)
    );
    shop.stripe.cards_of(&shop.customer, Mood::Declines("insufficient_funds"));
    let product = text(&shop.stripe.object(&shop.basic)["product"]);
    let dear = shop.price(&product, "9000", Some("month")).await;
    change(&shop, &id, &dear, &more).await;
    assert_eq!(status(&shop, &id), "active");
    shop.stripe.advance(23 * HOUR);
    assert_eq!(shop.stripe.object(&id)["pending_update"], Value::Null);
    assert_eq!(latest(&shop, &id)["status"], "void");
    let (refused, _) =
        shop.post(&format!("subscriptions/{id}"), &[("metadata[a]", "1"), more[1]]).await;
    assert_eq!(refused, 400);
}

#[tokio::test]
async fn a_failed_renewal_recovers_with_another_card() {
    let shop = Shop::open().await;
    let id = shop.subscribed(&shop.basic).await;
    shop.stripe.cards_of(&shop.customer, Mood::Declines("insufficient_funds"));
    let invoice = shop.stripe.renew(&id);
    assert_eq!((text(&invoice["status"]), status(&shop, &id)), ("open".into(), "past_due".into()));
    shop.stripe.change_card(&shop.customer, Mood::Pays);
    shop.stripe.advance(3 * DAY);
    assert_eq!(
        (text(&latest(&shop, &id)["status"]), status(&shop, &id)),
        ("paid".into(), "active".into())
    );
    shop.stripe.cards_of(&shop.customer, Mood::Declines("insufficient_funds"));
    let invoice = text(&shop.stripe.renew(&id)["id"]);
    let (refused, _) = shop.post(&format!("invoices/{invoice}/pay"), &[]).await;
    assert_eq!(refused, 402);
    shop.stripe.pay_invoice(&invoice);
    assert_eq!(status(&shop, &id), "active");
}

#[tokio::test]
async fn a_renewal_that_nobody_pays_ends_as_the_account_says() {
    let ends = [
        (AfterDunning::Cancel, "canceled"),
        (AfterDunning::Unpaid, "unpaid"),
        (AfterDunning::PastDue, "past_due"),
    ];
    for (then, expected) in ends {
        let shop = Shop::open().await;
        let id = shop.subscribed(&shop.basic).await;
        shop.stripe.after_dunning(then);
        shop.stripe.cards_of(&shop.customer, Mood::Declines("insufficient_funds"));
        let invoice = text(&shop.stripe.renew(&id)["id"]);
        shop.stripe.advance(16 * DAY);
        assert_eq!(status(&shop, &id), expected);
        assert_eq!(shop.stripe.object(&invoice)["attempt_count"], 4);
        if then != AfterDunning::Cancel {
            shop.stripe.pay_invoice(&invoice);
            assert_eq!(status(&shop, &id), "active");
        }
    }
}

#[tokio::test]
async fn cancellation_at_the_end_can_be_taken_back() {
    let shop = Shop::open().await;
    let id = shop.subscribed(&shop.basic).await;
    let path = format!("subscriptions/{id}");
    let (_, canceling) = shop.post(&path, &[("cancel_at_period_end", "true")]).await;
    assert_eq!(canceling["cancel_at"], START + 28 * DAY);
    shop.post(&path, &[("cancel_at_period_end", "false")]).await;
    assert_eq!(shop.stripe.renew(&id)["status"], "paid");
    shop.stripe.portal_cancel(&id);
    shop.stripe.advance(31 * DAY);
    assert_eq!(status(&shop, &id), "canceled");
    assert_eq!(shop.stripe.events_of("customer.subscription.deleted").len(), 1);
    assert_eq!(shop.stripe.truth().paid_invoices().count(), 2);
    assert_eq!(shop.delete(&path).await.0, 404);
    assert_eq!(
        shop.get(&format!("subscriptions?customer={}", shop.customer)).await.1["data"],
        json!([])
    );
    let (_, all) = shop.get(&format!("subscriptions?customer={}&status=all", shop.customer)).await;
    assert_eq!(all["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_trial_is_announced_and_then_paid_or_ended() {
    let shop = Shop::open().await;
    let more = [
        ("subscription_data[trial_period_days]", "14"),
        ("subscription_data[trial_settings][end_behavior][missing_payment_method]", "cancel"),
    ];
    let session = shop.session("subscription", &shop.basic, &more).await;
    let done = shop.stripe.pay_checkout(&session);
    assert_eq!(done["payment_status"], "no_payment_required");
    let id = text(&done["subscription"]);
    assert_eq!(
        (status(&shop, &id), &latest(&shop, &id)["amount_paid"]),
        ("trialing".into(), &json!(0))
    );
    let session = shop.session("subscription", &shop.basic, &more).await;
    let free = text(&shop.stripe.start_trial_without_card(&session)["subscription"]);
    shop.stripe.advance(11 * DAY);
    assert_eq!(shop.stripe.events_of("customer.subscription.trial_will_end").len(), 2);
    shop.stripe.advance(3 * DAY + HOUR);
    assert_eq!(
        (status(&shop, &id), &latest(&shop, &id)["amount_paid"]),
        ("active".into(), &json!(1000))
    );
    assert_eq!(status(&shop, &free), "canceled");
}

#[tokio::test]
async fn a_trial_can_be_ended_at_once() {
    let shop = Shop::open().await;
    let more = [("subscription_data[trial_period_days]", "14")];
    let session = shop.session("subscription", &shop.basic, &more).await;
    let id = text(&shop.stripe.pay_checkout(&session)["subscription"]);
    shop.stripe.advance(DAY);
    let (_, now) = shop.post(&format!("subscriptions/{id}"), &[("trial_end", "now")]).await;
    assert_eq!(
        (&now["status"], &item_of(&now)["current_period_start"]),
        (&json!("active"), &json!(START + DAY))
    );
    assert_eq!(latest(&shop, &id)["amount_paid"], 1000);
}

#[tokio::test]
async fn a_first_payment_may_want_a_confirmation() {
    let shop = Shop::open().await;
    let session = shop.session("subscription", &shop.basic, &[]).await;
    let waiting = shop.stripe.challenge_checkout(&session);
    let id = text(&waiting["subscription"]);
    assert_eq!(
        (text(&waiting["status"]), status(&shop, &id)),
        ("open".into(), "incomplete".into())
    );
    shop.stripe.authenticate(&session);
    assert_eq!(
        (&shop.stripe.object(&session)["payment_status"], status(&shop, &id)),
        (&json!("paid"), "active".into())
    );
    let session = shop.session("subscription", &shop.basic, &[]).await;
    let lost = text(&shop.stripe.challenge_checkout(&session)["subscription"]);
    shop.stripe.advance(DAY);
    assert_eq!(
        (status(&shop, &lost), text(&latest(&shop, &lost)["status"])),
        ("incomplete_expired".into(), "void".into())
    );
}

#[tokio::test]
async fn a_first_payment_may_take_days() {
    let shop = Shop::open().await;
    let session = shop.session("subscription", &shop.basic, &[]).await;
    let waiting = shop.stripe.pay_checkout_slowly(&session);
    assert_eq!(
        (&waiting["status"], &waiting["payment_status"]),
        (&json!("complete"), &json!("unpaid"))
    );
    let id = text(&waiting["subscription"]);
    assert_eq!(
        (status(&shop, &id), text(&latest(&shop, &id)["status"])),
        ("active".into(), "open".into())
    );
    shop.stripe.complete_processing(&session);
    assert_eq!(text(&latest(&shop, &id)["status"]), "paid");
    assert_eq!(shop.stripe.events_of("checkout.session.async_payment_succeeded").len(), 1);
}

#[tokio::test]
async fn the_portal_changes_plans() {
    let shop = Shop::open().await;
    let id = shop.subscribed(&shop.basic).await;
    let before = shop.stripe.events().len();
    shop.stripe.portal_change_plan(&id, &shop.pro);
    assert!(shop.kinds_since(before).contains(&"customer.subscription.updated".to_owned()));
    shop.stripe.portal_cancel(&id);
    shop.stripe.portal_undo_cancel(&id);
    let truth = shop.stripe.truth().of(&shop.customer);
    assert_eq!(
        (&truth.subscriptions[0].price, truth.subscriptions[0].cancel_at_period_end),
        (&shop.pro, false)
    );
    assert_eq!(shop.stripe.cancel_now(&id)["status"], "canceled");
}
