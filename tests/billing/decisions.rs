//! What administrators decide: that a payment will do, and that somebody spends no more.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::refunds::quarantined;
use crate::shop::Shop;
use crate::support::Answer;
use crate::world::{ask, register, send};

async fn decide(shop: &Shop, path: &str) -> Answer {
    let why = json!({ "reason": "agreed by mail" });
    send(&shop.server, Method::POST, path, &shop.ada.access, &why).await
}

fn acceptance(purchase: &str) -> String {
    format!("/admin/purchases/{purchase}/accept")
}

/// How often each event of a purchase is in the log.
async fn happened(shop: &Shop, purchase: &str, event: &str) -> i64 {
    let pool = shop.database.kept().await;
    let count = "select count(*) from events where aggregate_id = $1 and event_type = $2";
    let count = sqlx::query_scalar(count).bind(purchase).bind(event);
    count.fetch_one(pool).await.expect("a count")
}

#[tokio::test]
async fn a_payment_that_is_taken_for_what_was_asked_brings_what_was_ordered_once() {
    let shop = Shop::open().await;
    let purchase = quarantined(&shop, "one").await;
    // Nobody else looks at it any more.
    shop.until(|| shop.is_quiet()).await;
    let refused = decide(&shop, &acceptance(&purchase)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{:?}", refused.body);
    assert_eq!(shop.state(&purchase).await, "quarantined");
    shop.administrate();

    let path = acceptance(&purchase);
    let answers = join_all((0..4).map(|_| decide(&shop, &path))).await;
    let accepted = answers.iter().filter(|answer| answer.status == StatusCode::NO_CONTENT);
    assert_eq!(accepted.count(), 1, "{answers:?}");
    let again = decide(&shop, &path).await;
    for late in answers.iter().filter(|answer| !answer.status.is_success()).chain([&again]) {
        let told = (late.status, &late.body["code"]);
        assert_eq!(told, (StatusCode::CONFLICT, &json!("not_possible_now")));
    }
    assert_eq!((shop.state(&purchase).await.as_str(), shop.available().await), ("fulfilled", 300));
    shop.hear().await;
    assert_eq!(shop.available().await, 300);
    for event in ["Accepted", "Fulfilled"] {
        assert_eq!(happened(&shop, &purchase, event).await, 1, "{event}");
    }
    let waiting = ask(&shop.server, Method::GET, "/admin/purchases", &shop.ada.access).await;
    assert_eq!(waiting.body["items"], json!([]));
    shop.close().await;
}

#[tokio::test]
async fn what_is_not_in_quarantine_is_not_accepted() {
    let shop = Shop::open().await;
    let (ordered, _) = shop.order("Starter", "ordered").await;
    let (bought, _) = shop.bought("Starter", "bought").await;
    shop.administrate();
    for purchase in [&ordered, &bought] {
        let refused = decide(&shop, &acceptance(purchase)).await;
        let told = (refused.status, &refused.body["code"]);
        assert_eq!(told, (StatusCode::CONFLICT, &json!("not_possible_now")));
    }
    let unknown = decide(&shop, &acceptance(&Uuid::nil().to_string())).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let purchase = quarantined(&shop, "one").await;
    let (path, access) = (acceptance(&purchase), &shop.ada.access);
    for why in [json!({ "reason": "" }), json!({}), json!({ "reason": "x", "credits": 9 })] {
        let wrong = send(&shop.server, Method::POST, &path, access, &why).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{why}: {:?}", wrong.body);
    }
    assert_eq!(shop.state(&purchase).await, "quarantined");
    assert_eq!(shop.available().await, 300);
    shop.close().await;
}

#[tokio::test]
async fn somebody_whom_an_administrator_stops_spends_nothing_until_they_are_let_go() {
    let shop = Shop::open().await;
    let grace = register(&shop.server, "grace@example.com").await;
    let id = grace.user["id"].as_str().expect("an id").to_owned();
    let [freeze, unfreeze] = ["freeze", "unfreeze"].map(|what| format!("/admin/users/{id}/{what}"));
    let spend = async |path: &str| {
        let body = json!({ "amount": 1, "reason": "render" });
        send(&shop.server, Method::POST, path, &grace.access, &body).await
    };
    for path in [&freeze, &unfreeze] {
        let refused = decide(&shop, path).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}: {:?}", refused.body);
    }
    assert_eq!(spend("/wallet/debits").await.status, StatusCode::CREATED);

    shop.administrate();
    for _ in 0..2 {
        assert_eq!(decide(&shop, &freeze).await.status, StatusCode::NO_CONTENT);
    }
    for path in ["/wallet/debits", "/wallet/holds"] {
        let refused = spend(path).await;
        let told = (refused.status, &refused.body["reason"]);
        assert_eq!(told, (StatusCode::PAYMENT_REQUIRED, &json!("frozen")), "{path}");
    }
    for _ in 0..2 {
        assert_eq!(decide(&shop, &unfreeze).await.status, StatusCode::NO_CONTENT);
    }
    for path in ["/wallet/debits", "/wallet/holds"] {
        assert_eq!(spend(path).await.status, StatusCode::CREATED, "{path}");
    }
    for event in ["Frozen", "Unfrozen"] {
        assert_eq!(happened(&shop, &id, event).await, 1, "{event}");
    }
    let nobody = format!("/admin/users/{}/freeze", Uuid::nil());
    assert_eq!(decide(&shop, &nobody).await.status, StatusCode::NOT_FOUND);
    let why = send(&shop.server, Method::POST, &freeze, &shop.ada.access, &json!({})).await;
    assert_eq!(why.status, StatusCode::UNPROCESSABLE_ENTITY);
    shop.close().await;
}
