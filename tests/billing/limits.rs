//! Stripe answers a house so many times a second: nobody uses all of it up.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::world::send;

type Asked = (Method, &'static str, Value);

async fn is_refused(shop: &Shop, (method, path, body): &Asked) -> bool {
    let answer = send(&shop.server, method.clone(), path, &shop.ada.access, body).await;
    answer.status == StatusCode::TOO_MANY_REQUESTS
}

/// Asks until it is refused; how often it was not.
async fn exhaust(shop: &Shop, asked: &Asked) -> usize {
    for times in 0..200 {
        if is_refused(shop, asked).await {
            return times;
        }
    }
    panic!("{asked:?} is not limited");
}

/// Whether the other is refused when the one is. One more may come free between the two; what has a limit of its own
/// allows ten.
async fn is_used_up_by(shop: &Shop, one: &Asked, other: &Asked) -> bool {
    for _ in 0..5 {
        exhaust(shop, one).await;
        if is_refused(shop, other).await {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn what_is_asked_of_stripe_is_limited_for_each_person() {
    let shop = Shop::open_with(0, &[("SALDO_RATE_LIMITS", "on")]).await;
    let recharge = json!({
        "enabled": true, "pack": shop.pack("Starter").await, "threshold": 100,
        "monthly_cap_minor": 1800, "consent": true,
    });
    let change = json!({ "plan": shop.plan("Pro").await });
    let invoices = (Method::GET, "/billing/invoices", json!(null));
    let cancel = (Method::POST, "/billing/subscription/cancel", json!({}));
    // One more may come free meanwhile.
    assert!((30..60).contains(&exhaust(&shop, &invoices).await));
    assert!((10..20).contains(&exhaust(&shop, &cancel).await));
    let others = [
        (&invoices, (Method::GET, "/billing/payments/in_1", json!(null))),
        (&invoices, (Method::POST, "/billing/subscription/change/preview", change.clone())),
        (&cancel, (Method::POST, "/billing/subscription/change", change)),
        (&cancel, (Method::POST, "/billing/subscription/resume", json!(null))),
        (&cancel, (Method::POST, "/billing/portal", json!(null))),
        (&cancel, (Method::PUT, "/billing/auto-recharge", recharge)),
    ];
    for (same, other) in &others {
        assert!(is_used_up_by(&shop, same, other).await, "{other:?}");
    }
    shop.close().await;
}
