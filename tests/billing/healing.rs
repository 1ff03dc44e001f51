//! Nobody was there to hear: a server that starts finds out by itself.

use std::collections::HashMap;

use crate::plans::DAY;
use crate::shop::Shop;

/// As if the server had last gone through what Stripe lists at this moment.
async fn heard_until(shop: &Shop, moment: i64) {
    let pool = shop.database.kept().await;
    let moved = "insert into stripe_cursor (healed_to) values (to_timestamp($1::bigint))
        on conflict (id) do update set healed_to = excluded.healed_to";
    sqlx::query(moved).bind(moment).execute(pool).await.expect("a cursor");
}

/// Where each event that is kept came from, and what became of it.
async fn kept(shop: &Shop) -> HashMap<String, (String, String)> {
    let pool = shop.database.kept().await;
    let rows = "select event_id, source, state from stripe_inbox";
    let rows: Vec<(String, String, String)> =
        sqlx::query_as(rows).fetch_all(pool).await.expect("events");
    rows.into_iter().map(|(id, source, state)| (id, (source, state))).collect()
}

/// T21 whole. Stripe tells for three days, and nobody asks the server to look: it starts, and knows.
#[tokio::test]
async fn what_happened_in_four_days_without_a_server_is_known_when_it_starts() {
    let mut shop = Shop::open_ago(40 * DAY).await;
    let subscription = shop.subscribed("Basic", "plan").await;
    shop.hear().await;
    let item = shop.stripe.object(&subscription)["items"]["data"][0].clone();
    let period_end = item["current_period_end"].as_i64().expect("a time");
    shop.stripe.advance_to(period_end - 2 * DAY);
    let (_, refunded) = shop.bought("Starter", "refunded").await;
    let (purchase, paid) = shop.order("Starter", "paid").await;
    shop.hear().await;
    assert_eq!(shop.available().await, 1_300);

    let down = shop.stripe.now();
    shop.server.kill();
    heard_until(&shop, down).await;
    let before = shop.stripe.events().len();
    shop.stripe.pay_checkout(&paid);
    shop.stripe.refund(&refunded, None);
    shop.stripe.renew(&subscription);
    shop.stripe.advance_to(down + 4 * DAY);
    let missed = shop.stripe.events().split_off(before);
    shop.stripe.lose("*");
    shop.restart().await;

    // The pack that was paid has come, the one that was given back has gone, and a month has begun.
    shop.until_available(2_300).await;
    shop.until(|| shop.is_quiet()).await;
    assert_eq!(
        (shop.available().await, shop.state(&purchase).await.as_str()),
        (2_300, "fulfilled")
    );
    assert_eq!(shop.subscription().await["status"], "active");
    let kept = kept(&shop).await;
    for event in &missed {
        let (id, kind) = (event["id"].as_str().expect("an id"), &event["type"]);
        let (source, state) = kept.get(id).unwrap_or_else(|| panic!("nobody has heard of {event}"));
        assert_eq!(source, "healed", "{kind}");
        assert!(["done", "ignored"].contains(&state.as_str()), "{kind} is {state}");
    }
    for kind in ["checkout.session.completed", "charge.refunded", "invoice.paid"] {
        let of_it = missed.iter().filter(|event| event["type"] == kind);
        let done = of_it.filter(|event| kept[event["id"].as_str().expect("an id")].1 == "done");
        assert_eq!(done.count(), 1, "{kind}");
    }
    shop.close().await;
}
