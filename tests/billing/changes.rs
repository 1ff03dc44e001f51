//! Changes of plans: what they cost and bring, when they come, and when there are none.

use chrono::{DateTime, Utc};
use reqwest::{Method, StatusCode};
use saldo::clock;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::plan_histories::until_listed;
use crate::plans::DAY;
use crate::release::{SOON, start_of};
use crate::shop::Shop;
use crate::stripe::{Fault, Manner, Mood};
use crate::world::{ask, send};

impl Shop {
    /// All that was paid at Stripe.
    fn paid(&self) -> i64 {
        self.stripe.truth().payments.iter().map(|payment| payment.paid).sum()
    }

    /// A change to this plan is refused, and so is its preview; why.
    async fn refuses(&self, plan: &str) -> (StatusCode, String) {
        let [preview, change] = [
            self.manage("change/preview", &json!({ "plan": plan })).await,
            self.manage("change", &json!({ "plan": plan })).await,
        ];
        assert_eq!((preview.status, &preview.body["code"]), (change.status, &change.body["code"]));
        (change.status, change.body["code"].as_str().expect("a code").to_owned())
    }
}

/// Pro, whose month ends soon; how many months were paid.
async fn a_month_of_pro_ends_soon(shop: &Shop) -> (String, i64) {
    let (about, _) = start_of(clock::now());
    shop.stripe.advance_to(about.timestamp() - DAY / 2);
    let checkout = shop.subscribe("Pro", "one").await;
    let (start, months) = start_of(clock::now() + SOON);
    shop.stripe.advance_to(start.timestamp());
    shop.stripe.pay_checkout(&checkout);
    let subscription = shop.stripe.object(&checkout)["subscription"].clone();
    let subscription = subscription.as_str().expect("a subscription").to_owned();
    for _ in 1..months {
        shop.stripe.renew(&subscription);
    }
    shop.hear().await;
    assert_eq!(shop.available().await, 100 + months * 10_000);
    (subscription, months)
}

#[tokio::test]
async fn what_costs_less_comes_with_the_renewal() {
    let shop = Shop::open_ago(70 * DAY).await;
    let basic = shop.plan("Basic").await;
    let (subscription, months) = a_month_of_pro_ends_soon(&shop).await;
    let changed = shop.manage("change", &json!({ "plan": basic })).await;
    assert_eq!(changed.status, StatusCode::OK, "{:?}", changed.body);
    assert_eq!(changed.body["plan"]["name"], "Pro");
    assert_eq!(changed.body["pending_change"]["plan"]["name"], "Basic");
    let end = &changed.body["period_end"];
    assert_eq!(&changed.body["pending_change"]["at"], end);
    assert_eq!(shop.paid(), months * 2_900);
    let end = end.as_str().expect("a time").parse::<DateTime<Utc>>().expect("a time");
    shop.until(|| async { clock::now() > end }).await;
    shop.stripe.renew(&subscription);
    shop.hear().await;
    assert_eq!(shop.paid(), months * 2_900 + 900);
    assert_eq!(shop.available().await, 100 + months * 10_000 + 1_000);
    let renewed = shop.subscription().await;
    assert_eq!(renewed["plan"]["name"], "Basic");
    assert_eq!(renewed["pending_change"], Value::Null);
    shop.close().await;
}

/// The person pays the invoice on its page before the change is given up.
#[tokio::test]
async fn an_upgrade_that_is_paid_later_comes_then_and_once() {
    let shop = Shop::open().await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    shop.cards_of(&subscription, Mood::Declines("card_declined"));
    let changed = shop.manage("change", &json!({ "plan": shop.plan("Pro").await })).await;
    assert_eq!(changed.body["pending_change"]["waits_for_payment"], true, "{:?}", changed.body);
    shop.hear().await;
    assert_eq!(shop.available().await, 1_100);
    let invoice = shop.stripe.object(&subscription)["latest_invoice"].clone();
    shop.stripe.pay_invoice(invoice.as_str().expect("an id"));
    shop.stripe.deliver_in(Manner::shuffled(7).twice().at_once()).await;
    shop.until(|| shop.is_quiet()).await;
    let paid = shop.subscription().await;
    assert_eq!((&paid["plan"]["name"], &paid["pending_change"]), (&json!("Pro"), &Value::Null));
    assert_eq!((shop.paid(), shop.available().await), (2_900, 10_100));
    shop.close().await;
}

/// A year that costs more begins at once: what is left of the month is given back in money, and what
/// the month brought beyond its time counts.
#[tokio::test]
async fn a_month_is_changed_for_a_year_at_once() {
    let shop = Shop::open_ago(10 * DAY).await;
    let price = json!({ "amount_minor": 9_000, "currency": "usd" });
    shop.offer("Yearly", &json!({ "interval": "year", "quota": 3_000, "price": price })).await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    let month = shop.stripe.truth().subscriptions[0].clone();
    shop.stripe.advance(10 * DAY);
    let year = shop.plan("Yearly").await;
    let preview = shop.manage("change/preview", &json!({ "plan": year })).await;
    assert_eq!((preview.status, &preview.body["when"]), (StatusCode::OK, &json!("now")));
    let due = preview.body["due_minor"].as_i64().expect("a number");
    assert!((8_380..8_430).contains(&due), "{due}");
    let change = json!({ "plan": year, "at": preview.body["at"] });
    let changed = shop.manage("change", &change).await;
    assert_eq!(changed.body["plan"]["name"], "Yearly", "{:?}", changed.body);
    assert_eq!(shop.paid(), 900 + due);
    let truth = shop.stripe.truth();
    let year = truth.subscriptions.iter().find(|known| known.id == subscription);
    let year = year.expect("a subscription");
    assert!(year.period_end - year.period_start > 364 * DAY, "{year:?}");
    let mut lines = truth.invoices.iter().flat_map(|invoice| &invoice.lines);
    let back = lines.rfind(|line| line.proration).expect("what is given back");
    let used = back.start - month.period_start;
    let worth = 1_000 * used / (month.period_end - month.period_start);
    assert_eq!(shop.available().await, 1_100 + 3_000 - (1_000 - worth));
    shop.hear().await;
    assert_eq!(shop.available().await, 1_100 + 3_000 - (1_000 - worth));
    assert!(shop.subscription().await["next_quota_at"].is_string());
    let back = shop.refuses(&shop.plan("Basic").await).await;
    assert_eq!(back, (StatusCode::CONFLICT, "by_the_year".to_owned()));
    assert_eq!(shop.subscription().await["plan"]["name"], "Yearly");
    shop.close().await;
}

#[tokio::test]
async fn what_cannot_be_changed_to_is_refused_and_stripe_is_not_asked() {
    let shop = Shop::open_ago(40 * DAY).await;
    let price = json!({ "amount_minor": 5_000, "currency": "eur" });
    shop.offer("Euros", &json!({ "price": price })).await;
    let (pro, euros) = (shop.plan("Pro").await, shop.plan("Euros").await);
    let none = shop.refuses(&pro).await;
    assert_eq!(none, (StatusCode::CONFLICT, "not_subscribed".to_owned()));
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until(|| shop.is_quiet()).await;
    let other = shop.refuses(&euros).await;
    assert_eq!(other, (StatusCode::CONFLICT, "other_currency".to_owned()));
    let (status, _) = shop.refuses(&Uuid::nil().to_string()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let nothing = shop.try_subscribe(&Uuid::nil().to_string(), "two").await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    shop.cards_of(&subscription, Mood::Declines("card_declined"));
    shop.stripe.renew(&subscription);
    shop.hear().await;
    let behind = shop.refuses(&pro).await;
    assert_eq!(behind, (StatusCode::CONFLICT, "past_due".to_owned()));
    let retire = format!("/admin/plans/{pro}/retire");
    let retired = ask(&shop.server, Method::POST, &retire, &shop.ada.access).await;
    assert_eq!(retired.status, StatusCode::NO_CONTENT);
    assert_eq!(shop.refuses(&pro).await, (StatusCode::CONFLICT, "retired".to_owned()));
    let path = format!("/v1/subscriptions/{subscription}");
    assert!(shop.stripe.calls_to("POST", &path).is_empty());
    assert!(shop.stripe.calls_to("POST", "/v1/invoices/create_preview").is_empty());
    shop.close().await;
}

/// An order is for what was shown: whoever comes back to it when the plan is another orders anew.
#[tokio::test]
async fn a_plan_that_changed_before_its_page_was_opened_is_ordered_anew() {
    let shop = Shop::open().await;
    shop.administrate();
    let basic = shop.plan("Basic").await;
    shop.stripe.fault("POST /v1/checkout/sessions", 1000, Fault::FailsBefore);
    let failed = shop.try_subscribe(&basic, "one").await;
    assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE, "{:?}", failed.body);
    shop.stripe.heal();
    let price = json!({ "amount_minor": 1_200, "currency": "usd" });
    let dearer = json!({
        "name": "Basic", "tier": "basic", "quota": 1_000, "price": price, "interval": "month",
    });
    let path = format!("/admin/plans/{basic}");
    let changed = send(&shop.server, Method::PUT, &path, &shop.ada.access, &dearer).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT, "{:?}", changed.body);
    let again = shop.try_subscribe(&basic, "one").await;
    let told = (again.status, &again.body["code"]);
    assert_eq!(told, (StatusCode::CONFLICT, &json!("changed")));
    shop.subscribed("Basic", "two").await;
    assert_eq!(shop.paid(), 1_200);
    shop.close().await;
}

/// The history of the wallet says which plan's credits they are, not which plan was there first.
#[tokio::test]
async fn quota_is_booked_as_that_of_the_plan_which_brought_it() {
    let shop = Shop::open_ago(40 * DAY).await;
    let subscription = shop.subscribed("Basic", "one").await;
    until_listed(&shop).await;
    shop.until_available(1_100).await;
    shop.stripe.portal_change_plan(&subscription, &shop.price(2_900));
    shop.stripe.renew(&subscription);
    shop.hear().await;
    shop.until_available(20_100).await;
    let path = "/wallet/transactions";
    let booked = ask(&shop.server, Method::GET, path, &shop.ada.access).await;
    let booked = booked.body["items"].as_array().expect("transactions").iter();
    let booked = booked.filter(|row| row["amount"] != 100);
    let booked: Vec<_> = booked.map(|row| (&row["amount"], &row["reason"])).collect();
    let row = |amount: i64, reason: &str| (json!(amount), json!(reason));
    let expected =
        [row(10_000, "quota of Pro"), row(9_000, "quota of Pro"), row(1_000, "quota of Basic")];
    let expected: Vec<_> = expected.iter().map(|(amount, reason)| (amount, reason)).collect();
    assert_eq!(booked, expected);
    shop.close().await;
}
