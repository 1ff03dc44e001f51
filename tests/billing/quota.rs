//! What a plan brings for its period, as its owner reads it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::plans::DAY;
use crate::recharge::spend;
use crate::shop::Shop;
use crate::world::ask;

impl Shop {
    async fn quota(&self) -> Value {
        let usage = ask(&self.server, Method::GET, "/usage", &self.ada.access).await;
        usage.body["quota"].clone()
    }

    /// Granted, carried over, used and remaining.
    async fn quota_figures(&self) -> [i64; 4] {
        let quota = self.quota().await;
        let figure = |name: &str| quota[name].as_i64().unwrap_or_else(|| panic!("{quota}"));
        ["granted", "carried_over", "used", "remaining"].map(figure)
    }
}

#[tokio::test]
async fn a_quota_is_told_with_what_is_left_of_it_and_begins_anew_with_the_next_period() {
    let shop = Shop::open_ago(40 * DAY).await;
    assert_eq!(shop.quota().await["tier"], "free");
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    // The period that was paid for is over, as far as the server's clock goes.
    shop.stripe.renew(&subscription);
    shop.hear().await;
    shop.until_available(2_100).await;
    spend(&shop, 1_030).await;
    let (quota, standing) = (shop.quota().await, shop.subscription().await);
    assert_eq!((&quota["tier"], &quota["plan"]), (&json!("basic"), &json!("Basic")));
    assert_eq!(quota["period_start"], standing["period_start"]);
    assert_eq!(quota["resets_at"], standing["period_end"]);
    let messages = &quota["chat_messages_per_day"];
    assert_eq!(
        (&messages["limit"], &messages["used"], &messages["remaining"]),
        (&Value::Null, &json!(0), &Value::Null)
    );
    let [granted, carried_over, used, remaining] = shop.quota_figures().await;
    assert_eq!((granted, carried_over, used + remaining), (1_000, 0, 1_000));
    assert!(used > 0, "{quota}");
    let usage = ask(&shop.server, Method::GET, "/usage", &shop.ada.access).await.body;
    assert_eq!(usage["from"].as_str(), standing["period_start"].as_str().map(|at| &at[..10]));
    shop.close().await;
}

#[tokio::test]
async fn a_year_s_quota_begins_anew_each_month() {
    let shop = Shop::open_ago(70 * DAY).await;
    shop.offer("Yearly", &json!({ "interval": "year" })).await;
    shop.subscribed("Yearly", "one").await;
    shop.until_available(100 + 3 * 500).await;
    let (quota, standing) = (shop.quota().await, shop.subscription().await);
    assert_eq!(quota["resets_at"], standing["next_quota_at"]);
    assert_eq!(shop.quota_figures().await, [500, 0, 0, 500]);
    shop.close().await;
}

#[tokio::test]
async fn what_was_carried_over_is_told_apart_and_is_a_part_of_what_is_left() {
    let shop = Shop::open_ago(35 * DAY).await;
    shop.offer("Rolling", &json!({ "rollover": 200 })).await;
    let subscription = shop.subscribed("Rolling", "one").await;
    shop.until_available(600).await;
    shop.stripe.renew(&subscription);
    shop.hear().await;
    shop.until_available(1_100).await;
    assert_eq!(shop.quota_figures().await, [500, 200, 0, 700]);
    // Whatever goes first, this much is more than all the rest.
    spend(&shop, 450).await;
    let [granted, carried_over, used, remaining] = shop.quota_figures().await;
    assert_eq!((granted, carried_over, used + remaining), (500, 200, 700));
    assert!(used >= 50, "{used}");
    let limits = ask(&shop.server, Method::GET, "/me/limits", &shop.ada.access).await.body;
    let quota = &limits["quota"];
    assert_eq!((&quota["limit"], &quota["used"]), (&json!(700), &json!(used)), "{limits}");
    assert_eq!((&limits["tier"], &quota["remaining"]), (&json!("basic"), &json!(remaining)));
    assert_eq!(limits["chat_messages_per_day"]["limit"], Value::Null);
    shop.close().await;
}
