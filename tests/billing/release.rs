//! The quota of a year comes by the month: when it is due, without a word from Stripe, whoever dies.

use chrono::{DateTime, Months, TimeDelta, Utc};
use saldo::clock;
use serde_json::json;

use crate::plans::DAY;
use crate::shop::Shop;
use crate::world::{ADA, change, verify};

/// How long it is until another month begins, when the one before is paid for.
pub const SOON: TimeDelta = TimeDelta::seconds(7);

/// When something began of which another month begins then, and how many had begun before. Where the
/// month before is too short for the day, it is two.
pub fn start_of(due: DateTime<Utc>) -> (DateTime<Utc>, i64) {
    let begun = (1..=2).find_map(|months| {
        let start = due.checked_sub_months(Months::new(months))?;
        let again = start.checked_add_months(Months::new(months))?;
        (again == due).then_some((start, i64::from(months)))
    });
    begun.expect("of two months in a row one is long enough")
}

/// A year that is paid for, with 500 credits a month, of which another month begins soon; what came
/// before that.
async fn a_month_begins_soon(shop: &Shop) -> i64 {
    shop.offer("Yearly", &json!({ "interval": "year" })).await;
    let (about, _) = start_of(clock::now());
    shop.stripe.advance_to(about.timestamp() - DAY / 2);
    let checkout = shop.subscribe("Yearly", "one").await;
    let (start, begun) = start_of(clock::now() + SOON);
    shop.stripe.advance_to(start.timestamp());
    shop.stripe.pay_checkout(&checkout);
    shop.hear().await;
    let next = shop.subscription().await["next_quota_at"].as_str().expect("a time").to_owned();
    assert!(next > clock::now().to_rfc3339(), "it is not to come any more: {next}");
    assert_eq!(shop.available().await, 100 + begun * 500);
    100 + begun * 500
}

#[tokio::test]
async fn another_month_of_a_year_brings_its_quota_by_itself_and_is_written_of() {
    let shop = Shop::open_ago(70 * DAY).await;
    verify(&shop.server, &shop.ada, ADA).await;
    let before = a_month_begins_soon(&shop).await;
    shop.until_available(before + 500).await;
    let letter = shop.letter("Your credits of Yearly for this month").await;
    let text = letter["text"].as_str().expect("a text");
    assert!(text.contains("\n500 credits of Yearly came into your wallet on "), "{text}");
    let next = shop.subscription().await["next_quota_at"].as_str().expect("a time").to_owned();
    let in_days = (clock::now() + TimeDelta::days(27)).to_rfc3339();
    assert!(next > in_days, "{next}");
    shop.close().await;
}

/// Of a month that two invoices have paid, each brings its part.
#[tokio::test]
async fn another_month_of_a_year_whose_plan_was_changed_is_written_of_as_a_whole() {
    let shop = Shop::open_ago(70 * DAY).await;
    verify(&shop.server, &shop.ada, ADA).await;
    let price = json!({ "amount_minor": 9000, "currency": "usd" });
    shop.offer("Large", &json!({ "interval": "year", "quota": 2_000, "price": price })).await;
    let large = shop.plan("Large").await;
    let before = a_month_begins_soon(&shop).await;
    let changed = shop.manage("change", &json!({ "plan": large })).await;
    assert_eq!(changed.body["plan"]["name"], "Large", "{:?}", changed.body);
    // Of the months that have begun, the rest of the year brings the difference.
    let more = (before - 100) * 3;
    shop.until_available(before + more + 2_000).await;
    let letter = shop.letter("Your credits of Large for this month").await;
    let text = letter["text"].as_str().expect("a text");
    assert!(text.contains("\n2000 credits of Large came into your wallet on "), "{text}");
    shop.close().await;
}

/// Nobody else knows: no webhook, no job, and the next month is far.
#[tokio::test]
async fn what_was_released_comes_into_the_wallet_though_its_server_died_in_between() {
    let mut shop = Shop::open_ago(70 * DAY).await;
    let before = a_month_begins_soon(&shop).await;
    let refuse = "alter table events add constraint nothing_is_granted
        check (event_type <> 'Granted') not valid";
    change(&shop.database, refuse).await;
    shop.until(|| async { released(&shop).await == 2 }).await;
    shop.server.kill();
    change(&shop.database, "alter table events drop constraint nothing_is_granted").await;
    shop.restart().await;
    assert_eq!((released(&shop).await, shop.available().await), (2, before));
    let awaited = "select count(*) from billing.subscriptions where awaited > 0";
    shop.until(|| async { count(&shop, awaited).await == 1 }).await;
    // Half a minute goes by.
    let later = "update billing.subscriptions
        set awaited_since = awaited_since - interval '30 seconds'";
    change(&shop.database, later).await;
    shop.until_available(before + 500).await;
    // The credits come first, and then it is written down that they came.
    shop.until(|| async { count(&shop, awaited).await == 0 }).await;
    shop.until(|| shop.is_quiet()).await;
    assert_eq!((released(&shop).await, shop.available().await), (2, before + 500));
    shop.close().await;
}

/// How often something was released.
async fn released(shop: &Shop) -> i64 {
    count(shop, "select count(*) from events where event_type = 'QuotaReleased'").await
}

async fn count(shop: &Shop, rows: &'static str) -> i64 {
    let pool = shop.database.kept().await;
    sqlx::query_scalar(rows).fetch_one(pool).await.expect("a count")
}
