//! Events of Stripe's that wait for somebody: seen, and worked off again where that helps.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::stripe::{Envelope, WEBHOOK_SECRET};
use crate::support::Answer;
use crate::world::ask;

async fn replay(shop: &Shop, event: &str) -> Answer {
    let path = format!("/admin/stripe/events/{event}/replay");
    ask(&shop.server, Method::POST, &path, &shop.ada.access).await
}

/// The events of a state, page by page of one, the newest first.
async fn events(shop: &Shop, state: &str) -> Vec<Value> {
    let (mut events, mut cursor) = (vec![], String::new());
    loop {
        let path = format!("/admin/stripe/events?state={state}&limit=1{cursor}");
        let page = ask(&shop.server, Method::GET, &path, &shop.ada.access).await;
        assert_eq!(page.status, StatusCode::OK, "{:?}", page.body);
        events.extend(page.body["items"].as_array().expect("events").clone());
        let Some(next) = page.body["next_cursor"].as_str() else { return events };
        cursor = format!("&cursor={next}");
    }
}

/// An event that Stripe has signed, of which this is told.
async fn told(shop: &Shop, body: &Value) {
    let (body, now) = (body.to_string(), saldo::clock::now().timestamp());
    let header = crate::stripe::signature(&[WEBHOOK_SECRET.to_owned()], now, &body);
    assert_eq!(shop.stripe.post(&header, body).await.0, Some(204));
}

#[tokio::test]
async fn what_would_come_to_the_same_is_not_worked_off_again() {
    let shop = Shop::open().await;
    let (_, checkout) = shop.order("Starter", "one").await;
    shop.stripe.pay_checkout(&checkout);
    shop.stripe.wrap_in(Envelope { livemode: true, ..Envelope::default() });
    let event = shop.stripe.events_of("checkout.session.completed")[0].clone();
    let (header, body) = shop.stripe.sealed(event["id"].as_str().expect("an id"));
    assert_eq!(shop.stripe.post(&header, body).await.0, Some(204));
    told(&shop, &json!({ "object": "event" })).await;
    told(&shop, &json!({ "object": "event", "id": 7 })).await;
    let refused = replay(&shop, "evt_1").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    shop.administrate();
    assert_eq!(replay(&shop, "evt_of_nobody").await.status, StatusCode::NOT_FOUND);

    let quarantined = events(&shop, "quarantined").await;
    let [of_another_mode] = &quarantined[..] else { panic!("one event: {quarantined:?}") };
    assert_eq!(of_another_mode["event_id"], event["id"]);
    assert_eq!(of_another_mode["error"], "it is of another mode or account");
    let dead = events(&shop, "dead").await;
    let ids: Vec<_> = dead.iter().map(|event| event["event_id"].as_str().expect("an id")).collect();
    assert!(ids.len() == 2 && ids.iter().all(|id| id.starts_with("malformed_")), "{dead:?}");
    for event in quarantined.iter().chain(&dead) {
        let answer = replay(&shop, event["event_id"].as_str().expect("an id")).await;
        let told = (answer.status, &answer.body["code"]);
        assert_eq!(told, (StatusCode::CONFLICT, &json!("not_replayed")), "{event}");
    }
    assert_eq!(
        (events(&shop, "quarantined").await, events(&shop, "dead").await),
        (quarantined, dead)
    );
    assert_eq!(shop.available().await, 100);
    let wrong = ask(&shop.server, Method::GET, "/admin/stripe/events?state=x", &shop.ada.access);
    assert_eq!(wrong.await.status, StatusCode::UNPROCESSABLE_ENTITY);
    shop.close().await;
}

/// The longest event that is taken has a mebibyte.
#[tokio::test]
async fn an_event_may_be_long_and_not_endless() {
    let shop = Shop::open().await;
    let event = |length: usize| {
        let object = json!({ "object": "balance", "text": "x".repeat(length) });
        json!({
            "id": format!("evt_{length}"), "object": "event", "type": "balance.available",
            "created": 1_790_000_000, "livemode": false, "data": { "object": object },
        })
    };
    told(&shop, &event(1_000_000)).await;
    let (body, now) = (event(1_100_000).to_string(), saldo::clock::now().timestamp());
    let header = crate::stripe::signature(&[WEBHOOK_SECRET.to_owned()], now, &body);
    assert_eq!(shop.stripe.post(&header, body).await.0, Some(413));
    shop.administrate();
    assert_eq!(events(&shop, "ignored").await.len(), 1);
    shop.close().await;
}
