//! Subscriptions that are not paid in time: the days of grace, and what is spent after them.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::plans::DAY;
use crate::shop::Shop;
use crate::stripe::Mood;
use crate::support::Answer;
use crate::world::{change, send};

async fn debit(shop: &Shop, amount: i64) -> Answer {
    let body = json!({ "amount": amount, "reason": "render" });
    send(&shop.server, Method::POST, "/wallet/debits", &shop.ada.access, &body).await
}

#[tokio::test]
async fn while_a_subscription_is_not_paid_what_is_spent_is_what_the_policy_says() {
    for (policy, refused, most) in [("freeze", "frozen", 0), ("purchased_only", "wallet", 100)] {
        let shop = Shop::open_with(
            35 * DAY,
            &[("SALDO_PAST_DUE", policy), ("SALDO_PAST_DUE_GRACE_DAYS", "0")],
        )
        .await;
        let subscription = shop.subscribed("Basic", "one").await;
        shop.until_available(1_100).await;
        shop.cards_of(&subscription, Mood::Declines("card_declined"));
        shop.stripe.renew(&subscription);
        shop.hear().await;
        let debit = async |amount| debit(&shop, amount).await;
        assert_eq!(debit(most + 1).await.body["reason"], refused, "{policy}");
        if most > 0 {
            assert_eq!(debit(most).await.status, StatusCode::CREATED, "{policy}");
        }
        shop.cards_of(&subscription, Mood::Pays);
        shop.stripe.advance(4 * DAY);
        shop.hear().await;
        assert_eq!(debit(2_000).await.status, StatusCode::CREATED, "{policy}");
        shop.close().await;
    }
}

#[tokio::test]
async fn nobody_is_stopped_before_the_days_of_grace_are_over() {
    let shop = Shop::open_with(35 * DAY, &[("SALDO_PAST_DUE", "freeze")]).await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    shop.cards_of(&subscription, Mood::Declines("card_declined"));
    shop.stripe.renew(&subscription);
    shop.hear().await;
    assert_eq!(shop.subscription().await["status"], "past_due");
    let heal = "select graphile_worker.add_job('heal', '{}'::json)";
    let later = "update subscriptions set behind_since = behind_since - interval '71 hours'";
    for statement in [heal, later, heal] {
        change(&shop.database, statement).await;
        shop.until(|| shop.is_quiet()).await;
        assert_eq!(debit(&shop, 1).await.status, StatusCode::CREATED);
    }
    change(
        &shop.database,
        "update subscriptions set behind_since = behind_since - interval '1 hour'",
    )
    .await;
    change(&shop.database, heal).await;
    shop.until(|| async { debit(&shop, 1).await.body["reason"] == "frozen" }).await;
    shop.cards_of(&subscription, Mood::Pays);
    shop.stripe.advance(4 * DAY);
    shop.hear().await;
    assert_eq!(debit(&shop, 1_000).await.status, StatusCode::CREATED);
    shop.close().await;
}
