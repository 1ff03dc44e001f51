//! Events of Stripe's that wait for somebody: seen, and worked off again where that helps.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::stripe::{Envelope, Fault, WEBHOOK_SECRET};
use crate::support::Answer;
use crate::world::{ask, change};

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

/// What is waiting, the tries of its work, and whether that is to come: of one object.
async fn waiting(shop: &Shop) -> Vec<(String, i16, bool)> {
    let pool = shop.database.kept().await;
    let waiting = "select i.state, j.attempts, j.run_at > now() + interval '30 minutes'
        from stripe_inbox i
        join graphile_worker._private_jobs j on j.key = 'settle_object/' || i.object_id
        where i.state in ('waiting', 'dead') and j.locked_at is null and j.last_error is not null";
    sqlx::query_as(waiting).fetch_all(pool).await.expect("what waits")
}

/// An outage of a day is not one of two, however often it is looked for what was left.
#[tokio::test]
async fn what_waits_is_given_up_after_two_days_and_not_before() {
    let shop = Shop::open().await;
    let (_, checkout) = shop.order("Starter", "one").await;
    shop.until(|| shop.is_quiet()).await;
    shop.stripe.pay_checkout(&checkout);
    let refuses = json!({ "error": { "type": "invalid_request_error", "message": "no" } });
    shop.stripe.fault("GET /v1/checkout", 1000, Fault::Says(401, refuses.clone()));
    shop.stripe.fault("GET /v1/payment_intents", 1000, Fault::Says(401, refuses));
    let event = shop.stripe.events_of("checkout.session.completed")[0].clone();
    let (header, body) = shop.stripe.sealed(event["id"].as_str().expect("an id"));
    shop.stripe.lose("*");
    assert_eq!(shop.stripe.post(&header, body).await.0, Some(204));
    shop.until(|| async { waiting(&shop).await.len() == 1 }).await;
    for put_off in [
        "update stripe_inbox set attempts = 17, received_at = now() - interval '1 day',
             waiting_since = now() - interval '1 day' where state = 'waiting'",
        "update graphile_worker._private_jobs set attempts = 12, run_at = now() + interval '1 hour'
         where key like 'settle_object/%'",
    ] {
        change(&shop.database, put_off).await;
    }
    heal(&shop).await;
    assert_eq!(waiting(&shop).await, [("waiting".to_owned(), 12, true)], "its pause is kept");
    let now = "update graphile_worker._private_jobs set run_at = now()
        where key like 'settle_object/%'";
    change(&shop.database, now).await;
    shop.until(|| async { waiting(&shop).await == [("waiting".to_owned(), 13, true)] }).await;
    let older = "update stripe_inbox set waiting_since = now() - interval '49 hours'
        where state = 'waiting'";
    change(&shop.database, older).await;
    change(&shop.database, now).await;
    shop.administrate();
    shop.until(|| async { events(&shop, "dead").await.len() == 1 }).await;
    shop.stripe.heal();
    let again = replay(&shop, event["id"].as_str().expect("an id")).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{:?}", again.body);
    shop.until_available(300).await;
    shop.close().await;
}

/// Work that nobody does any more, of an event that still waits, is taken up.
#[tokio::test]
async fn what_waits_and_nobody_works_at_is_taken_up() {
    let shop = Shop::open().await;
    let (_, checkout) = shop.order("Starter", "one").await;
    shop.until(|| shop.is_quiet()).await;
    shop.stripe.pay_checkout(&checkout);
    let refuses = json!({ "error": { "type": "invalid_request_error", "message": "no" } });
    shop.stripe.fault("GET /v1/checkout", 1000, Fault::Says(401, refuses));
    let event = shop.stripe.events_of("checkout.session.completed")[0].clone();
    let (header, body) = shop.stripe.sealed(event["id"].as_str().expect("an id"));
    shop.stripe.lose("*");
    assert_eq!(shop.stripe.post(&header, body).await.0, Some(204));
    shop.until(|| async { waiting(&shop).await.len() == 1 }).await;
    for given_up in [
        "update stripe_inbox set received_at = now() - interval '1 day' where state = 'waiting'",
        "update graphile_worker._private_jobs set attempts = max_attempts
         where key like 'settle_object/%'",
    ] {
        change(&shop.database, given_up).await;
    }
    shop.stripe.heal();
    heal(&shop).await;
    shop.until_available(300).await;
    shop.close().await;
}

/// What was left is looked for, and nothing in the list of events.
async fn heal(shop: &Shop) {
    let later = "update stripe_cursor set healed_to = now() + interval '2 hours'";
    change(&shop.database, later).await;
    change(&shop.database, "select graphile_worker.add_job('heal', '{}'::json)").await;
    let pool = shop.database.kept().await;
    shop.until(|| async {
        let over = "select count(*) from graphile_worker.jobs where task_identifier = 'heal'";
        let left: i64 = sqlx::query_scalar(over).fetch_one(pool).await.expect("a count");
        left == 0
    })
    .await;
}
