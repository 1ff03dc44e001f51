//! Stripe does not answer, or slowly: the house goes on.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;

use crate::shop::Shop;
use crate::stripe::{Fault, Manner};
use crate::world::{message, post};

#[tokio::test]
async fn a_slow_stripe_keeps_no_mail_waiting() {
    let shop = Shop::open().await;
    shop.stripe.deliver().await;
    shop.until(|| shop.is_quiet()).await;
    shop.stripe.fault("/v1/payment_intents", 1000, Fault::Slow(Duration::from_secs(15)));
    for number in 0..40 {
        let object = json!({ "id": format!("pi_slow{number}"), "object": "payment_intent" });
        shop.stripe.make_event("payment_intent.succeeded", &object);
    }
    for answer in shop.stripe.deliver_in(Manner::in_order().at_once()).await {
        assert_eq!(answer.status, Some(204), "{answer:?}");
    }
    let is_slow = |path: &str| path.starts_with("/v1/payment_intents/pi_slow");
    let asked = || shop.stripe.calls().iter().filter(|call| is_slow(&call.path)).count();
    shop.until(|| async { asked() >= 8 }).await;
    let since = Instant::now();
    let asked = json!({ "channel": "email", "to": "grace@example.com" });
    let sent = post(&shop.server, "/auth/otp", &asked).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{:?}", sent.body);
    message(&shop.server, "grace@example.com", 1).await;
    assert!(since.elapsed() < Duration::from_secs(5), "it took {:?}", since.elapsed());
    let pool = shop.database.pool().await;
    let waiting = "select count(*) from stripe_inbox where state = 'waiting'";
    let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&pool).await.expect("a count");
    pool.close().await;
    assert_eq!(waiting, 40, "Stripe has answered nothing yet");
    shop.close().await;
}
